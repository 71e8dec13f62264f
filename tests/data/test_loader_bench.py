"""`ocelli data bench`: what it counts is what the data set holds, and what can't be measured is refused by name."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from plain_models import write_llava

PICTURES = 5


@pytest.fixture
def data(tmp_path):
    """Five samples with a picture each and one of text alone."""
    records = []
    for i in range(PICTURES + 1):
        record = {"id": str(i), "conversations": [{"from": "human", "value": "what is it?"}, {"from": "gpt", "value": "a shirt"}]}
        if i < PICTURES:
            name = f"{i}.png"
            Image.fromarray(np.random.default_rng(i).integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(tmp_path / name)
            record["image"] = name
        records.append(record)
    path = tmp_path / "data.json"
    path.write_text(json.dumps(records))
    return path


@pytest.mark.parametrize("warm_up", [0, 4])
def test_each_sample_is_counted_once_behind_the_warm_up(run_ocelli, data, tmp_path, warm_up):
    write_llava(tmp_path / "model")
    made = run_ocelli(["data", "bench", data, "--model", tmp_path / "model", "--samples", 2 * (PICTURES + 1), "--warm-up", warm_up, "-t", 2,
                       "--json"]).json()
    assert (made["samples"], made["faults"], made["threads"]) == (2 * (PICTURES + 1), 0, 2)
    assert made["pictures"] == 2 * PICTURES
    assert 0 < made["first_sample_seconds"] and made["pictures_per_second"] * made["seconds"] == pytest.approx(made["pictures"])


def test_decoding_alone_needs_no_model(run_ocelli, data):
    made = run_ocelli(["data", "bench", data, "--decode-only", "--warm-up", 3, "-t", 2, "--json"]).json()
    assert (made["samples"], made["pictures"]) == (PICTURES + 1, PICTURES)
    (data.parent / "2.png").write_bytes(b"no picture")
    failed = run_ocelli(["data", "bench", data, "--decode-only", "--json"], code=1)
    assert "2.png" in failed.stderr


def test_what_can_not_be_measured_is_refused(run_ocelli, data, tmp_path):
    assert "--decode-only" in run_ocelli(["data", "bench", data], code=2).stderr
    assert "--model" in run_ocelli(["data", "bench", data, "--decode-only", "--model", tmp_path], code=2).stderr
