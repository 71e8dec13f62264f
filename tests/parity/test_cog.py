"""CogVLM, CogAgent and InternVL in their own layouts beyond logits: tower features, the memory of the high-resolution tower, cached
decoding, and that what training writes is read again. The folders are those of test_goldens.py, given a tokenizer of one id a word."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

sys.path.insert(0, str(Path(__file__).parent))
from harness import close_numbers, recipe

ROOT = Path(os.environ.get("OCELLI_GOLDENS", Path(__file__).parent / "goldens"))
CASES = sorted(path.name for path in ROOT.iterdir() if path.name.startswith(("cogvlm-", "cogagent-", "internvl-1.5-")))
ONE_EACH = list({name.rsplit("-", 1)[0]: name for name in CASES}.values())


@pytest.mark.parametrize("name", CASES)
def test_features_and_memory_are_the_original_codes(name, run_ocelli, tmp_path):
    expected = load_file(ROOT / name / "expected.safetensors")
    images = [part for path in sorted((ROOT / name).glob("image_*.png")) for part in ("--image", path)]
    run_ocelli(["features", ROOT / name / "model", *images, "--out", tmp_path / "o.safetensors"])
    ours = load_file(tmp_path / "o.safetensors")
    close_numbers(ours["features"], expected["tower_features"], "features")
    close_numbers(ours["visual_tokens"], expected["visual_tokens"], "visual tokens")
    if "cross_memory" in expected:
        close_numbers(ours["features_aux"], expected["cross_memory"], "cross memory")
        side = expected["cross_pixel_values"].shape[-1]
        assert expected["cross_pixel_values"].shape == (1, 3, side, side)


def with_words(name, path):
    """The folder with a tokenizer in which `w5` is id 5 and added tokens keep theirs."""
    shutil.copytree(ROOT / name / "model", path)
    for file in path.iterdir():
        file.chmod(0o644)
    path.chmod(0o755)
    config = json.loads((path / "config.json").read_text())
    size = config.get("vocab_size") or config["llm_config"]["vocab_size"]
    words = {f"w{i}": i for i in range(3, size)} | {"<unk>": 0, "<s>": 1, "</s>": 2}
    if (path / "added_tokens.json").exists():
        for token, number in json.loads((path / "added_tokens.json").read_text()).items():
            words.pop(f"w{number}")
            words[token] = number
    t = Tokenizer(models.WordPiece(words, unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    t.add_special_tokens([token for token in words if token.startswith("<")])
    t.save(str(path / "tokenizer.json"))
    special = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (path / "tokenizer_config.json").write_text(json.dumps(special))
    return path, words


def prompt_of(name):
    text = "w7 w30 w22 w41"
    return f"w9 <img> <IMG_CONTEXT> </img> {text}" if name.startswith("internvl") else text


@pytest.mark.parametrize("name", CASES)
def test_cached_decoding_is_what_whole_passes_give(name, run_ocelli, tmp_path):
    folder, words = with_words(name, tmp_path / "model")
    image = ["--image", ROOT / name / "image_0.png"]
    prompt = prompt_of(name)
    answer = run_ocelli(["chat", folder, *image, "--raw", "-p", prompt, "-n", 6, "--temp", 0, "--precision", "fp32", "--json"]).last_json()
    ids, found = [1] + [words[word] for word in prompt.split()], []
    for _ in range(6):
        (tmp_path / "ids.json").write_text(json.dumps({"input_ids": ids + found}))
        run_ocelli(["logits", folder, *image, "--input-ids", tmp_path / "ids.json", "--out", tmp_path / "o.safetensors"])
        found.append(int(load_file(tmp_path / "o.safetensors")["logits"][-1].argmax()))
        if found[-1] == 2:
            found.pop()
            break
    assert answer["tokens"] == found


@pytest.mark.parametrize("name", ONE_EACH)
def test_what_training_writes_is_read_again(name, run_ocelli, tmp_path):
    folder, _ = with_words(name, tmp_path / "model")
    shutil.copy(ROOT / name / "image_0.png", tmp_path / "t.png")
    record = {"id": 0, "image": "t.png", "conversations": [{"from": "human", "value": "<image>\nw5 w6"}, {"from": "gpt", "value": "w8 w9"}]}
    (tmp_path / "data.json").write_text(json.dumps([record]))
    (tmp_path / "recipe.toml").write_text(recipe(folder, tmp_path / "data.json", max_length=512, learning_rate=1e-12, batch_size=1, max_steps=1,
                                                 stage='train = ["connector"]'))
    run_ocelli(["train", tmp_path / "recipe.toml", "--out", tmp_path / "run"])
    written = tmp_path / "run" / "checkpoints" / "step-1"
    results = []
    images = [part for path in sorted((ROOT / name).glob("image_*.png")) for part in ("--image", path)]
    for number, model in enumerate((folder, written)):
        run_ocelli(["logits", model, *images, "--input-ids", ROOT / name / "input_ids.json", "--out", tmp_path / f"{number}.safetensors"])
        results.append(load_file(tmp_path / f"{number}.safetensors"))
    assert results[0]["input_ids"].tolist() == results[1]["input_ids"].tolist()
    # A step too small to move a float.
    for key in ("pixel_values", "visual_tokens", "logits"):
        assert np.abs(results[0][key] - results[1][key]).max() <= 1e-5, key


@pytest.mark.parametrize("name", ONE_EACH)
def test_explain_counts_what_is_consumed(name, run_ocelli):
    line = run_ocelli(["explain", ROOT / name / "model", "--image", "640x480", "--json"]).last_json()
    expected = load_file(ROOT / name / "expected.safetensors")
    if not name.startswith("internvl"):
        assert line["visual_tokens"] == expected["visual_tokens"].shape[0]
    weights = load_file(ROOT / name / "model" / "model.safetensors")
    unused = ("rope.", "rotary_emb", "head.weight", "head.bias")
    stored = sum(value.size for key, value in weights.items() if key == "lm_head.weight" or not any(part in key for part in unused))
    assert line["parameters"] == stored
