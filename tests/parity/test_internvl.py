"""InternVL folders of transformers through the binary: pixels, visual tokens, ids, logits, greedy answers; what is trained loads there."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForImageTextToText,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLVisionConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

sys.path.insert(0, str(Path(__file__).parent))
from harness import close_numbers, made_once, picture, recipe
from llava_models import randomize, tokenizer

# InternViT 6B's branches (query and key norms, RMS norms, no biases), 300M's, and one whose last state is normalised.
CONFIGS = {
    "six": dict(text="llama", qk_norm=True, norm="rms_norm", bias=False, image=28, patch=7, kv=2, tied=False, tiles=5),
    "small": dict(text="qwen2", qk_norm=False, norm="layer_norm", bias=True, image=42, patch=7, kv=1, tied=True, tiles=4),
    "pooled": dict(text="llama", qk_norm=False, norm="layer_norm", bias=True, image=24, patch=6, kv=4, tied=False, tiles=7, pooling=False),
    "layer": dict(text="llama", qk_norm=True, norm="layer_norm", bias=True, image=28, patch=14, kv=2, tied=False, tiles=3, layer=-2,
                  pooling=False, act="relu"),
}
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MARKS = {"context_image_token": "<IMG_CONTEXT>", "start_image_token": "<img>", "end_image_token": "</img>", "video_token": "<video>"}


class Folder:
    def __init__(self, path, spec, seed):
        self.path, self.spec = path, spec
        words = tokenizer()
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_object=words.backend_tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>",
                                                 extra_special_tokens=MARKS)
        vocabulary = len(self.tokenizer) + 3
        text = dict(vocab_size=vocabulary, hidden_size=48, intermediate_size=88, num_hidden_layers=3, num_attention_heads=4,
                    num_key_value_heads=spec["kv"], tie_word_embeddings=spec["tied"], bos_token_id=0, eos_token_id=1)
        vision = InternVLVisionConfig(hidden_size=36, intermediate_size=72, num_hidden_layers=3, num_attention_heads=3, image_size=spec["image"],
                                      patch_size=spec["patch"], use_qk_norm=spec["qk_norm"], norm_type=spec["norm"],
                                      attention_bias=spec["bias"], layer_scale_init_value=0.3, use_mean_pooling=spec.get("pooling", True))
        config = InternVLConfig(vision_config=vision, text_config=(LlamaConfig if spec["text"] == "llama" else Qwen2Config)(**text),
                                image_token_id=self.tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"), vision_feature_layer=spec.get("layer", -1),
                                projector_hidden_act=spec.get("act", "gelu"), tie_word_embeddings=spec["tied"],
                                image_seq_length=(spec["image"] // spec["patch"] // 2) ** 2)
        self.model = InternVLForConditionalGeneration(config).eval()
        randomize(self.model, seed)
        self.model.generation_config.eos_token_id = 1
        self.model.save_pretrained(path)
        self.tokenizer.save_pretrained(path)
        (path / "chat_template.jinja").write_text(TEMPLATE)
        self.images = GotOcr2ImageProcessorPil(size={"height": spec["image"], "width": spec["image"]}, max_patches=spec["tiles"],
                                               image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
        self.images.save_pretrained(path)

    def inputs(self, text, pictures):
        """What InternVLProcessor makes of a text with a mark for each picture."""
        out = {}
        if pictures:
            made = self.images(pictures, crop_to_patches=True, return_tensors="pt")
            out["pixel_values"] = made["pixel_values"]
            pieces = text.split("<IMG_CONTEXT>")
            for count, piece in zip(made["num_patches"], pieces[1:], strict=True):
                pieces[0] += "<img>" + "<IMG_CONTEXT>" * (self.model.config.image_seq_length * int(count)) + "</img>" + piece
            text = pieces[0]
        out["input_ids"] = torch.tensor([self.tokenizer(text)["input_ids"]])
        return out

    def chat(self, text, pictures):
        content = [{"type": "image"} for _ in pictures] + [{"type": "text", "text": text}]
        return self.tokenizer.apply_chat_template([{"role": "user", "content": content}], chat_template=TEMPLATE, add_generation_prompt=True,
                                                  tokenize=False)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """folders(name): the saved model of that row of CONFIGS, made once."""
    return made_once(tmp_path_factory.mktemp("internvl"), CONFIGS, Folder)


def compare(out, model, inputs):
    ours = load_arrays(out)
    assert ours["input_ids"].tolist() == inputs["input_ids"][0].tolist()
    with torch.no_grad():
        if "pixel_values" in inputs:
            assert np.abs(ours["pixel_values"] - inputs["pixel_values"].numpy()).max() <= 1e-6
            tokens = model.get_image_features(pixel_values=inputs["pixel_values"], return_dict=True).pooler_output
            close_numbers(ours["visual_tokens"], torch.cat(list(tokens)).numpy(), "visual tokens")
        close_numbers(ours["logits"], model(**inputs).logits[0].numpy(), "logits")


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_and_answers_are_the_references(name, folders, run_ocelli, tmp_path, full_counts):
    folder, rng = folders(name), np.random.default_rng(list(CONFIGS).index(name))
    sizes = [(100, 31), (37, 61), (20, 20), (9, 119), (64, 48)]
    for case in range(12 if full_counts else 2):
        count = case % 3 if case > 1 else 1 + case
        files = [tmp_path / f"{i}.png" for i in range(count)]
        pictures = [picture(file, rng, *sizes[int(rng.integers(len(sizes)))]) for file in files]
        arguments = [part for file in files for part in ("--image", file)]
        prompt = "what is in the picture?"
        inputs = folder.inputs(folder.chat(prompt, pictures), pictures)
        run_ocelli(["logits", folder.path, *arguments, "-p", prompt, "--out", tmp_path / "o.safetensors"])
        compare(tmp_path / "o.safetensors", folder.model, inputs)
        # Ids with the marks spelled out give the same.
        (tmp_path / "ids.json").write_text(json.dumps({"input_ids": inputs["input_ids"][0].tolist()}))
        run_ocelli(["logits", folder.path, *arguments, "--input-ids", tmp_path / "ids.json", "--out", tmp_path / "p.safetensors"])
        compare(tmp_path / "p.safetensors", folder.model, inputs)
        answer = run_ocelli(["chat", folder.path, *arguments, "-p", prompt, "-n", 16, "--temp", 0, "--precision", "fp32", "--json"]).last_json()
        with torch.no_grad():
            expected = folder.model.generate(**inputs, do_sample=False, max_new_tokens=16)[0, inputs["input_ids"].shape[1]:].tolist()
        assert answer["tokens"] == (expected[:-1] if expected[-1] == 1 else expected)


def test_explain_counts_what_is_consumed(folders, run_ocelli, full_counts):
    folder = folders("six")
    rng = np.random.default_rng(5)
    sizes = [tuple(int(side) for side in rng.integers(1, 1500, 2)) for _ in range(10000 if full_counts else 50)]
    for begin in range(0, len(sizes), 500):
        part = sizes[begin:begin + 500]
        line = run_ocelli(["explain", folder.path, *[word for width, height in part for word in ("--image", f"{width}x{height}")],
                           "--json"]).last_json()
        for (width, height), counted in zip(part, line["pictures"], strict=True):
            patches = folder.images.get_number_of_image_patches(height, width, {"crop_to_patches": True})
            assert counted["tokens"] == 4 * patches, (width, height)


OLDER = {"language_model.model.": "model.language_model.", "language_model.lm_head.": "lm_head.", "vision_tower.": "model.vision_tower.",
         "multi_modal_projector.": "model.multi_modal_projector."}


def test_older_weight_names_give_the_same(folders, run_ocelli, tmp_path):
    import shutil

    folder = folders("six")
    other = tmp_path / "model"
    shutil.copytree(folder.path, other)
    weights = {}
    for name, value in load_file(other / "model.safetensors").items():
        prefix = next(prefix for prefix in OLDER if name.startswith(prefix))
        weights[OLDER[prefix] + name[len(prefix):]] = value
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    pictures = [picture(tmp_path / "p.png", np.random.default_rng(1))]
    run_ocelli(["logits", other, "--image", tmp_path / "p.png", "-p", "yes", "--out", tmp_path / "o.safetensors"])
    compare(tmp_path / "o.safetensors", folder.model, folder.inputs(folder.chat("yes", pictures), pictures))


@pytest.mark.parametrize("name", ["six", "small"])
def test_what_training_writes_loads_in_transformers(name, folders, run_ocelli, tmp_path):
    folder, rng = folders(name), np.random.default_rng(31)
    records = []
    for i in range(4):
        picture(tmp_path / f"t{i}.png", rng)
        records.append({"id": i, "image": f"t{i}.png", "conversations": [{"from": "human", "value": "<image>\nwhat?"},
                                                                         {"from": "gpt", "value": "yes"}]})
    (tmp_path / "data.json").write_text(json.dumps(records))
    (tmp_path / "recipe.toml").write_text(recipe(folder.path, tmp_path / "data.json", max_length=512, max_steps=2))
    run_ocelli(["train", tmp_path / "recipe.toml", "--out", tmp_path / "run"])
    written = tmp_path / "run" / "checkpoints" / "step-2"
    theirs, loading = AutoModelForImageTextToText.from_pretrained(written, output_loading_info=True)
    assert not any(loading[key] for key in ("unexpected_keys", "mismatched_keys", "missing_keys"))
    before = dict(folder.model.named_parameters())
    moved = [key for key, value in theirs.named_parameters() if not torch.equal(value, before[key])]
    assert all(any(part in key for key in moved) for part in ("language_model", "multi_modal_projector", "vision_tower"))
    pictures = [picture(tmp_path / "p.png", rng, 90, 40)]
    run_ocelli(["logits", written, "--image", tmp_path / "p.png", "-p", "yes", "--out", tmp_path / "o.safetensors"])
    compare(tmp_path / "o.safetensors", theirs.eval(), folder.inputs(folder.chat("yes", pictures), pictures))
