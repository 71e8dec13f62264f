"""What the parity tests share: sentences, pictures, the bound on numbers, models made once, and a short training whose result is read again."""

import io
import json

import numpy as np
from PIL import Image

WORDS = "what colour is the circle in this picture and how many shirts do you see 42 façade 你好 yes no".split(" ")

RECIPE = """
name = "roundtrip"
[model]
base = "{base}"
[[data]]
name = "tiny"
path = "{data}"
[train]
precision = "fp32"
max_length = {max_length}
[[stage]]
name = "all"
{stage}
learning_rate = {learning_rate}
batch_size = {batch_size}
max_steps = {max_steps}
warmup_ratio = 0.0
"""


def sentence(rng, words=WORDS):
    return " ".join(rng.choice(words, int(rng.integers(2, 9))))


def picture(path, rng, width=None, height=None):
    """A PNG of shapes and noise, of an odd size unless one is given; returns it as Pillow reads it back."""
    width = width or int(rng.integers(9, 120))
    height = height or int(rng.integers(9, 120))
    coarse = rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    pixels = np.clip(smooth + rng.integers(-30, 31, smooth.shape), 0, 255).astype(np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "png")
    path.write_bytes(data.getvalue())
    return Image.open(io.BytesIO(data.getvalue()))


def close(ours, theirs, what, bound=1e-4):
    assert ours.shape == tuple(theirs.shape), what
    worst, largest = np.abs(ours - theirs).max(), np.abs(theirs).max()
    assert worst <= bound * largest, f"{what}: differs by {worst}, the largest is {largest}"


def close_numbers(ours, theirs, what):
    """The same where the reference's array has other leading dimensions."""
    close(ours, theirs.reshape(ours.shape), what)


def made_once(root, configs, make):
    """get(name): what `make(folder, configs[name], its number)` returns, made when first asked for."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = make(root / name, configs[name], list(configs).index(name))
        return made[name]

    return get


def recipe(base, data, max_length=256, learning_rate=1e-2, batch_size=2, max_steps=3, stage=""):
    return RECIPE.format(base=base, data=data, max_length=max_length, learning_rate=learning_rate, batch_size=batch_size,
                         max_steps=max_steps, stage=stage)


def train_on_pictures(run_ocelli, base, tmp_path, rng, count, size=(), steps=2, words=WORDS, **settings):
    """The checkpoint after `steps` steps over `count` pictures with a question and an answer each; `settings`: recipe()'s."""
    records = []
    for i in range(count):
        picture(tmp_path / f"t{i}.png", rng, *size)
        records.append({"id": i, "image": f"t{i}.png",
                        "conversations": [{"from": "human", "value": f"<image>\n{sentence(rng, words)}?"},
                                          {"from": "gpt", "value": sentence(rng, words)}]})
    (tmp_path / "data.json").write_text(json.dumps(records))
    (tmp_path / "recipe.toml").write_text(recipe(base, tmp_path / "data.json", **settings))
    run_ocelli(["train", tmp_path / "recipe.toml", "--out", tmp_path / "run", "--max-steps", steps])
    return tmp_path / "run" / "checkpoints" / f"step-{steps}"


def train_on_text(run_ocelli, base, tmp_path, **settings):
    """The checkpoint after one step over four questions about nothing, in a plain template put into `base`."""
    records = [{"id": i, "conversations": [{"from": "human", "value": "how many?"}, {"from": "gpt", "value": str(i)}]} for i in range(4)]
    (tmp_path / "data.json").write_text(json.dumps(records))
    (base / "chat_template.jinja").write_text(
        "{% for message in messages %}{{ message.role }}: {{ message.content }}</s>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}")
    (tmp_path / "recipe.toml").write_text(recipe(base, tmp_path / "data.json", **settings))
    run_ocelli(["train", tmp_path / "recipe.toml", "--out", tmp_path / "run", "--max-steps", 1])
    return tmp_path / "run" / "checkpoints" / "step-1"
