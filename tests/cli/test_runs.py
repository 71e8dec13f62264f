"""A run's folder through the binary: reports that keep what is in it, VQA accuracy, and the options around training."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from plain_models import write_llava
from test_contract import RECIPE, one_line_of_json


@pytest.fixture(scope="module")
def work(tmp_path_factory, run_ocelli):
    """A trained run with a broken record, and data with the answers of ten people."""
    folder = tmp_path_factory.mktemp("runs")
    Image.new("RGB", (50, 37), (10, 200, 90)).save(folder / "p.png")

    def record(i, more={}):
        turns = [{"from": "human", "value": f"<image>\nIs {i} here?"}, {"from": "gpt", "value": "yes"}]
        return {"id": str(i), "image": "p.png", "conversations": turns, **more}

    (folder / "data.json").write_text(json.dumps([record(0), record(1), {"id": "torn"}, record(3)]))
    (folder / "vqa.json").write_text(json.dumps([record(i, {"answers": [["yes"] * 9 + ["Yes"]], "question_types": ["here"]}) for i in range(3)]))
    (folder / "recipe.toml").write_text(RECIPE + "[train]\nmax_fault_share = 1.0\n")
    run_ocelli(["train", folder / "recipe.toml", "--out", folder / "run", "-o", "stage.all.max_steps=4"])
    return folder


def test_a_report_written_again_keeps_scores_times_and_faults(work, run_ocelli):
    run = work / "run"
    run_ocelli(["eval", run / "model", "--task", "vqa", "--data", work / "vqa.json", "--out", run / "eval-people", "-n", 4])
    before = (run / "report.html").read_text()
    assert run_ocelli(["report", run]).stdout == f"{run}/report.html\n"
    page = (run / "report.html").read_text()
    assert "vqa" in page and "VQA accuracy" in page and "here" in page and "Is 0 here?" in page and "data:image/png" in page
    for text in (before, page):
        assert "where the seconds went" in text and "backward" in text
        assert "Broken samples" in text and "conversations" in text
    run_ocelli(["report", run])
    assert (run / "report.html").read_text() == page  # nothing is lost or doubled
    assert "no run's folder" in run_ocelli(["report", work], code=1).stderr


def test_vqa_accuracy_needs_several_answers(work, run_ocelli, tmp_path):
    command = ["eval", work / "run" / "model", "--out", tmp_path / "e", "--json", "--task", "vqa", "--data"]
    scores = one_line_of_json(run_ocelli([*command, work / "vqa.json"]))
    assert scores["task"] == "vqa" and scores["samples"] == 3 and 0 <= scores["vqa_accuracy"] <= 1
    assert scores["commonest_answer"] == 1
    refused = run_ocelli([*command, work / "data.json"], code=2)
    assert "answers of several people" in refused.stderr and "--task exact" in refused.stderr


def test_results_that_cannot_be_written_are_a_failure(work, ocelli_binary):
    with open("/dev/full", "w") as full:
        for command in (["doctor", "--json"], ["explain", work / "run" / "model"], ["train", work / "recipe.toml", "--dry-run"], ["--help"]):
            done = subprocess.run([ocelli_binary, *map(str, command)], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
            assert done.returncode == 1 and "No space left" in done.stderr, (command, done.returncode, done.stderr)


def test_a_repeatable_option_takes_one_value_each_time(work, run_ocelli, tmp_path):
    write_llava(tmp_path / "llava")
    answer = one_line_of_json(run_ocelli(["chat", "-p", "x", "-n", 1, "--json", "--image", work / "p.png", "--image", work / "p.png", tmp_path / "llava"]))
    assert answer["usage"]["image"] == 32
    dry = run_ocelli(["train", "--dry-run", "-o", "seed=7", "-o", "name=other", work / "recipe.toml"]).stdout
    assert "seed = 7" in dry and 'name = "other"' in dry


@pytest.mark.parametrize("size", ["64x64abc", "64", "x", "-3x4", "64x64x64", "6.5x7"])
def test_explain_takes_only_whole_sizes(size, work, run_ocelli):
    assert f"--image {size}: expected WIDTHxHEIGHT" in run_ocelli(["explain", work / "run" / "model", f"--image={size}"], code=2).stderr


def test_explain_needs_neither_data_nor_weights(repo_root, work, run_ocelli):
    demo = one_line_of_json(run_ocelli(["explain", repo_root / "recipes/demo.toml", "--image", "64x64", "--json"]))
    assert demo["visual_tokens"] == 16 and demo["parameters"] > 100_000
    # In fp32 each parameter: the weight, its gradient, two moments.
    assert demo["training_memory_bytes"] == pytest.approx(16 * demo["parameters"], rel=0.01)
    wider = one_line_of_json(run_ocelli(["explain", repo_root / "recipes/demo.toml", "-o", "model.decoder.num_hidden_layers=4", "--json"]))
    assert wider["parameters"] > demo["parameters"]
    assert "-o" in run_ocelli(["explain", work / "run" / "model", "-o", "seed=1"], code=2).stderr


@pytest.mark.parametrize("flag", [["--dry-run"], ["--out", "elsewhere"]])
def test_an_unknown_key_of_a_part_is_named_before_anything_happens(flag, work, run_ocelli, tmp_path):
    text = (work / "recipe.toml").read_text().replace("intermediate_size = 32\nnum_hidden_layers = 1\nnum_attention_heads = 2\n[tokenizer]",
                                                      "intermediate_sise = 32\nnum_hidden_layers = 1\nnum_attention_heads = 2\n[tokenizer]")
    (tmp_path / "r.toml").write_text(text.replace('path = "data.json"', f'path = "{work}/data.json"'))
    line = text.splitlines().index("intermediate_sise = 32") + 1
    done = run_ocelli(["train", tmp_path / "r.toml", *flag], cwd=tmp_path, code=2)
    assert f'r.toml:{line}: model.decoder.intermediate_sise is not known; did you mean "intermediate_size"?' in done.stderr
    assert done.stdout == "" and not (tmp_path / "elsewhere").exists()


def test_cuda_is_not_promised(work, run_ocelli):
    assert "not supported yet" in run_ocelli(["chat", work / "run" / "model", "-p", "x", "--device", "cuda"], code=2).stderr


def test_stopped_before_the_first_step(work, ocelli_binary, tmp_path):
    """A signal that comes while the model is being made ends with 130 and a checkpoint, not with a complaint about the report."""
    (tmp_path / "many.jsonl").write_text("".join(json.dumps({"conversations": [{"from": "human", "value": f"{i} " * 200}, {"from": "gpt", "value": "yes"}]}) + "\n"
                                                 for i in range(3000)))
    process = subprocess.Popen([ocelli_binary, "train", work / "recipe.toml", "--out", tmp_path / "run", "-o", f"data.tiny.path={tmp_path}/many.jsonl",
                                "-o", "tokenizer.vocab_size=2000"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "run" / ".lock").exists() and process.poll() is None:
        time.sleep(0.002)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    if not (tmp_path / "run" / "metrics.jsonl").exists() or not (tmp_path / "run" / "metrics.jsonl").read_text():
        assert not (tmp_path / "run" / "report.html").exists()


def test_the_demo_from_end_to_end(repo_root, run_ocelli, tmp_path, full_counts):
    """Every step of `ocelli demo`, shortened: its model has seen next to nothing."""
    easy = next((repo_root / ".venv").glob("lib/python3*/site-packages/easy_vqa"), None)
    assert easy is not None, "easy-vqa is not installed: run scripts/setup"
    out = tmp_path / 'a "quoted" folder' / "demo"
    short = [f"-ostage.{stage}.max_steps=2" for stage in ("shapes", "open", "all")]
    result = run_ocelli(["demo", "--out", f"{out}/", "--recipe", repo_root / "recipes/demo.toml", "--limit", 500 if full_counts else 60, *short, "--json"],
                        env={"OCELLI_EASY_VQA": str(easy)}, timeout=600)
    last = result.last_json()
    assert set(last) == {"train_seconds", "easy_vqa", "easy_vqa_color", "fashion_mnist", "parameters", "model"}
    assert last["model"] == f"{out}/model" and (out / "model/config.json").is_file()
    assert not list(out.glob("-data")) and Path(f"{out}-data/easy_vqa/test.json").is_file()
    page = (out / "report.html").read_text()
    for text in ("easy-VQA, test split", "Fashion-MNIST, test split", "shown grey pictures", "Recipe", "What it cost"):
        assert text in page
    run_ocelli(["report", out])
    assert "easy-VQA, test split" in (out / "report.html").read_text()
