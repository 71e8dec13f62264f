"""Bad input through the binary: each fault is named, the exit code is 1 or 2, and nothing half-written stays under a final name."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "train"))
from tiny_run import ENV, Tiny  # noqa: E402


@pytest.fixture
def tiny(ocelli_binary, tmp_path):
    return Tiny(ocelli_binary, tmp_path / "tiny")


def faults(run):
    return [json.loads(line) for line in (run / "faults.jsonl").read_text().splitlines()]


def edit_records(tiny, edit):
    path = tiny.folder / "captions.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("\n".join(edit(records)) + "\n")


def test_broken_samples_are_skipped_and_listed(tiny, tmp_path):
    """Four of forty records broken, each in its own way; the share is allowed."""
    (tiny.folder / "truncated.png").write_bytes((tiny.folder / "red-circle-0.png").read_bytes()[:60])

    def edit(records):
        records[3]["image"] = "nowhere.png"
        records[7]["image"] = "truncated.png"
        records[11]["conversations"][1]["value"] = "  "
        records[15]["conversations"][0]["value"] = "<image><image>What is this?"
        return [json.dumps(record) for record in records]

    edit_records(tiny, edit)
    run = tmp_path / "run"
    done = tiny.train(run, "-o", "train.max_fault_share=0.2", "--json")
    result = json.loads(done.stdout.splitlines()[-1])
    listed = faults(run)
    assert result["finished"] and result["faults"] == len(listed) > 0
    assert {fault["index"] for fault in listed} == {3, 7, 11, 15}
    assert all(fault["source"] == "captions" and fault["step"] >= 1 for fault in listed)
    why = {fault["index"]: fault["fault"] for fault in listed}
    assert "nowhere.png" in why[3] and "truncated.png" in why[7]
    assert "answer is empty" in why[11] and "2 <image> marks for 1 pictures" in why[15]


def test_too_many_broken_samples_stop_the_run(tiny, tmp_path):
    def edit(records):
        return [json.dumps(record) if i % 4 else '{"id": "broken"' for i, record in enumerate(records)]

    edit_records(tiny, edit)
    run = tmp_path / "run"
    done = tiny.train(run, code=1)
    assert "max_fault_share is 0.01" in done.stderr and "faults.jsonl" in done.stderr, done.stderr[-500:]
    assert len(faults(run)) >= 1 and not (run / "model").exists()


@pytest.mark.parametrize(
    "override, named",
    [
        ("train.learning_rat=1", 'did you mean "learning_rate"'),
        ("train.batch_size=\"many\"", "train.batch_size"),
        ("train.batch_size=0", "expected 1 to"),
        ("train.lr_scheduler_type=\"cosin\"", "cosine"),
        ("train.learning_rate=-1.0", "learning_rate"),
        ("stage.none.max_steps=3", 'no stage named "none"'),
        ("model.base=\"x\"", "model.vision"),
        ("stage.all.train=[\"eyes\"]", "vision, connector, decoder"),
    ],
)
def test_recipe_errors(tiny, tmp_path, override, named):
    done = tiny.train(tmp_path / "run", "-o", override, code=2)
    assert named in done.stderr, done.stderr
    assert not (tmp_path / "run").exists()


def test_recipe_error_names_the_line(tiny, tmp_path):
    text = tiny.recipe.read_text().replace("save_steps = 7", "save_step = 7")
    tiny.recipe.write_text(text)
    line = text.splitlines().index("save_step = 7") + 1
    done = tiny.train(tmp_path / "run", code=2)
    assert f"tiny.toml:{line}: train.save_step" in done.stderr and "save_steps" in done.stderr, done.stderr


def test_missing_data(tiny, tmp_path):
    (tiny.folder / "captions.jsonl").unlink()
    done = tiny.train(tmp_path / "run", code=1)
    assert "captions.jsonl" in done.stderr


def test_a_file_in_the_way_of_the_run(tiny, tmp_path):
    (tmp_path / "run").write_text("mine")
    done = tiny.train(tmp_path / "run" / "deeper", code=1)
    assert "run" in done.stderr and (tmp_path / "run").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_folder(tiny, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    done = tiny.train(closed / "run", code=1)
    assert "closed" in done.stderr


def test_full_disk(tiny, tmp_path):
    """A run in 256 kB: it stops with the file's name, and what stands under final names is whole."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("a small disk can't be mounted here")
    try:
        done = tiny.train(disk / "run", code=1)
        assert "space" in done.stderr.lower(), done.stderr
        assert not (disk / "run/model").exists()
        checkpoints = disk / "run/checkpoints"
        for checkpoint in checkpoints.iterdir() if checkpoints.exists() else []:
            assert ".tmp-" not in checkpoint.name
            sizes = json.loads((checkpoint / "manifest.json").read_text())["files"]
            assert all((checkpoint / name).stat().st_size == entry["bytes"] for name, entry in sizes.items())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture(scope="module")
def model(ocelli_binary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny = Tiny(ocelli_binary, folder / "tiny")
    tiny.train(folder / "run", "-o", "stage.all.max_steps=1", "-o", "stage.align.max_steps=1")
    return folder / "run" / "model"


def lying(header, data=b"\0" * 64):
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(text)) + text + data


F32 = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 1 << 62) + b"{}",
        lying({"a": {**F32, "data_offsets": [0, 1 << 40]}}),
        lying({"a": {**F32, "shape": [1 << 40, 1 << 40]}}),
        lying({"a": F32, "b": {**F32, "data_offsets": [8, 24]}}),
        lying(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[16,32]}}'),
        lying({"a": {**F32, "dtype": "F99"}}),
        lying(b"[" * 5000),
    ],
    ids=["empty", "noise", "huge-header", "out-of-range", "huge-shape", "overlap", "twice", "dtype", "deep"],
)
def test_hostile_safetensors(model, run_ocelli, tmp_path, content):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "model.safetensors").write_bytes(content)
    done = run_ocelli(["chat", folder, "-p", "hello"], env=ENV, code=1, timeout=20)
    assert "model.safetensors" in done.stderr, done.stderr
    assert "frame #" not in done.stderr


@pytest.mark.parametrize("name, content", [("empty.png", b""), ("text.jpg", b"hello"), ("cut.png", None), ("absent.png", ...)])
def test_broken_pictures(model, run_ocelli, tmp_path, name, content):
    path = tmp_path / name
    if content is None:
        picture = next((model.parent.parent / "tiny").glob("*.png"))
        path.write_bytes(picture.read_bytes()[:50])
    elif content is not ...:
        path.write_bytes(content)
    done = run_ocelli(["chat", model, "--image", path, "-p", "What is this?"], env=ENV, code=1, timeout=20)
    assert name in done.stderr and "frame #" not in done.stderr, done.stderr
