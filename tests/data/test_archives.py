"""Tar shards and Parquet through `ocelli data convert`, against webdataset, datasets, pyarrow and Python's tarfile."""

import gzip
import io
import json
import random
import tarfile

import pytest
from PIL import Image


def picture_bytes(seed, kind):
    image = Image.new("RGB", (8 + seed, 12), (seed * 20 % 256, 100, 50))
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def records(folder, count=7):
    """LLaVA records of 0, 1 and 2 pictures, and the pictures they name, as `pictures[id]`."""
    (folder / "images").mkdir(parents=True)
    out, pictures = [], {}
    for i in range(count):
        names = []
        for p in range(i % 3):
            kind = ("JPEG", "PNG", "WEBP")[(i + p) % 3]
            name = f"{i}_{p}.{dict(JPEG='jpg', PNG='png', WEBP='webp')[kind]}"
            (folder / "images" / name).write_bytes(picture_bytes(i + p, kind))
            names.append(name)
        marks = "".join("<image>\n" for _ in names)
        record = {"id": f"sample/{i}.x"}
        if names:
            record["image"] = names if len(names) > 1 else names[0]
        record["conversations"] = [
            {"from": "human", "value": marks + f"Frage {i}?"},
            {"from": "gpt", "value": f"Antwort ä {i}"},
            {"from": "human", "value": "And?"},
            {"from": "gpt", "value": "No."},
        ]
        record["independent"] = i % 2 == 0
        record["question_types"] = ["what", "yes/no"]
        record["answers"] = [["a", "b"], ["No."]]
        record["source"] = {"year": 2000 + i}
        out.append(record)
        pictures[record["id"]] = [(folder / "images" / name).read_bytes() for name in names]
    (folder / "data.json").write_text(json.dumps(out))
    return out, pictures


@pytest.fixture
def llava(tmp_path):
    out, pictures = records(tmp_path / "llava")
    return tmp_path / "llava" / "data.json", out, pictures, ["--images", tmp_path / "llava" / "images"]


def test_webdataset_reads_our_shards(convert, llava, tmp_path):
    wds = pytest.importorskip("webdataset")
    source, wanted, pictures, images = llava
    convert(source, tmp_path / "out.tar", "llava", "webdataset", *images, "--shard-samples", 3)
    assert sorted(path.name for path in tmp_path.glob("out*")) == [f"out-{i:06}.tar" for i in range(3)]
    read = list(wds.WebDataset(str(tmp_path / "out-{000000..000002}.tar"), shardshuffle=False))
    assert len(read) == len(wanted)
    for sample, record in zip(read, wanted):
        mine = json.loads(sample["json"])
        assert mine["id"] == record["id"]
        assert mine["conversations"] == record["conversations"]
        assert mine["source"] == record["source"]
        fields = [key for key in sample if not key.startswith("__") and key != "json"]
        assert [sample[key] for key in fields] == pictures[record["id"]]


@pytest.mark.parametrize("form", ["ustar", "pax", "gnu", "gz"])
def test_reads_what_webdataset_and_tarfile_write(convert, tmp_path, form):
    """Long names, capitals, folders with dots, members of no sample; img2dataset's caption in txt and json."""
    wds = pytest.importorskip("webdataset")
    path = tmp_path / ("in.tar.gz" if form == "gz" else "in.tar")
    far = "folder.v1/" + "long" * (30 if form in ("pax", "gnu") else 5)
    members = [("readme", b"x")]
    for i in range(4):
        members += [(f"{far}/{i:05}.JPG", picture_bytes(i, "JPEG")), (f"{far}/{i:05}.txt", f"caption {i}\n".encode())]
    members.append((f"{far}/{4:05}.png", picture_bytes(4, "PNG")))
    members.append((f"{far}/{4:05}.json", json.dumps({"caption": "of json", "key": "4", "status": "success"}).encode()))
    kind = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT}.get(form, tarfile.USTAR_FORMAT)
    with tarfile.open(path, "w:gz" if form == "gz" else "w", format=kind) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    convert(path, tmp_path / "out.tar", "webdataset", "webdataset")
    theirs = list(wds.WebDataset(str(path), shardshuffle=False))
    mine = list(wds.WebDataset(str(tmp_path / "out.tar"), shardshuffle=False))
    assert len(mine) == len(theirs) == 5
    for a, b in zip(mine, theirs):
        record = json.loads(a["json"])
        assert record["id"] == b["__key__"]
        assert a.get("jpg", a.get("png")) == b.get("jpg", b.get("png"))
        wanted = b["txt"].decode().strip() if "txt" in b else json.loads(b["json"])["caption"]
        assert record["conversations"][-1]["value"] == wanted


def test_datasets_decodes_our_parquet(convert, llava, tmp_path):
    datasets = pytest.importorskip("datasets")
    source, wanted, pictures, images = llava
    convert(source, tmp_path / "out.parquet", "llava", "parquet", *images)
    read = datasets.load_dataset("parquet", data_files=str(tmp_path / "out.parquet"), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(read) == len(wanted)
    roles = {"human": "user", "gpt": "assistant"}
    for row, record in zip(read, wanted):
        assert row["id"] == record["id"]
        assert row["messages"] == [{"role": roles[t["from"]], "content": t["value"]} for t in record["conversations"]]
        assert json.loads(row["extra"])["source"] == record["source"]
        assert len(row["images"]) == len(pictures[record["id"]])
        for image, encoded in zip(row["images"], pictures[record["id"]]):
            assert image.convert("RGB").tobytes() == Image.open(io.BytesIO(encoded)).convert("RGB").tobytes()


def test_reads_what_datasets_writes(convert, tmp_path):
    """FineVision's form: a list of pictures, texts of user and assistant; VQA's: one picture, a question, answers."""
    datasets = pytest.importorskip("datasets")
    fine = datasets.Dataset.from_dict(
        {
            "images": [[{"bytes": picture_bytes(i, "PNG"), "path": None} for _ in range(i % 3)] for i in range(5)],
            "texts": [[{"user": f"q{i}", "assistant": f"a{i}"}, {"user": "r", "assistant": "b"}] for i in range(5)],
            "rating": list(range(5)),
        },
        features=datasets.Features(
            {
                "images": datasets.List(datasets.Image()),
                "texts": datasets.List({"user": datasets.Value("string"), "assistant": datasets.Value("string")}),
                "rating": datasets.Value("int32"),
            }
        ),
    )
    fine.to_parquet(str(tmp_path / "fine.parquet"), batch_size=2)
    convert(tmp_path / "fine.parquet", tmp_path / "fine.json", "parquet", "llava", "--out-images", tmp_path / "pictures")
    for i, record in enumerate(json.loads((tmp_path / "fine.json").read_text())):
        values = [turn["value"].replace("<image>\n", "") for turn in record["conversations"]]
        assert values == [f"q{i}", f"a{i}", "r", "b"]
        assert record["conversations"][0]["value"].count("<image>") == i % 3
        assert record["rating"] == i

    vqa = datasets.Dataset.from_dict(
        {
            "image": [Image.new("RGB", (5, 6), (9, 8, 7))] * 2,
            "question": ["how many?", "what?"],
            "answers": [["2", "two", "2"], ["cat"]],
        }
    )
    vqa.to_parquet(str(tmp_path / "vqa.parquet"))
    convert(tmp_path / "vqa.parquet", tmp_path / "vqa.tar", "parquet", "webdataset")
    with tarfile.open(tmp_path / "vqa.tar") as tar:
        record = json.load(tar.extractfile("000000000.json"))
        image = Image.open(io.BytesIO(tar.extractfile("000000000.png").read()))
    assert record["conversations"][1]["value"] == "2" and record["answers"] == [["2", "two", "2"]]
    assert image.getpixel((0, 0)) == (9, 8, 7)


def test_there_and_back_is_equal(convert, llava, tmp_path):
    pytest.importorskip("pyarrow")
    source, wanted, pictures, images = llava
    convert(source, tmp_path / "a.tar", "llava", "webdataset", *images)
    convert(tmp_path / "a.tar", tmp_path / "b.parquet", "webdataset", "parquet")
    convert(tmp_path / "b.parquet", tmp_path / "c.tar", "parquet", "webdataset")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "c.tar").read_bytes()


def test_groups_are_small_and_checked(convert, llava, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    _, out, _, _ = llava
    rows = [{"id": str(i), "conversations": out[0]["conversations"]} for i in range(250)]
    (tmp_path / "many.json").write_text(json.dumps(rows))
    convert(tmp_path / "many.json", tmp_path / "many.parquet", "llava", "parquet")
    meta = pq.ParquetFile(tmp_path / "many.parquet").metadata
    assert [meta.row_group(g).num_rows for g in range(meta.num_row_groups)] == [100, 100, 50]
    pq.read_table(tmp_path / "many.parquet", page_checksum_verification=True).validate(full=True)


def test_damage_is_named(convert, llava, tmp_path):
    source, _, _, images = llava
    convert(source, tmp_path / "a.tar", "llava", "webdataset", *images)
    whole = (tmp_path / "a.tar").read_bytes()
    packed = gzip.compress(whole)
    chance = random.Random(3)
    flipped = bytearray(whole)
    flipped[124] = ord("9")
    faults = {
        "cut.tar": (whole[: chance.randrange(600, len(whole) - 1100)], "cut"),
        "size.tar": (bytes(flipped), "checksum"),
        "cut.tar.gz": (packed[: len(packed) // 2], "ends early"),
        "text.tar": (b"no archive" * 100, "checksum"),
    }
    for name, (data, word) in faults.items():
        (tmp_path / name).write_bytes(data)
        result = convert(tmp_path / name, tmp_path / "out.json", "webdataset", "llava", code=1)
        assert name in result.stderr and word in result.stderr
        assert not (tmp_path / "out.json").exists()
