"""BLIP-2 and InstructBLIP folders of transformers through the binary: ids, pixels, visual tokens, logits and greedy answers are the
reference's; with OPT, Llama and T5 behind the Q-Former."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent))
from harness import close, made_once, picture, sentence
from blip2_models import CONFIGS, make

ALL_CASES = 12


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """folders(name): the saved model of that row of CONFIGS, made once."""
    return made_once(tmp_path_factory.mktemp("blip2"), CONFIGS, make)


def compare(out, inputs, reference):
    ours = load_arrays(out)
    assert ours["input_ids"].tolist() == inputs["input_ids"][0].tolist()
    assert ours.keys() == {"input_ids", *reference}
    assert np.abs(ours["pixel_values"] - reference["pixel_values"]).max() <= 1e-6
    close(ours["visual_tokens"], reference["visual_tokens"], "visual_tokens")
    close(ours["logits"], reference["logits"], "logits")


def run_case(run_ocelli, folder, tmp_path, rng, form, count, model_path=None):
    """One prompt of that form with that many pictures, through both. `form`: the text alone (pictures go in front), or ids with no
    placeholder, with one a picture, with one a visual token, the last with ids for the decoder."""
    files = [tmp_path / f"{i}.png" for i in range(count)]
    pictures = [picture(file, rng) for file in files]
    arguments = [part for file in files for part in ("--image", file)]
    text, decoder_ids = sentence(rng), None
    inputs = folder.inputs(text, pictures)
    if form == "raw":
        arguments += ["--raw", "-p", text]
    else:
        ids = inputs["input_ids"][0].tolist()
        plain = [i for i in ids if i != folder.image_id]
        if form == "one":
            ids = [folder.image_id] * count + plain
        elif form == "none":
            ids = plain
        file = {"input_ids": ids}
        if "qformer_input_ids" in inputs:
            file["qformer_input_ids"] = inputs["qformer_input_ids"][0].tolist()
        if form == "all" and folder.is_t5:
            file["decoder_input_ids"] = decoder_ids = [0, *rng.integers(2, 300, int(rng.integers(1, 30))).tolist()]
        (tmp_path / "ids.json").write_text(json.dumps(file))
        arguments += ["--input-ids", tmp_path / "ids.json"]
    run_ocelli(["logits", model_path or folder.path, *arguments, "--out", tmp_path / "out.safetensors"])
    compare(tmp_path / "out.safetensors", inputs, folder.reference(inputs, decoder_ids))


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_the_references(name, folders, run_ocelli, tmp_path, full_counts):
    folder = folders(name)
    rng = np.random.default_rng(list(CONFIGS).index(name))
    forms = [("raw", 1), ("all", 1), ("one", 1), ("none", 2), ("all", 2), ("raw", 2)]
    for form, count in (forms * 2)[:ALL_CASES] if full_counts else forms[:2] + [forms[3]]:
        run_case(run_ocelli, folder, tmp_path, rng, form, count)


@pytest.mark.parametrize("name", CONFIGS)
def test_greedy_answers_are_the_references(name, folders, run_ocelli, tmp_path):
    folder, rng = folders(name), np.random.default_rng(100 + list(CONFIGS).index(name))
    pictures, text = [picture(tmp_path / "0.png", rng)], sentence(rng)
    answer = run_ocelli(["chat", folder.path, "--image", tmp_path / "0.png", "--raw", "-p", text, "-n", 16, "--temp", 0, "--precision",
                         "fp32", "--json"]).last_json()
    inputs = folder.inputs(text, pictures)
    expected = folder.generate(inputs, 16)
    assert answer["tokens"] == expected
    assert answer["usage"] == {"prompt": inputs["input_ids"].shape[1], "image": folder.spec["queries"], "completion": len(expected)}


@pytest.mark.parametrize("name", ["opt", "t5"])
def test_chat_asks_as_blip2_was_taught(name, folders, run_ocelli, tmp_path):
    folder = folders(name)
    picture(tmp_path / "0.png", np.random.default_rng(3))
    command = ["chat", folder.path, "--image", tmp_path / "0.png", "-n", 8, "--temp", 0, "--precision", "fp32", "--json"]
    asked = run_ocelli([*command, "-p", "how many"]).last_json()
    assert asked["tokens"] == run_ocelli([*command, "--raw", "-p", "Question: how many Answer:"]).last_json()["tokens"]


@pytest.mark.parametrize("name", ["opt", "instruct_t5"])
def test_features_are_the_references(name, folders, run_ocelli, tmp_path):
    import torch

    folder, rng = folders(name), np.random.default_rng(7)
    inputs = folder.inputs("a", [picture(tmp_path / "0.png", rng)])
    run_ocelli(["features", folder.path, "--image", tmp_path / "0.png", "--out", tmp_path / "o.safetensors"])
    ours = load_arrays(tmp_path / "o.safetensors")
    with torch.no_grad():
        features = folder.model.vision_model(inputs["pixel_values"]).last_hidden_state
    close(ours["features"], features.numpy(), "features")
    side = folder.spec["image"] // 14
    assert ours["grid"].tolist() == [side, side]
    if name == "opt":
        close(ours["visual_tokens"], folder.reference(inputs)["visual_tokens"], "visual_tokens")


@pytest.mark.parametrize("name", ["opt", "t5", "instruct_llama"])
def test_explain_counts_what_is_there(name, folders, run_ocelli):
    folder = folders(name)
    told = run_ocelli(["explain", folder.path, "--image", "640x480", "--text-tokens", 20, "--json"]).json()
    # A head tied to the table is the same parameter; transformers' EVA has biases of keys too.
    assert told["parameters"] == sum(p.numel() for p in folder.model.parameters())
    assert told["pictures"][0]["tokens"] == folder.spec["queries"]


def test_copies_of_the_table_are_ignored(folders, run_ocelli, tmp_path):
    """T5 as published before version 5: the table three times."""
    folder, other = folders("t5"), tmp_path / "model"
    shutil.copytree(folder.path, other)
    weights = load_file(other / "model.safetensors")
    for stack in ("encoder", "decoder"):
        weights[f"language_model.{stack}.embed_tokens.weight"] = weights["language_model.shared.weight"].clone()
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    run_case(run_ocelli, folder, tmp_path, np.random.default_rng(11), "all", 1, other)


def test_faults_are_named(folders, run_ocelli, tmp_path):
    folder = folders("instruct_t5")
    picture(tmp_path / "0.png", np.random.default_rng(1))

    def fault(file, model=None):
        (tmp_path / "ids.json").write_text(json.dumps(file))
        return run_ocelli(["logits", model or folder.path, "--image", tmp_path / "0.png", "--input-ids", tmp_path / "ids.json", "--out",
                           tmp_path / "o.safetensors"], code=1).stderr

    assert "decoder_input_ids: id 320 lies outside the vocabulary of 320" in fault({"input_ids": [5], "decoder_input_ids": [0, 320]})
    assert "qformer: instruction id 999 is outside the vocabulary" in fault({"input_ids": [5], "qformer_input_ids": [999]})
    assert "qformer_input_ids are given, but the model's connector reads no text" in fault(
        {"input_ids": [5], "qformer_input_ids": [1]}, folders("t5").path)
    assert "decoder_input_ids are given, but the model is no encoder-decoder" in fault(
        {"input_ids": [5], "decoder_input_ids": [1]}, folders("opt").path)
