"""The tensorboard package reads what EventWriter wrote, value for value.

The folder is written by `report_test --gtest_filter=EventWriter.WritesGoldenFolder` of the build in $OCELLI_BUILD
(default build/dev); the values are known on both sides.
"""

import math
import os
import subprocess

import numpy as np
import pytest


@pytest.fixture(scope="module")
def folder(build_dir, tmp_path_factory):
    program = build_dir / "report_test"
    assert program.is_file(), f"{program} is not there: build it, or set OCELLI_BUILD"
    out = tmp_path_factory.mktemp("events")
    subprocess.run(
        [program, "--gtest_filter=EventWriter.WritesGoldenFolder"],
        env={**os.environ, "OCELLI_TEST_OUT": str(out)},
        check=True,
        stdout=subprocess.PIPE,
    )
    return out


@pytest.fixture(scope="module")
def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    return accumulator.Reload()


def test_scalars_come_back_equal(events):
    loss = events.Scalars("train/loss")
    rate = events.Scalars("train/learning_rate")
    assert [e.step for e in loss] == list(range(1510))
    assert [e.step for e in rate] == list(range(1500))
    assert [e.value for e in loss[:1500]] == [float(np.float32(3.0 / (step + 1))) for step in range(1500)]
    assert [e.value for e in rate] == [float(np.float32(1e-4 * step)) for step in range(1500)]
    assert [e.wall_time for e in rate] == [1.7e9 + 0.25 * step for step in range(1500)]


def test_a_resumed_run_follows_what_was_cut(events):
    assert [e.value for e in events.Scalars("train/loss")[1500:]] == [-1.0] * 10
    assert "edge/later" not in events.Tags()["scalars"]


def test_edges_come_back(events):
    assert math.isnan(events.Scalars("edge/nan")[0].value)
    assert events.Scalars("edge/infinity")[0].value == -math.inf
    assert events.Scalars("größe/猫")[0].value == 1.0


def test_text_is_a_text_summary(events):
    (event,) = events.Tensors("recipe/text_summary" if "recipe/text_summary" in events.Tags()["tensors"] else "recipe")
    assert event.step == 7
    assert list(event.tensor_proto.string_val) == ["**bold** größe\n\n    [train]\n".encode()]
    assert events.SummaryMetadata("recipe").plugin_data.plugin_name == "text"


def test_every_record_passes_the_reader_that_checks_sums(folder):
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    files = sorted(folder.glob("events.out.tfevents.*"))
    assert len(files) == 2
    assert [sum(1 for _ in LegacyEventFileLoader(str(file)).Load()) for file in files] == [1 + 1500 + 3 + 1, 1 + 10]
