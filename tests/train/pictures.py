"""Small data sets of pictures for the tests of training."""

import json

from PIL import Image, ImageDraw

COLORS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 70, 220), "yellow": (230, 210, 50), "black": (20, 20, 20)}
SHAPES = ("circle", "square")


def draw(color, shape, offset, size=48):
    """A coloured shape on a light ground."""
    image = Image.new("RGB", (size, size), (235, 235, 235))
    box = (8 + offset, 8, size - 10 + offset, size - 10)
    pen = ImageDraw.Draw(image)
    (pen.ellipse if shape == "circle" else pen.rectangle)(box, fill=COLORS[color])
    return image


def write_captions(folder, copies=1, size=48):
    """Ten (times `copies`) distinct captioned pictures: pictures and captions.jsonl in LLaVA's format. Returns [(picture, caption)]."""
    folder.mkdir(parents=True, exist_ok=True)
    out, lines = [], []
    for copy in range(copies):
        for color in COLORS:
            for shape in SHAPES:
                name = f"{color}-{shape}-{copy}.png"
                draw(color, shape, copy % 8, size).save(folder / name)
                caption = f"a {color} {shape} on grey paper"
                out.append((folder / name, caption))
                turns = [{"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": caption}]
                lines.append(json.dumps({"id": name, "image": name, "conversations": turns}))
    (folder / "captions.jsonl").write_text("\n".join(lines) + "\n")
    return out
