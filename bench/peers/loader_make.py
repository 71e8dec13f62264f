"""What bench/loader reads: pictures with a short question each, as LLaVA JSON beside files; models whose preprocessing and tokenizer count;
and long files of a million rows.

  loader_make.py pictures FOLDER COUNT     FOLDER/data.json, FOLDER/images/*.jpg
  loader_make.py models FOLDER             FOLDER/224, FOLDER/336-tiled, FOLDER/448-dynamic
  loader_make.py rows FOLDER COUNT         FOLDER/rows.jsonl, FOLDER/rows.tsv, FOLDER/picture.png
"""
import base64
import io
import json
import pathlib
import sys

import numpy as np
from PIL import Image, ImageDraw

SIZES = [(640, 480), (1024, 768), (480, 640), (768, 1024)]
WORDS = "what colour shape is the large small circle square line left right of in this picture how many red green blue do you see".split()


def photograph(rng, width, height):
    """Structure at every scale, as in photographs: noise summed over octaves, each half as strong as the coarser one, and shapes with edges."""
    total = np.zeros((height, width, 3))
    for octave in range(7):
        side = (max(width >> octave, 1), max(height >> octave, 1))
        noise = Image.fromarray(rng.integers(0, 256, (side[1], side[0], 3), dtype=np.uint8))
        total += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), float) * 2.0 ** (octave - 7)
    total += rng.normal(0, 4, total.shape[:2])[..., None]  # a sensor's noise: files of about 2.3 bits a pixel, as photographs' are
    picture = Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        w, h = int(rng.integers(20, width // 3)), int(rng.integers(20, height // 3))
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)((x, y, x + w, y + h), fill=colour)
    return picture


def sentence(rng, least, most):
    return " ".join(rng.choice(WORDS, int(rng.integers(least, most))))


def turns(rng):
    return [{"from": "human", "value": f"<image>\n{sentence(rng, 4, 12)}?"}, {"from": "gpt", "value": sentence(rng, 1, 5)}]


def make_pictures(folder, count):
    rng = np.random.default_rng(1)
    (folder / "images").mkdir(parents=True)
    records = []
    for i in range(count):
        name = f"{i:06}.jpg"
        photograph(rng, *SIZES[i % len(SIZES)]).save(folder / "images" / name, quality=90)
        records.append({"id": f"{i:06}", "image": name, "conversations": turns(rng)})
    (folder / "data.json").write_text(json.dumps(records))


def make_models(folder):
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (CLIPVisionConfig, InternVLConfig, InternVLForConditionalGeneration, LlamaConfig, LlavaConfig,
                              LlavaForConditionalGeneration, LlavaNextConfig, LlavaNextForConditionalGeneration, PreTrainedTokenizerFast)
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
    from transformers.models.internvl.configuration_internvl import InternVLVisionConfig
    from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

    torch.manual_seed(1)
    marks = {"image_token": "<image>", "context_image_token": "<IMG_CONTEXT>", "start_image_token": "<img>", "end_image_token": "</img>",
             "video_token": "<video>"}
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.train_from_iterator([" ".join(WORDS) + " USER: ASSISTANT:"] * 4,
                              trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "</s>"], show_progress=False,
                                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="</s>", pad_token="</s>",
                                        extra_special_tokens=marks)
    mark = tokenizer.convert_tokens_to_ids
    template = ("{% for message in messages %}{{ message['role'].upper() }}: {% if message['content'] is string %}{{ message['content'] }}"
                "{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}MARK\n{% else %}{{ part['text'] }}{% endif %}"
                "{% endfor %}{% endif %} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}")
    text = LlamaConfig(vocab_size=len(tokenizer) + 3, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
                       num_key_value_heads=2, bos_token_id=0, eos_token_id=1)
    clip = lambda side: CLIPVisionConfig(hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=side,
                                         patch_size=14)
    # The published preprocessing: LLaVA with CLIP-L/14 at 224, LLaVA-1.6's five canvases of 336, InternVL's 1 to 12 tiles of 448 and a thumbnail.
    square = {"height": 448, "width": 448}
    rows = {
        "224": (LlavaForConditionalGeneration(LlavaConfig(vision_config=clip(224), text_config=text, image_token_index=mark("<image>"))),
                CLIPImageProcessorPil(size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}), "<image>"),
        "336-tiled": (LlavaNextForConditionalGeneration(LlavaNextConfig(vision_config=clip(336), text_config=text,
                                                                        image_token_index=mark("<image>"))),
                      LlavaNextImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336},
                                                 image_grid_pinpoints=[[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]),
                      "<image>"),
        "448-dynamic": (InternVLForConditionalGeneration(InternVLConfig(
            vision_config=InternVLVisionConfig(hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
                                               image_size=[448, 448], patch_size=[14, 14]),
            text_config=text, image_token_id=mark("<IMG_CONTEXT>"), image_seq_length=256)),
                        GotOcr2ImageProcessorPil(size=square, crop_to_patches=True, min_patches=1, max_patches=12,
                                                 image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]), "<IMG_CONTEXT>"),
    }
    for name, (model, images, placeholder) in rows.items():
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
        images.save_pretrained(folder / name)
        (folder / name / "chat_template.jinja").write_text(template.replace("MARK", placeholder))


def make_rows(folder, count):
    """Small rows: what is timed is finding a million of them, not their bytes."""
    rng = np.random.default_rng(2)
    folder.mkdir(parents=True)
    data = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(data, "png")
    (folder / "picture.png").write_bytes(data.getvalue())
    encoded = base64.b64encode(data.getvalue()).decode()
    texts = [turns(rng) for _ in range(1000)]
    with open(folder / "rows.jsonl", "w") as out:
        for i in range(count):
            out.write(json.dumps({"id": str(i), "image": "picture.png", "conversations": texts[i % 1000]}) + "\n")
    with open(folder / "rows.tsv", "w") as out:
        out.write("index\timage\tquestion\tanswer\n")
        for i in range(count):
            question, answer = (turn["value"] for turn in texts[i % 1000])
            out.write(f"{i}\t{encoded}\t{question.removeprefix('<image>').strip()}\t{answer}\n")


def main():
    what, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    if what == "pictures":
        make_pictures(folder, int(sys.argv[3]))
    elif what == "models":
        make_models(folder)
    elif what == "rows":
        make_rows(folder, int(sys.argv[3]))
    else:
        sys.exit(f"loader_make.py: {what} is not known; pictures, models or rows")


if __name__ == "__main__":
    main()
