"""LLaVA-NeXT and LLaVA-OneVision in transformers' layout: tiles, unpadded maps with newlines, counts, logits and answers are the reference's."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from harness import made_once
from modern_models import make_llava_next, make_onevision, run_case, run_chat, run_training

CONFIGS = {
    "vicuna": (make_llava_next, dict(text="llama", patch=7, kv=4)),
    "mistral": (make_llava_next, dict(text="mistral", patch=4, kv=2, window=40, feature=-1, tied=True)),
    "one_row": (make_llava_next, dict(text="llama", patch=14, kv=1, pinpoints=[[28, 84], [84, 28], [56, 56], [28, 28]], feature=[-2, 1])),
    "onevision": (make_onevision, dict(patch=7, most=9)),
    "onevision_shrunk": (make_onevision, dict(patch=4, most=2, feature=-2, tied=True, kv=4)),
}

# Portrait, landscape, exact, small, nothing left but the middle, larger than every canvas.
SIZES = [(31, 77), (90, 40), (56, 56), (11, 9), (100, 7), (200, 190), (28, 28), (57, 30)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """folders(name): the saved model of that row of CONFIGS, made once."""
    return made_once(tmp_path_factory.mktemp("tiled"), CONFIGS, lambda path, row, number: row[0](path, row[1], number))


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_the_references(name, folders, run_ocelli, tmp_path, full_counts):
    rng = np.random.default_rng(list(CONFIGS).index(name))
    cases = [("chat", SIZES[:1]), ("raw", SIZES[1:2]), ("raw", SIZES[3:6]), ("filled", SIZES[2:3]), ("ids", SIZES[6:8]), ("chat", [])]
    cases += [(form, [size]) for size in SIZES for form in ("chat", "ids")] if full_counts else []
    for form, sizes in cases:
        run_case(run_ocelli, folders(name), tmp_path, rng, form, sizes)


@pytest.mark.parametrize("name", CONFIGS)
def test_greedy_answers_and_counts_are_the_references(name, folders, run_ocelli, tmp_path):
    rng = np.random.default_rng(100 + list(CONFIGS).index(name))
    run_chat(run_ocelli, folders(name), tmp_path, rng, SIZES[1:2])
    run_chat(run_ocelli, folders(name), tmp_path, rng, SIZES[:2])


@pytest.mark.parametrize("name", ["vicuna", "mistral", "onevision"])
def test_what_training_writes_loads_in_transformers(name, folders, run_ocelli, tmp_path):
    rng = np.random.default_rng(31)
    run_training(run_ocelli, folders(name), tmp_path, rng, (90, 40),
                 ["language_model", "multi_modal_projector", "vision_tower", "image_newline"])
