"""Small runs of the whole path, shared by the tests of training."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from tiny_run import STEPS, Tiny, losses  # noqa: E402


@pytest.fixture(scope="session")
def tiny(ocelli_binary, tmp_path_factory):
    return Tiny(ocelli_binary, tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session", params=["fp32", "bf16"])
def reference(request, tiny, tmp_path_factory):
    """(precision, run): a run nobody disturbed."""
    run = tmp_path_factory.mktemp(request.param) / "run"
    tiny.train(run, "--precision", request.param)
    assert [line["step"] for line in losses(run)] == list(range(1, STEPS + 1))
    return request.param, run
