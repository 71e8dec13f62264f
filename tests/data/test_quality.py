"""`ocelli data check`, `filter`, `stats` and `preview` over small data sets in which each fault lies once. Pillow is the outside
oracle for perceptual hashes."""

import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from plain_models import write_llava


def picture(seed, size=(96, 72)):
    """A smooth picture with something in it, another one for each seed."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def jpeg(image, quality):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def dhash(data):
    """ImageHash's dhash()."""
    grey = Image.open(io.BytesIO(data)).convert("RGB").convert("L").resize((9, 8), Image.Resampling.LANCZOS)
    levels = np.asarray(grey).astype(int)
    return (levels[:, 1:] > levels[:, :-1]).flatten()


def record(id, question, answer, image=None, **more):
    out = {"id": id, "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}], **more}
    if image is not None:
        out["image"] = image
    return out


def write(folder, name, records):
    path = folder / name
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def faulty(tmp_path):
    """Records 0 and 1 are good; of the others each has one fault."""
    pictures = tmp_path
    for i in range(2):
        (pictures / f"{i}.jpg").write_bytes(jpeg(picture(i), 95))
    (pictures / "copy.jpg").write_bytes((pictures / "0.jpg").read_bytes())
    (pictures / "again.jpg").write_bytes(jpeg(picture(1), 90))
    (pictures / "cut.jpg").write_bytes(jpeg(picture(3), 95)[:700])
    picture(4).save(pictures / "png.jpg", "PNG")
    picture(5, (1, 12)).save(pictures / "thin.png")
    picture(6, (210, 10)).save(pictures / "wide.png")
    picture(7).save(pictures / "gif.gif")
    records = [
        record("a", "<image>\nWhat is it?", "A cat.", "0.jpg"),
        record("b", "<image>\nWhere is it?", "On a mat.", "1.jpg"),
        record("c", "<image>\nWho?", "Nobody.", "none.jpg"),
        record("d", "<image>\nHow?", "Well.", "cut.jpg"),
        record("e", "<image>\nHow many?", "Two.", "png.jpg"),
        record("f", "<image>\nHow long?", "An hour.", "thin.png"),
        record("g", "<image>\nHow wide?", "A mile.", "wide.png"),
        record("h", "<image>\nHow high?", "A foot.", "gif.gif"),
        record("i", "<image> and <image>?", "Both.", "0.jpg"),
        record("j", "Why?", " "),
        record("k", "<image>\nWhich colour?", "Red.", "copy.jpg"),
        record("l", "<image>\nWhich shape?", "Round.", "again.jpg"),
        record("a", "Is the id its own?", "It is not."),
        record("m", "What is it?<|im_end|>", "An end."),
        record("n", "Which name?", "RenÃ©."),
        record("o", "Which sign?\u0000", "None."),
        record("p", "Which?\nA. this\nB. that", "D"),
        record("q", "What does <image> say?", "An <image>.", "0.jpg"),
        record("r", "Which name", "RenÃ©."),
    ]
    return write(tmp_path, "faulty.jsonl", records)


def test_each_fault_is_found_once(run_ocelli, faulty, tmp_path):
    out = tmp_path / "found.jsonl"
    result = run_ocelli(["data", "check", faulty, "--near", 8, "--out", out, "--json"], code=1).json()
    found = {(one["kind"], one["index"]) for one in lines(out)}
    assert found == {
        ("missing_picture", 2),
        ("broken_picture", 3),
        ("wrong_suffix", 4),
        ("tiny_picture", 5),
        ("extreme_aspect", 6),
        ("broken_picture", 7),
        ("placeholder", 8),
        ("empty_answer", 9),
        ("duplicate_picture", 10),
        ("near_duplicate_picture", 11),
        ("duplicate_id", 12),
        ("template_token", 13),
        ("mojibake", 14),
        ("nul", 15),
        ("answer_letter", 16),
        ("mark_in_answer", 17),
        ("mojibake", 18),
        ("duplicate_sample", 18),
    }
    assert result["errors"] == 8 and result["warnings"] == 10
    assert result["samples"] == 19 and result["readable"] == 17
    near = next(one for one in lines(out) if one["kind"] == "near_duplicate_picture")
    told = int(re.search(r"\((\d+) of 64 bits", near["text"])[1])
    assert told == np.sum(dhash(jpeg(picture(1), 95)) != dhash(jpeg(picture(1), 90)))


def test_good_data_pass(run_ocelli, tmp_path):
    for i in range(3):
        picture(i).save(tmp_path / f"{i}.png")
    path = write(tmp_path, "good.jsonl", [record(str(i), f"<image>\nQuestion {i}?", "yes", f"{i}.png") for i in range(3)])
    result = run_ocelli(["data", "check", path, "--json"]).json()
    assert result["errors"] == 0 and result["warnings"] == 0
    assert result["answers"]["yes"] == 3 and result["scripts"]["latin"] == 3
    text = run_ocelli(["data", "check", path]).stdout
    assert "0 errors, 0 warnings in 3 samples" in text


def test_a_reencoded_jpeg_is_near_and_others_are_not(run_ocelli, tmp_path):
    """q = 95 against q = 60; 40 pictures of which no two are the same."""
    count = 40
    records = []
    distances = []
    for i in range(count):
        good, poor = jpeg(picture(i), 95), jpeg(picture(i), 60)
        (tmp_path / f"{i}.jpg").write_bytes(good)
        (tmp_path / f"{i}-poor.jpg").write_bytes(poor)
        distances.append(int(np.sum(dhash(good) != dhash(poor))))
        records.append(record(f"{i}", f"<image>\nQ {i}", "x", f"{i}.jpg"))
        records.append(record(f"{i}p", f"<image>\nP {i}", "x", f"{i}-poor.jpg"))
    path = write(tmp_path, "data.jsonl", records)
    out = tmp_path / "found.jsonl"
    run_ocelli(["data", "check", path, "--near", 9, "--out", out])
    assert max(distances) < 10
    assert [one["index"] for one in lines(out) if one["kind"] == "near_duplicate_picture"] == list(range(1, 2 * count, 2))
    told = [int(re.search(r"\((\d+) of 64 bits", one["text"])[1]) for one in lines(out)]
    assert told == distances


def test_what_train_and_test_share(run_ocelli, tmp_path):
    for i in range(3):
        picture(i).save(tmp_path / f"{i}.png")
    train = write(
        tmp_path,
        "train.jsonl",
        [
            record("a", "<image>\nWhat is it?", "x", "0.png"),
            record("b", "<image>\nWhere?", "y", "1.png"),
            record("c", "<image>\nWhen?", "z", "2.png"),
        ],
    )
    test = write(
        tmp_path,
        "test.jsonl",
        [record("t", "<image>\nwhat is it", "?", "0.png"), record("u", "<image>\nWhy?", "?", "1.png"), record("v", "When?", "?")],
    )
    result = run_ocelli(["data", "check", train, "--against", test, "--json"], code=1).json()
    assert result["overlaps"] == [
        {
            "against": "test",
            "samples": 3,
            "with_their_picture": 2,
            "with_nearly_their_picture": 0,
            "with_their_question_and_picture": 1,
            "with_their_question": 2,
        }
    ]


def test_filter_writes_the_rest(run_ocelli, faulty, tmp_path):
    before = faulty.read_bytes()
    kept = tmp_path / "kept.jsonl"
    args = ["data", "filter", faulty, kept, "--to", "llava", "--out-images", tmp_path, "--exact-duplicates"]
    limits = ["--near-duplicates", 8, "--min-side", 2, "--max-aspect", 20, "--json"]
    result = run_ocelli([*args, *limits]).json()
    assert faulty.read_bytes() == before
    assert result["reasons"] == {
        "aspect": 1,
        "duplicate": 1,
        "near_duplicate": 2,
        "picture": 3,
        "record": 2,
        "side": 1,
    }
    assert [one["index"] for one in lines(tmp_path / "kept.jsonl.dropped.jsonl")] == [2, 3, 5, 6, 7, 8, 9, 10, 11, 18]
    assert [one["id"] for one in lines(kept)] == ["a", "b", "e", "a", "m", "n", "o", "p", "q"]
    result = run_ocelli(["data", "check", kept, "--near", 8, "--json"], code=1).json()
    assert not {"missing_picture", "broken_picture", "record", "duplicate_picture"} & set(result["findings"])


def test_filter_refuses_to_write_over_its_source(run_ocelli, faulty):
    assert "the same" in run_ocelli(["data", "filter", faulty, faulty], code=2).stderr


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "llava"
    write_llava(folder)
    return folder


@pytest.fixture
def captions(tmp_path):
    for i in range(4):
        picture(i).save(tmp_path / f"{i}.png")
    return write(tmp_path, "captions.jsonl", [record(str(i), "<image>\nWhat?", "a" * (i + 1), f"{i}.png") for i in range(4)])


def test_stats_are_what_the_model_gets(run_ocelli, captions, model):
    result = run_ocelli(["data", "stats", captions, "--model", model, "--limit", 0, "--json"]).json()
    source = result["sources"][0]
    size = run_ocelli(["explain", model, "--image", "96x72", "--json"]).json()["visual_tokens"]
    assert source["samples"] == 4 and source["pictures"] == 4 and source["turns"] == 8
    assert not source["estimated"]
    assert source["visual_tokens"] == 4 * size
    assert 0 < source["trained_tokens"] < source["text_tokens"]
    assert result["epochs"][0]["flops"] > 0


def test_stats_estimate_the_rest(run_ocelli, captions, model):
    result = run_ocelli(["data", "stats", captions, "--model", model, "--limit", 2, "--json"]).json()
    assert result["sources"][0]["estimated"] and result["sources"][0]["looked_at"] == 2
    assert result["sources"][0]["pictures"] == 4
    assert "Estimated" in run_ocelli(["data", "stats", captions, "--limit", 2]).stdout


def test_a_recipe_tells_shares_of_samples_and_of_tokens(run_ocelli, captions, model, tmp_path):
    write(tmp_path, "text.jsonl", [record(str(i), "Why?", "Because.") for i in range(8)])
    recipe = tmp_path / "mix.toml"
    recipe.write_text(
        f"""
name = "mix"
[model]
base = "{model}"
[[data]]
name = "captions"
path = "captions.jsonl"
format = "llava"
[[data]]
name = "text"
path = "text.jsonl"
format = "llava"
weight = 0.5
[[stage]]
name = "align"
train = ["connector"]
data = ["captions"]
[[stage]]
name = "all"
"""
    )
    result = run_ocelli(["data", "stats", recipe, "--json"]).json()
    align, everything = result["epochs"]
    assert align["samples"] == 4 and everything["samples"] == 8
    assert align["shares"]["text"]["samples"] == 0
    assert everything["shares"]["captions"]["samples"] == 0.5
    assert everything["shares"]["captions"]["tokens"] > 0.5
    # Without gradients of the decoder's weights a pass costs less.
    captions_alone = run_ocelli(["data", "stats", captions, "--model", model, "--json"]).json()["epochs"][0]["flops"]
    assert align["flops"] < captions_alone < everything["flops"]
    checked = run_ocelli(["data", "check", recipe, "--json"], code=None).json()
    assert checked["samples"] == 12
    assert run_ocelli(["data", "check", recipe, "--format", "llava"], code=2).stderr.count("a recipe says how")


def test_the_preview_shows_what_is_trained(run_ocelli, captions, model, tmp_path):
    page = tmp_path / "page.html"
    run_ocelli(["data", "preview", captions, "--model", model, "--out", page, "-n", 2])
    html = page.read_text()
    marked = re.findall(r"<mark>(.*?)</mark>", html, re.S)
    assert [text.strip() for text in marked] == ["a", "aaa"]
    assert html.count("data:image/png;base64,") == 4
    assert "visual tokens]" in html and "http://" not in html and "<script" not in html
