"""Tables and annotation files through `ocelli data convert`, against Python's csv and pickle, and pycocotools."""

import ast
import base64
import csv
import io
import json
import pickle
import random

import pytest
from PIL import Image

csv.field_size_limit(1 << 28)
PLACES = "[{x0}, {y0}, {x1}, {y1}]"


def picture_bytes(number, size=(40, 30)):
    out = io.BytesIO()
    Image.new("RGB", size, (number * 40 % 256, 90, 10)).save(out, "PNG")
    return out.getvalue()


def records_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def turns_of(record):
    return [turn["value"] for turn in record["conversations"]]


TEXTS = ["plain", 'say "x"', "a\ttab", "two\nlines", "ü €", "'", '"', "  blanks  ", "it's \"both\"", "back\\slash"]


def test_vlmeval_reads_what_csv_writes(convert, tmp_path):
    pictures = [picture_bytes(i) for i in range(3)]
    with open(tmp_path / "in.tsv", "w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\r\n")
        writer.writerow(["index", "image", "question", "hint", "A", "B", "answer", "category"])
        for i, text in enumerate(TEXTS):
            image = base64.b64encode(pictures[i]).decode() if i < 3 else str(i % 3)
            if i == 2:
                image = str([base64.b64encode(one).decode() for one in pictures])
            choices = [text, "other"] if i % 2 else ["", ""]
            answer = "A" if i % 2 else str([text, text + "!", text])
            writer.writerow([i, image, "Q: " + text, "hint" if i == 1 else "", *choices, answer, "kind"])
    convert(tmp_path / "in.tsv", tmp_path / "out.jsonl", "vlmeval", "llava")
    out = records_of(tmp_path / "out.jsonl")
    assert len(out) == len(TEXTS)
    for i, (record, text) in enumerate(zip(out, TEXTS)):
        files = record["image"] if isinstance(record["image"], list) else [record["image"]]
        wanted = pictures if i % 3 == 2 else [pictures[i % 3]]
        assert [(tmp_path / file).read_bytes() for file in files] == wanted
        question, answer = turns_of(record)
        question = question.replace("<image>\n", "")
        if i % 2:
            assert question == ("hint\n" if i == 1 else "") + f"Q: {text}\nA. {text}\nB. other"
            assert answer == "A"
        else:
            assert question == "Q: " + text
            assert answer == text
            assert record["answers"] == [[text, text + "!", text]]
        assert record["question_types"] == ["kind"]


def test_csv_reads_the_vlmeval_we_write(convert, tmp_path):
    (tmp_path / "a.png").write_bytes(picture_bytes(1))
    turns = []
    for text in TEXTS:
        turns += [{"from": "human", "value": text}, {"from": "gpt", "value": "A: " + text}]
    record = {"image": "a.png", "conversations": turns, "independent": True}
    record["answers"] = [["A: " + text, text] for text in TEXTS]
    (tmp_path / "in.json").write_text(json.dumps([record]))
    convert(tmp_path / "in.json", tmp_path / "out.tsv", "llava", "vlmeval")
    with open(tmp_path / "out.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["question"] for row in rows] == TEXTS
    assert base64.b64decode(rows[0]["image"]) == picture_bytes(1)
    assert {row["image"] for row in rows[1:]} == {rows[0]["index"]}
    assert [ast.literal_eval(row["answer"]) for row in rows] == record["answers"]


@pytest.fixture
def coco_files(tmp_path):
    """Instances with polygons, runs and a crowd, and the prompts to read them."""
    mask = pytest.importorskip("pycocotools.mask")
    random.seed(3)
    images, annotations = [], []
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(picture_bytes(i))
        images.append({"id": i + 10, "file_name": f"{i}.png", "width": 40, "height": 30})
        for k in range(3):
            polygon = [round(random.uniform(0, 40 if j % 2 == 0 else 30), 2) for j in range(2 * random.randint(3, 8))]
            rle = mask.merge(mask.frPyObjects([polygon], 30, 40))
            box = [float(value) for value in mask.toBbox(rle)]
            crowd = k == 2
            segmentation = {"size": [30, 40], "counts": rle["counts"].decode()} if crowd else [polygon]
            annotations.append(
                {"id": 100 + len(annotations), "image_id": i + 10, "category_id": 1 + 6 * (k % 2), "bbox": box,
                 "iscrowd": int(crowd), "area": int(mask.area(rle)), "segmentation": segmentation}
            )
    categories = [{"id": 1, "name": "cat"}, {"id": 7, "name": "dog"}]
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({"region_to_text": "What is {box}?", "text_to_region": "Where is {text}?", "box": PLACES}))
    return path, annotations, prompts


def test_pycocotools_reads_the_instances_we_write(convert, coco_files, tmp_path):
    from pycocotools.coco import COCO

    path, annotations, prompts = coco_files
    convert(path, tmp_path / "out.json", "coco", "coco", "--prompts", prompts, "--out-images", tmp_path)
    coco = COCO(str(tmp_path / "out.json"))
    assert len(coco.anns) == len(annotations)
    for mine, wanted in zip(coco.anns.values(), annotations):
        assert mine["area"] == wanted["area"] == int(coco.annToMask(mine).sum())
        assert mine["bbox"] == wanted["bbox"]
        assert mine["iscrowd"] == wanted["iscrowd"]
        assert mine["segmentation"] == wanted["segmentation"]
        assert coco.cats[mine["category_id"]]["name"] == ("cat" if wanted["category_id"] == 1 else "dog")


def test_instances_need_prompts(convert, coco_files, tmp_path):
    path, _, prompts = coco_files
    result = convert(path, tmp_path / "out.jsonl", "coco", "llava", code=1)
    assert "region_to_text" in result.stderr and "prompts" in result.stderr
    convert(path, tmp_path / "out.jsonl", "coco", "llava", "--prompts", prompts)
    out = records_of(tmp_path / "out.jsonl")
    assert turns_of(out[0])[0].startswith("<image>\nWhat is [")
    assert [turn for turn in turns_of(out[0]) if turn.startswith("Where")] == ["Where is cat?", "Where is dog?"]


def test_the_prompts_that_come_with_ocelli(convert, coco_files, tmp_path, repo_root):
    path, _, _ = coco_files
    for name, start in {"llava-1.5": "[0.", "qwen-vl": "<box>(", "internvl": "<ref>cat</ref><box>[["}.items():
        prompts = repo_root / "prompts" / f"{name}.json"
        convert(path, tmp_path / f"{name}.jsonl", "coco", "llava", "--prompts", prompts)
        texts = [text for record in records_of(tmp_path / f"{name}.jsonl") for text in turns_of(record)]
        assert any(start in text for text in texts), name


def test_coco_captions(convert, tmp_path):
    from pycocotools.coco import COCO

    (tmp_path / "a.png").write_bytes(picture_bytes(0))
    (tmp_path / "in.jsonl").write_text(json.dumps({"file_name": "a.png", "text": "Ein Bär."}) + "\n")
    (tmp_path / "metadata.jsonl").write_bytes((tmp_path / "in.jsonl").read_bytes())
    convert(tmp_path, tmp_path / "out.json", "folder", "coco", "--out-images", tmp_path)
    coco = COCO(str(tmp_path / "out.json"))
    assert [(one["caption"], coco.imgs[one["image_id"]]["file_name"]) for one in coco.anns.values()] == [("Ein Bär.", "a.png")]
    convert(tmp_path / "out.json", tmp_path / "again", "coco", "folder", "--images", tmp_path)
    (line,) = records_of(tmp_path / "again" / "metadata.jsonl")
    assert line["text"] == "Ein Bär."
    assert (tmp_path / "again" / line["file_name"]).read_bytes() == picture_bytes(0)


def test_vqa_round_trip(convert, tmp_path):
    questions, answers = [], []
    for i in range(6):
        image_id = i // 2 + 7
        (tmp_path / f"COCO_val2014_{image_id:012d}.jpg").write_bytes(picture_bytes(image_id))
        questions.append({"image_id": image_id, "question": f"q{i}?", "question_id": image_id * 1000 + i})
        people = [{"answer": f"a{i}", "answer_confidence": "yes", "answer_id": k + 1} for k in range(10)]
        answers.append(
            {"question_id": image_id * 1000 + i, "image_id": image_id, "question_type": "what", "answer_type": "other",
             "multiple_choice_answer": f"a{i}", "answers": people}
        )
    random.Random(1).shuffle(answers)
    (tmp_path / "v2_OpenEnded_questions.json").write_text(json.dumps({"data_subtype": "val2014", "questions": questions}))
    result = convert(tmp_path / "v2_OpenEnded_questions.json", tmp_path / "x.jsonl", "vqa", "llava", code=1)
    assert "questions alone" in result.stderr
    (tmp_path / "answers.json").write_text(json.dumps({"annotations": answers}))
    convert(
        tmp_path / "v2_OpenEnded_questions.json", tmp_path / "w_questions.json", "vqa", "vqa",
        "--annotations", tmp_path / "answers.json", "--out-images", tmp_path / "pictures",
    )
    mine = json.loads((tmp_path / "w_questions.json").read_text())["questions"]
    theirs = json.loads((tmp_path / "w_annotations.json").read_text())["annotations"]
    assert [(one["image_id"], one["question"]) for one in mine] == [(one["image_id"], one["question"]) for one in questions]
    for question, answer in zip(mine, theirs):
        assert question["question_id"] == answer["question_id"]
        assert answer["multiple_choice_answer"] == question["question"].replace("q", "a").rstrip("?")
        assert [one["answer_id"] for one in answer["answers"]] == list(range(1, 11))
        picture = tmp_path / "pictures" / f"COCO_data_{question['image_id']:012d}.jpg"
        assert picture.read_bytes() == picture_bytes(question["image_id"])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_refcoco_reads_every_protocol(convert, coco_files, tmp_path, protocol):
    path, annotations, prompts = coco_files
    refs = []
    for number, annotation in enumerate(annotations):
        sentences = [
            {"sent": text, "raw": text.upper(), "sent_id": k, "tokens": text.split()}
            for k, text in enumerate(["left one", "it's \"that\" € ü\\", f"number {number}"])
        ]
        refs.append(
            {"ref_id": number, "ann_id": annotation["id"], "image_id": annotation["image_id"], "sentences": sentences,
             "split": "val" if annotation["image_id"] < 12 else "testA", "category_id": 1, "score": 0.5, "big": 1 << 40}
        )
    (tmp_path / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol))
    convert(
        tmp_path / "refs(unc).p", tmp_path / "out.jsonl", "refcoco", "llava",
        "--annotations", path, "--prompts", prompts, "--split", "val",
    )
    out = records_of(tmp_path / "out.jsonl")
    assert [record["id"] for record in out] == ["10", "11"]
    wanted = [ref for ref in refs if ref["image_id"] == 11]
    questions = turns_of(out[1])[0::2]
    assert questions == ["<image>\n" * (i == 0) + f"Where is {one['sent']}?"
                         for i, one in enumerate(one for ref in wanted for one in ref["sentences"])]
    x, y, w, h = next(a["bbox"] for a in annotations if a["id"] == wanted[0]["ann_id"])
    assert json.loads(turns_of(out[1])[1]) == [x, y, x + w, y + h]


class Foreign:
    def __reduce__(self):
        return print, ("called",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_calls_is_refused(convert, coco_files, tmp_path, protocol):
    path, _, prompts = coco_files
    (tmp_path / "refs.p").write_bytes(pickle.dumps([Foreign()], protocol))
    result = convert(
        tmp_path / "refs.p", tmp_path / "out.jsonl", "refcoco", "llava", "--annotations", path, "--prompts", prompts, code=1
    )
    assert ".print" in result.stderr
    assert "called" not in result.stdout


def test_lineidx_offsets_lead_to_rows(convert, tmp_path):
    (tmp_path / "a.png").write_bytes(picture_bytes(3))
    records = [
        {
            "id": str(i),
            "image": "a.png",
            "conversations": [{"from": "human", "value": f"<image>\n{text}"}, {"from": "gpt", "value": text}],
        }
        for i, text in enumerate(TEXTS)
    ]
    (tmp_path / "in.json").write_text(json.dumps(records))
    convert(tmp_path / "in.json", tmp_path / "out.tsv", "llava", "lineidx")
    offsets = [int(line) for line in (tmp_path / "out.lineidx").read_text().splitlines()]
    with open(tmp_path / "out.tsv", "rb") as file:
        for i in random.Random(2).sample(range(len(TEXTS)), len(TEXTS)):
            file.seek(offsets[i])
            cells = file.readline().decode().rstrip("\n").split("\t")
            assert len(cells) == 7 and cells[5] == str(i) and cells[6] == "a.png"
            assert base64.b64decode(cells[1]) == picture_bytes(3)
            assert turns_of(json.loads(cells[2])) == [f"<image>\n{TEXTS[i]}", TEXTS[i]]
    convert(tmp_path / "out.tsv", tmp_path / "back.jsonl", "lineidx", "llava")
    assert [turns_of(record) for record in records_of(tmp_path / "back.jsonl")] == [turns_of(record) for record in records]


def test_text_round_trip(convert, tmp_path):
    lines = [{"instruction": text, "input": "", "output": text + "!"} for text in TEXTS]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    convert(tmp_path / "in.jsonl", tmp_path / "out.jsonl", "text", "text")
    out = records_of(tmp_path / "out.jsonl")
    assert [[turn["content"] for turn in one["messages"]] for one in out] == [[text, text + "!"] for text in TEXTS]
