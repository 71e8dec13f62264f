"""A run that was killed, stopped or damaged and then started again equals one that was not: same losses, same weights, bit for bit."""

import json
import os
import random
import signal
import time

import pytest
from tiny_run import STEPS, assert_same_run, losses


def steps_done(run):
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_when(process, run, step, wait, number):
    """Ends the process `wait` seconds after metrics name `step`; False when it was done before."""
    while process.poll() is None and steps_done(run) < step:
        time.sleep(0.002)
    time.sleep(wait)
    if process.poll() is not None:
        return False
    process.send_signal(number)
    return True


def test_killed_at_any_moment(tiny, reference, tmp_path, full_counts):
    precision, undisturbed = reference
    seed = int(os.environ.get("OCELLI_TEST_SEED", random.randrange(1 << 30)))
    print(f"OCELLI_TEST_SEED={seed}")
    chance = random.Random(seed)
    run = tmp_path / "run"
    kills = 0
    wanted = 20 if full_counts else 4
    for attempt in range(4 * wanted):
        if kills == wanted:
            break
        process = tiny.start(run, "--precision", precision)
        # Also before the first step, and within the writing of checkpoints.
        hit = kill_when(process, run, chance.randrange(STEPS), chance.uniform(0, 0.05), signal.SIGKILL)
        kills += hit
        process.communicate()
        if not hit:  # it was done: the next run starts over in a folder of its own
            assert process.returncode == 0
            assert_same_run(run, undisturbed)
            run = tmp_path / f"run{attempt}"
    assert kills == wanted
    tiny.train(run, "--precision", precision)
    assert_same_run(run, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_leaves_a_checkpoint(tiny, reference, tmp_path, number):
    precision, undisturbed = reference
    run = tmp_path / "run"
    process = tiny.start(run, "--precision", precision)
    assert kill_when(process, run, 2, 0, number)
    process.communicate(timeout=60)
    assert process.returncode == 130
    last = losses(run)[-1]["step"]
    assert last < STEPS and (run / "checkpoints" / f"step-{last}" / "manifest.json").is_file()
    tiny.train(run, "--precision", precision)
    assert_same_run(run, undisturbed)


@pytest.mark.parametrize("stop", [4, 15, 29])  # within a stage, at its end, between checkpoints
def test_max_steps_and_on(tiny, reference, tmp_path, stop):
    precision, undisturbed = reference
    run = tmp_path / "run"
    tiny.train(run, "--precision", precision, "--max-steps", stop)
    assert losses(run) == losses(undisturbed)[:stop]
    assert not (run / "model").exists()
    tiny.train(run, "--precision", precision)
    assert_same_run(run, undisturbed)
    before = (run / "metrics.jsonl").read_bytes()
    tiny.train(run, "--precision", precision)  # finished: nothing left to do
    assert (run / "metrics.jsonl").read_bytes() == before


def test_changed_recipe_is_refused(tiny, tmp_path):
    run = tmp_path / "run"
    tiny.train(run, "--max-steps", 3)
    again = tiny.train(run, "-o", "stage.all.learning_rate=1e-4", "-o", "seed=4", code=1)
    assert "stage.all.learning_rate" in again.stderr and "seed: 3 -> 4" in again.stderr, again.stderr
    assert "batch_size" not in again.stderr


def test_one_process_a_folder(tiny, tmp_path):
    run = tmp_path / "run"
    first = tiny.start(run)
    while first.poll() is None and steps_done(run) < 1:
        time.sleep(0.002)
    first.send_signal(signal.SIGSTOP)
    try:
        second = tiny.train(run, code=1)
        assert "another process" in second.stderr
    finally:
        first.send_signal(signal.SIGCONT)
        first.communicate(timeout=60)
    assert first.returncode == 0


def test_damaged_checkpoint_is_passed_over(tiny, reference, tmp_path):
    precision, undisturbed = reference
    run = tmp_path / "run"
    tiny.train(run, "--precision", precision, "--max-steps", 24)  # checkpoints 21 and 24
    weights = run / "checkpoints" / "step-24" / "optimizer.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    half = run / "checkpoints" / "step-27.tmp-12345"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    again = tiny.train(run, "--precision", precision)
    assert "step-24" in again.stderr and "hash" in again.stderr, again.stderr
    assert "step-21" in again.stderr
    assert_same_run(run, undisturbed)


def test_two_threads_resume_bit_for_bit(tiny, tmp_path):
    """Batches large enough that sums are split between threads; a killed run equals an undisturbed one all the same."""
    large = ("-o", "train.batch_size=40", "-o", "model.decoder.intermediate_size=512")
    tiny.train(tmp_path / "whole", *large, threads=2)
    run = tmp_path / "run"
    process = tiny.start(run, *large, threads=2)
    assert kill_when(process, run, 20, 0.01, signal.SIGKILL)
    process.communicate()
    tiny.train(run, *large, threads=2)
    assert_same_run(run, tmp_path / "whole")


def test_a_damaged_newer_checkpoint_does_not_displace_a_good_one(tiny, tmp_path):
    run = tmp_path / "run"
    only = ("-o", "train.save_total_limit=1")
    tiny.train(run, *only, "--max-steps", 24)
    manifest = run / "checkpoints" / "step-24" / "manifest.json"
    manifest.write_text("{}")
    tiny.train(run, *only, "--max-steps", 5)  # from the start: nothing else is left
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-5"]
    assert len(losses(run)) == 5


def test_events_are_cut_back(tiny, reference, tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    precision, _ = reference
    run = tmp_path / "run"
    process = tiny.start(run, "--precision", precision)
    assert kill_when(process, run, 20, 0, signal.SIGKILL)
    process.communicate()
    tiny.train(run, "--precision", precision)
    events = event_accumulator.EventAccumulator(str(run))
    events.Reload()
    scalars = events.Scalars("train/loss")
    assert [event.step for event in scalars] == list(range(3, STEPS + 1, 3))
    by_step = {line["step"]: line["loss"] for line in losses(run)}
    for event in scalars:
        assert event.value == pytest.approx(by_step[event.step], rel=1e-6)


def test_explicit_checkpoint(tiny, tmp_path):
    run = tmp_path / "run"
    tiny.train(run, "-o", "train.save_total_limit=9", "--max-steps", 24)
    tiny.train(run, "-o", "train.save_total_limit=9", "--resume", run / "checkpoints" / "step-7", "--max-steps", 9)
    assert [line["step"] for line in losses(run)] == list(range(1, 10))
    state = json.loads((run / "checkpoints" / "step-9" / "state.json").read_text())
    assert state["step"] == 9 and state["position"] == 54
    refused = tiny.train(run, "--resume", "never", code=1)
    assert "holds a run already" in refused.stderr
