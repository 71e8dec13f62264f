"""`ocelli data convert` as its help describes it: targets, options that have no effect, records that can't be converted."""

import gzip
import io
import json
import shutil
import subprocess
import tarfile

import pytest
from PIL import Image


@pytest.fixture
def source(tmp_path):
    """Two records with a picture, one of them of two questions that stand alone."""
    folder = tmp_path / "source"
    (folder / "pictures").mkdir(parents=True)
    for name, colour in ("a.png", "red"), ("b.png", "blue"):
        Image.new("RGB", (20, 10), colour).save(folder / "pictures" / name)
    turns = [
        {"from": "human", "value": "<image>\nColour?"},
        {"from": "gpt", "value": "red"},
        {"from": "human", "value": "Big?"},
        {"from": "gpt", "value": "no"},
    ]
    records = [
        {"id": "1", "image": "pictures/a.png", "conversations": turns, "independent": True, "question_types": ["c", "s"],
         "answers": [["red", "red", "pink"], ["no"]]},
        {"id": "2", "image": "pictures/b.png", "conversations": turns[:2]},
    ]
    (folder / "data.json").write_text(json.dumps(records))
    return folder / "data.json"


def test_folders_of_the_target_are_made(run_ocelli, source, tmp_path):
    target = tmp_path / "new" / "folder" / "out.json"
    run_ocelli(["data", "convert", source, target])
    for record in json.loads(target.read_text()):
        assert (target.parent / record["image"]).exists()
    run_ocelli(["data", "filter", source, tmp_path / "other" / "out.json"])


@pytest.mark.parametrize("suffix, unpack", [("tar.gz", gzip.decompress), ("tgz", gzip.decompress), ("tar.zst", None)])
def test_archives_are_compressed_as_they_are_called(run_ocelli, source, tmp_path, suffix, unpack):
    target = tmp_path / f"out.{suffix}"
    run_ocelli(["data", "convert", source, target])
    packed = target.read_bytes()
    if unpack is None:
        if not shutil.which("zstd"):
            pytest.skip("needs the zstd command")
        plain = subprocess.run(["zstd", "-dc", target], check=True, capture_output=True).stdout
    else:
        plain = unpack(packed)
    names = tarfile.open(fileobj=io.BytesIO(plain)).getnames()
    assert names == ["000000000.png", "000000000.json", "000000001.png", "000000001.json"]
    back = run_ocelli(["data", "convert", target, tmp_path / "back.json", "--json"]).json()
    assert back["samples"] == 2


@pytest.mark.parametrize("name", ["vqa.json", "coco.json"])
def test_pictures_are_found_where_the_writer_put_them(run_ocelli, source, tmp_path, name):
    form = name.removesuffix(".json")
    run_ocelli(["data", "convert", source, tmp_path / name, "--to", form])
    # Neither --from nor --images: the file says what it is, and its pictures lie beside it.
    result = run_ocelli(["data", "convert", tmp_path / name, tmp_path / "back.json", "--json"]).json()
    assert result["samples"] == 2 and result["faults"] == 0


def test_what_has_no_effect_is_refused(run_ocelli, source, tmp_path):
    def refused(*arguments):
        return run_ocelli(["data", "convert", source, *arguments], code=2).stderr

    assert "llava has no shards" in refused(tmp_path / "out.json", "--shard-samples", 2)
    assert "names no picture files" in refused(tmp_path / "out.tar", "--out-images", tmp_path)
    assert "the same" in refused(source)
    assert "read, not written" in refused(tmp_path / "out", "--to", "refcoco")
    assert len(json.loads(source.read_text())) == 2


def test_a_hostile_record_is_left_out_and_listed(run_ocelli, source, tmp_path):
    lines = [json.dumps(record) for record in json.loads(source.read_text())]
    (source.parent / "loop.png").symlink_to("loop.png")
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    lines += [
        json.dumps({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
        json.dumps({"image": "x" * 400, "conversations": turns}),
        json.dumps({"image": "loop.png", "conversations": turns}),
        '{"a":' + "[" * 10000,
    ]
    hostile = source.parent / "hostile.jsonl"
    hostile.write_text("\n".join(lines))
    target = tmp_path / "out.jsonl"
    arguments = ["data", "convert", hostile, target, "--out-images", source.parent, "--json"]
    result = run_ocelli([*arguments, "--max-fault-share", 0.7]).json()
    assert (result["samples"], result["faults"]) == (2, 4)
    faults = tmp_path / "out.jsonl.faults.jsonl"
    assert [json.loads(line)["index"] for line in faults.read_text().splitlines()] == [2, 3, 4, 5]
    target.unlink()
    assert "sample 5: " in run_ocelli(arguments, code=1).stderr
    assert not target.exists()

    hostile.write_text("\n".join(lines[:2]))
    run_ocelli(arguments)
    assert not faults.exists(), "the list is of an earlier conversion"
