"""DeepSeek-VL through the binary: transformers' two classes, and the original layout with the same weights."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file as load_arrays
from transformers import AutoModelForImageTextToText, AutoTokenizer

sys.path.insert(0, str(Path(__file__).parent))
from harness import close, made_once, picture, sentence, train_on_pictures
from deepseek_models import CONFIGS, DeepseekFolder, make_deepseek
from reference.deepseek_original import prepare, write_original


# SigLIP has 16 heads in the original's table; its SAM always gives 24 x 24 patches, so SigLIP has as many.
ORIGINALS = {
    "plain": dict(side=48, patch=8, kv=4, vision_heads=16),
    "hybrid": dict(side=96, patch=4, kv=2, vision_heads=16, high=96, high_patch=16, window=14, globals=[2, 5, 8, 11], layers=4),
    "hybrid_windows": dict(side=48, patch=2, kv=4, vision_heads=16, high=288, high_patch=16, window=14, globals=[2, 5, 8, 11], layers=3),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """folders(name): the saved model of that row of CONFIGS, made once."""
    return made_once(tmp_path_factory.mktemp("deepseek"), CONFIGS, make_deepseek)


def compare(out, ids, reference):
    ours = load_arrays(out)
    assert ours.keys() == {"input_ids", *reference}
    assert ours["input_ids"].tolist() == ids.tolist()
    for name in ("pixel_values", "pixel_values_aux"):
        if name in reference:
            assert ours[name].shape == reference[name].shape
            assert np.abs(ours[name] - reference[name]).max() <= 2e-6, name
    for name in ("visual_tokens", "logits"):
        if name in reference:
            close(ours[name], reference[name], name)


def pictures_at(tmp_path, rng, count):
    """Paths and pictures; the first long and thin, so that the least side counts."""
    files = [tmp_path / f"{i}.png" for i in range(count)]
    return files, [picture(file, rng, *((117, 6) if i == 0 else ())) for i, file in enumerate(files)]


def run_case(run_ocelli, folder, model_path, tmp_path, rng, form, count):
    files, pictures = pictures_at(tmp_path, rng, count)
    arguments = [part for file in files for part in ("--image", file)]
    if form == "chat":
        text = sentence(rng)
        inputs = folder.chat_inputs(text, pictures)
        arguments += ["-p", text]
    else:
        text = "".join(sentence(rng) + " <image>\n" for _ in files) + sentence(rng)
        inputs = folder.raw_inputs(text, pictures)
        if form == "raw":
            arguments += ["--raw", "-p", text]
        else:
            (tmp_path / "ids.json").write_text(json.dumps({"input_ids": folder.tokenizer(text)["input_ids"]}))
            arguments += ["--input-ids", tmp_path / "ids.json"]
    run_ocelli(["logits", model_path, *arguments, "--out", tmp_path / "out.safetensors"])
    compare(tmp_path / "out.safetensors", inputs["input_ids"][0], folder.reference(inputs))


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_the_references(name, folders, run_ocelli, tmp_path, full_counts):
    folder, rng = folders(name), np.random.default_rng(list(CONFIGS).index(name))
    for form, count in [("chat", 1), ("raw", 2)] + [("ids", 3), ("raw", 0), ("chat", 2), ("raw", 1)] * (5 if full_counts else 0):
        run_case(run_ocelli, folder, folder.path, tmp_path, rng, form, count)


@pytest.mark.parametrize("name", CONFIGS)
def test_greedy_answers_are_the_references(name, folders, run_ocelli, tmp_path):
    folder, rng = folders(name), np.random.default_rng(100 + list(CONFIGS).index(name))
    files, pictures = pictures_at(tmp_path, rng, 2)
    text = sentence(rng)
    answer = run_ocelli(["chat", folder.path, *[part for file in files for part in ("--image", file)], "-p", text, "-n", 16, "--temp", 0,
                         "--precision", "fp32", "--json"]).last_json()
    inputs = folder.chat_inputs(text, pictures)
    assert answer["tokens"] == folder.generate(inputs, 16)
    image = int((inputs["input_ids"] == folder.model.config.image_token_id).sum())
    assert answer["usage"]["image"] == image and answer["usage"]["prompt"] == inputs["input_ids"].numel()


@pytest.mark.parametrize("name", ["plain", "hybrid"])
def test_explain_counts_the_tokens_and_parameters_that_are_there(name, folders, run_ocelli):
    folder = folders(name)
    told = run_ocelli(["explain", folder.path, "--image", "640x480", "--image", "9x700", "--json"]).last_json()
    tokens = (CONFIGS[name]["side"] // CONFIGS[name]["patch"]) ** 2
    assert [each["tokens"] for each in told["pictures"]] == [tokens, tokens]
    counted = sum(parameter.numel() for parameter in folder.model.parameters())
    assert told["parameters"] == counted


@pytest.mark.parametrize("name", ["plain", "plain_tied", "hybrid_uneven"])
def test_what_training_writes_loads_in_transformers(name, folders, run_ocelli, tmp_path):
    folder, rng = folders(name), np.random.default_rng(31)
    written = train_on_pictures(run_ocelli, folder.path, tmp_path, rng, 4)
    theirs, loading = AutoModelForImageTextToText.from_pretrained(written, output_loading_info=True)
    assert type(theirs) is type(folder.model)
    assert not any(loading[key] for key in ("unexpected_keys", "mismatched_keys", "missing_keys")), loading
    before = dict(folder.model.named_parameters())
    moved = [key for key, value in theirs.named_parameters() if not torch.equal(value, before[key])]
    for part in ("language_model", "aligner", "vision_model"):
        assert any(part in key for key in moved), part
    assert ("high" in CONFIGS[name]) == any("high_res_vision_alpha" in key for key in moved)
    again = DeepseekFolder(written, theirs.eval(), folder.processor)
    run_case(run_ocelli, again, written, tmp_path, rng, "raw", 2)


@pytest.mark.parametrize("name", ORIGINALS)
def test_the_original_layout_gives_the_same(name, run_ocelli, tmp_path):
    spec, rng = ORIGINALS[name], np.random.default_rng(list(ORIGINALS).index(name))
    made = make_deepseek(tmp_path / "hf", spec, seed=7)
    write_original(tmp_path / "model", made.model, made.tokenizer, spec)
    files, pictures = pictures_at(tmp_path, rng, 2)
    text = "<image> " + sentence(rng) + " <image>\n" + sentence(rng)
    run_ocelli(["logits", tmp_path / "model", "--image", files[0], "--image", files[1], "--raw", "-p", text, "--out", tmp_path / "o.safetensors"])
    pixels, low, inputs = prepare(pictures, spec)
    image, count = made.model.config.image_token_id, (spec["side"] // spec["patch"]) ** 2
    ids = [i for token in AutoTokenizer.from_pretrained(tmp_path / "model")(text)["input_ids"] for i in [token] * (count if token == image else 1)]
    inputs["input_ids"] = torch.tensor([ids])
    reference = {**made.reference(inputs), "pixel_values": pixels.numpy()}
    if low is not None:
        reference["pixel_values_aux"] = low.numpy()
    compare(tmp_path / "o.safetensors", inputs["input_ids"][0], reference)


@pytest.mark.parametrize("name", ["deepseek-vl-1", "deepseek-vl-hybrid-1"])
def test_the_originals_prompt_gives_its_ids(name, goldens, run_ocelli, tmp_path):
    """BOS comes from tokenizer_config.json, the conversation from the built-in template."""
    folder = goldens / name
    expected = load_arrays(folder / "expected.safetensors")["input_ids_expanded"].tolist()
    for prompt in (["--raw", "--prompt-file", folder / "prompt.txt"], ["-p", "\nDescribe the picture."]):
        run_ocelli(["logits", folder / "model", "--image", folder / "image_0.png", *prompt, "--out", tmp_path / "o.safetensors"])
        assert load_arrays(tmp_path / "o.safetensors")["input_ids"].tolist() == expected
