"""VL-Vicuna, VL-LLaMA and MiniGPT-v2 beyond test_goldens.py: the tower's features, token counts, adapters merged on loading, placeholders."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent))
from harness import close


@pytest.fixture(scope="module")
def golden(goldens, repo_root):
    """golden(name): that folder, among the committed ones or beside them; skips when it is in neither."""

    def get(name):
        for root in (goldens, repo_root.parent / "shared" / "goldens"):
            if (root / name).is_dir():
                return root / name
        pytest.skip(f"golden {name} is not here")

    return get


def pictures_of(folder):
    return [part for file in sorted(folder.glob("image_*.png")) for part in ("--image", file)]


NAMES = ["vl-vicuna-1", "vl-vicuna-2", "minigpt-v2-1", "minigpt-v2-2"]


@pytest.mark.parametrize("name", NAMES)
def test_features_are_the_originals(name, golden, run_ocelli, tmp_path):
    folder = golden(name)
    run_ocelli(["features", folder / "model", *pictures_of(folder), "--out", tmp_path / "o.safetensors"])
    ours, theirs = load_file(tmp_path / "o.safetensors"), load_file(folder / "expected.safetensors")
    close(ours["features"], theirs["tower_features"], "features")
    close(ours["visual_tokens"], theirs["visual_tokens"], "visual_tokens")


@pytest.mark.parametrize("name", NAMES)
def test_explain_counts_the_tokens_that_are_there(name, golden, run_ocelli):
    folder = golden(name)
    told = run_ocelli(["explain", folder / "model", "--image", "300x200", "--text-tokens", 5, "--json"]).json()
    theirs = load_file(folder / "expected.safetensors")
    pictures = len(pictures_of(folder)) // 2
    assert told["pictures"][0]["tokens"] * pictures == len(theirs["visual_positions"])


def changed(folder, tmp_path, change):
    """A copy of the model whose tensors went through `change`."""
    other = tmp_path / "model"
    shutil.copytree(folder / "model", other)
    weights = load_file(other / "model.safetensors")
    change(weights)
    (other / "model.safetensors").unlink()
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    return other


def test_adapter_faults_are_named(golden, run_ocelli, tmp_path):
    folder = golden("minigpt-v2-1")
    key = "llama_model.base_model.model.model.layers.1.self_attn.v_proj.lora_{}.weight"

    def fault(change):
        shutil.rmtree(tmp_path / "model", ignore_errors=True)
        other = changed(folder, tmp_path, change)
        return run_ocelli(["logits", other, *pictures_of(folder), "--input-ids", folder / "input_ids.json", "--out", tmp_path / "o.safetensors"],
                          code=1).stderr

    def narrow(weights):
        weights[key.format("A")] = np.ascontiguousarray(weights[key.format("A")][:, 1:])

    assert "language_model.model.layers.1.self_attn.v_proj.weight: its adapter's factors" in fault(narrow)
    assert key.format("A") in fault(lambda weights: weights.pop(key.format("B")))  # one factor alone is unknown


def test_a_text_without_a_placeholder_follows_the_picture(golden, run_ocelli, tmp_path):
    """LAVIS' generate puts pictures in front of what the tokenizer gives."""
    folder = golden("vl-vicuna-2")
    ids = json.loads((folder / "input_ids.json").read_text())["input_ids"]
    assert ids[0] == -200
    (tmp_path / "ids.json").write_text(json.dumps({"input_ids": ids[1:]}))
    run_ocelli(["logits", folder / "model", *pictures_of(folder), "--input-ids", tmp_path / "ids.json", "--out", tmp_path / "o.safetensors"])
    close(load_file(tmp_path / "o.safetensors")["logits"], load_file(folder / "expected.safetensors")["logits"], "logits")
