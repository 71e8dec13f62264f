"""Idefics3 and SmolVLM: tiles with their markers, bucketed positions, folded patches and answers are the reference's."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from harness import made_once
from modern_models import make_idefics3, run_case, run_chat, run_training

# Tiles as large as the tower's own pictures, and of other grids; markers as added tokens, and as plain text; grids of 25 a side,
# whose fp32 buckets are not all the patches' own places.
CONFIGS = {
    "idefics3": dict(kind="idefics3", image=28, patch=7, scale=2, tile=28, longest=84),
    "smolvlm": dict(kind="smolvlm", image=32, patch=4, scale=4, tile=32, longest=96, tied=True, kv=4),
    "other_grid": dict(kind="idefics3", image=30, patch=5, scale=2, tile=40, longest=100, kv=1, markers=False),
    "twenty_five": dict(kind="smolvlm", image=50, patch=2, scale=5, tile=50, longest=100),
    "twenty_six": dict(kind="idefics3", image=52, patch=2, scale=2, tile=52, longest=52, kv=1),
    "whole": dict(kind="smolvlm", image=28, patch=7, scale=2, tile=28, longest=84, split=False, markers=False),
}

SIZES = [(31, 77), (90, 40), (56, 56), (11, 9), (100, 7), (200, 190), (28, 28), (57, 30)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """folders(name): the saved model of that row of CONFIGS, made once."""
    return made_once(tmp_path_factory.mktemp("idefics3"), CONFIGS, make_idefics3)


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


@pytest.mark.parametrize("name", ["idefics3", "smolvlm"])
def test_what_training_writes_loads_in_transformers(name, folders, run_ocelli, tmp_path):
    rng = np.random.default_rng(31)
    run_training(run_ocelli, folders(name), tmp_path, rng, (60, 40), ["text_model", "connector", "vision_model"])
