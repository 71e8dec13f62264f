"""Mini-Gemini through the binary against the plain version in reference/: one and several pictures, tiles with and without the whole,
three decoders, tower folders that are absent."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file as load_arrays

sys.path.insert(0, str(Path(__file__).parent))
from harness import picture
from reference.mini_gemini import MiniGemini

SPECS = {
    "base": dict(model_type="mgm", side=28, patch=7, aux=128, grid=1, whole=False, aspect="pad", widths=(8, 12, 16, 20),
                 depths=(1, 2, 1, 1), kv=2),
    "square": dict(model_type="mgm_mistral", side=21, patch=7, aux=96, grid=1, whole=False, aspect="square", widths=(4, 8, 12),
                   depths=(2, 1, 1), kv=4, layer=-1),
    "hd": dict(model_type="mgm_gemma", side=21, patch=7, aux=96, grid=2, whole=True, aspect="pad", widths=(8, 12, 16, 20),
               depths=(1, 1, 2, 1), kv=1),
    "tiles": dict(model_type="mgm", side=14, patch=7, aux=96, grid=3, whole=False, aspect="pad", widths=(8, 12, 16, 20),
                  depths=(1, 1, 1, 1), kv=2),
}


def ids_with(rng, pictures):
    ids = [1]
    for _ in range(pictures):
        ids += rng.integers(3, 96, int(rng.integers(1, 6))).tolist() + [-200]
    return ids + rng.integers(3, 96, int(rng.integers(1, 9))).tolist()


@pytest.mark.parametrize("name", SPECS)
def test_numbers_are_the_plain_versions(name, run_ocelli, tmp_path, full_counts):
    rng = np.random.default_rng(list(SPECS).index(name))
    model = MiniGemini(SPECS[name], seed=list(SPECS).index(name))
    model.save(tmp_path / "model")
    for case, count in enumerate([1, 2] + [0, 3, 1, 2] * (5 if full_counts else 0)):
        files = [tmp_path / f"{case}-{i}.png" for i in range(count)]
        pictures, ids = [picture(file, rng) for file in files], ids_with(rng, count)
        (tmp_path / "ids.json").write_text(json.dumps({"input_ids": ids}))
        run_ocelli(["logits", tmp_path / "model", *[part for file in files for part in ("--image", file)], "--input-ids",
                    tmp_path / "ids.json", "--out", tmp_path / "o.safetensors"])
        ours, reference = load_arrays(tmp_path / "o.safetensors"), model.reference(ids, pictures)
        assert ours.keys() == reference.keys()
        assert ours["input_ids"].tolist() == reference["input_ids"].tolist()
        for key in reference.keys() - {"input_ids"}:
            assert ours[key].shape == reference[key].shape, key
            worst, largest = np.abs(ours[key] - reference[key]).max(), np.abs(reference[key]).max()
            assert worst <= 1e-4 * largest, f"{key}: differs by {worst}, the largest is {largest}"


@pytest.mark.parametrize("name", SPECS)
def test_explain_counts_what_is_consumed(name, run_ocelli, tmp_path):
    spec = SPECS[name]
    MiniGemini(spec, seed=1).save(tmp_path / "model")
    told = run_ocelli(["explain", tmp_path / "model", "--image", "640x480", "--image", "9x700", "--json"]).last_json()
    views = spec["grid"] ** 2 + (1 if spec["grid"] > 1 and spec["whole"] else 0)
    tokens = views * (spec["side"] // spec["patch"]) ** 2
    assert [each["tokens"] for each in told["pictures"]] == [tokens, tokens]


def test_a_tower_folder_that_is_not_there_is_not_needed(run_ocelli, tmp_path):
    """Heads are then 64 wide, as in every published CLIP."""
    spec = {**SPECS["base"], "tower_folder": False}
    model = MiniGemini(spec, seed=1)
    model.save(tmp_path / "model")
    told = run_ocelli(["explain", tmp_path / "model", "--image", "64x48", "--json"]).last_json()
    assert told["pictures"][0]["tokens"] == 16
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["image_size_aux"] = 100
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    failed = run_ocelli(["explain", tmp_path / "model", "--json"], code=1)
    assert "image_size_aux 100 gives 25 cells a side, no multiple of 4 patches" in failed.stderr
