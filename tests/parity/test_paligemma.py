"""PaliGemma: prompts that see themselves both ways, unscaled visual tokens in a scaled Gemma, and answers are the reference's."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from harness import made_once
from modern_models import make_paligemma, run_case, run_chat, run_training

CONFIGS = {
    "plain": dict(image=28, patch=7, head_dim=12, kv=1),
    "wide_heads": dict(image=30, patch=7, head_dim=20, kv=4),
    "grouped": dict(image=24, patch=4, head_dim=8, kv=2),
}

SIZES = [(31, 77), (90, 40), (56, 56), (11, 9), (100, 7)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """folders(name): the saved model of that row of CONFIGS, made once."""
    return made_once(tmp_path_factory.mktemp("paligemma"), CONFIGS, make_paligemma)


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_the_references(name, folders, run_ocelli, tmp_path, full_counts):
    rng = np.random.default_rng(list(CONFIGS).index(name))
    cases = [("chat", SIZES[:1]), ("chat", SIZES[1:3]), ("filled", SIZES[3:5])]
    for form, sizes in cases * (5 if full_counts else 1):
        run_case(run_ocelli, folders(name), tmp_path, rng, form, sizes)


@pytest.mark.parametrize("name", CONFIGS)
def test_greedy_answers_and_counts_are_the_references(name, folders, run_ocelli, tmp_path):
    rng = np.random.default_rng(100 + list(CONFIGS).index(name))
    run_chat(run_ocelli, folders(name), tmp_path, rng, SIZES[:2])


def test_what_training_writes_loads_in_transformers(folders, run_ocelli, tmp_path):
    rng = np.random.default_rng(31)


    run_training(run_ocelli, folders("plain"), tmp_path, rng, (60, 40), ["language_model", "multi_modal_projector", "vision_tower"],
                 "filled")
