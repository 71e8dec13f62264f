"""Qwen2-VL and Qwen2.5-VL: native sizes, windows, merged patches, M-RoPE and answers are the reference's."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from harness import made_once, picture
from modern_models import make_qwen2, run_case, run_chat, run_training

# Published shapes shrunk; windows of 1, 2 and 3 merged patches, of which the last leaves narrow ones at the edges.
CONFIGS = {
    "qwen2": dict(windowed=False, depth=3, heads=4, width=32, patch=7, sections=[2, 2, 2], pixels=(28 * 28, 70 * 70)),
    "qwen2_uneven": dict(windowed=False, depth=3, heads=2, width=40, patch=4, sections=[1, 3, 2], pixels=(16 * 16, 80 * 80), kv=1, tied=True,
                         ratio=2, theta=10000.0),
    "qwen2_5": dict(windowed=True, depth=4, heads=4, width=32, patch=4, window=16, full=[1, 3], sections=[2, 2, 2], pixels=(8 * 8, 72 * 72)),
    "qwen2_5_edges": dict(windowed=True, depth=3, heads=2, width=24, patch=4, window=27, full=[2], sections=[2, 3, 1],
                          pixels=(16 * 16, 64 * 64), kv=4, tied=True),
    "qwen2_5_merge3": dict(windowed=True, depth=3, heads=2, width=24, patch=3, merge=3, window=9, full=[], sections=[4, 1, 1],
                           pixels=(18 * 18, 54 * 54), kv=1),
}

SIZES = [(31, 77), (90, 40), (56, 56), (11, 9), (100, 7), (200, 190), (28, 28), (57, 30)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """folders(name): the saved model of that row of CONFIGS, made once."""
    return made_once(tmp_path_factory.mktemp("qwen2"), CONFIGS, make_qwen2)


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_the_references(name, folders, run_ocelli, tmp_path, full_counts):
    rng = np.random.default_rng(list(CONFIGS).index(name))
    cases = [("chat", SIZES[:1]), ("raw", SIZES[3:6]), ("filled", SIZES[1:3]), ("ids", SIZES[6:8]), ("chat", [])]
    cases += [(form, [size]) for size in SIZES for form in ("chat", "ids")] if full_counts else []
    for form, sizes in cases:
        run_case(run_ocelli, folders(name), tmp_path, rng, form, sizes)


@pytest.mark.parametrize("name", CONFIGS)
def test_greedy_answers_and_counts_are_the_references(name, folders, run_ocelli, tmp_path):
    rng = np.random.default_rng(100 + list(CONFIGS).index(name))
    run_chat(run_ocelli, folders(name), tmp_path, rng, SIZES[:2])


@pytest.mark.parametrize("name", ["qwen2", "qwen2_5_edges"])
def test_what_training_writes_loads_in_transformers(name, folders, run_ocelli, tmp_path):
    rng = np.random.default_rng(31)
    run_training(run_ocelli, folders(name), tmp_path, rng, (60, 40),
                 ["language_model", "visual.merger", "visual.blocks", "visual.patch_embed"])


@pytest.mark.parametrize("name", ["qwen2", "qwen2_5"])
def test_published_configs_have_the_decoders_keys_outside(name, folders, run_ocelli, tmp_path):
    folder = folders(name)
    other = tmp_path / "model"
    shutil.copytree(folder.path, other)
    config = json.loads((other / "config.json").read_text())
    text = config.pop("text_config")
    rope = text.pop("rope_parameters")
    for key in ("layer_types", "model_type", "bos_token_id", "eos_token_id", "architectures"):
        text.pop(key, None)
    config.update({key: value for key, value in text.items() if value is not None})
    config["rope_theta"] = rope["rope_theta"]
    config["rope_scaling"] = {"type": "mrope", "mrope_section": rope["mrope_section"]}
    config.update({"sliding_window": 32768, "use_sliding_window": False, "max_window_layers": 2})
    config["vision_config"]["model_type"] = config["model_type"]
    config["vision_config"]["in_chans"] = config["vision_config"].pop("in_channels")
    (other / "config.json").write_text(json.dumps(config))
    run_case(run_ocelli, folder, tmp_path, np.random.default_rng(12), "raw", [(40, 60), (50, 20)], other)


def test_a_picture_200_times_as_long_as_wide_is_refused_by_name(folders, run_ocelli, tmp_path):

    picture(tmp_path / "long.png", np.random.default_rng(1), 402, 2)
    result = run_ocelli(["logits", folders("qwen2").path, "--image", tmp_path / "long.png", "-p", "what", "--out", tmp_path / "o.safetensors"], code=1)
    assert "200" in result.stderr
