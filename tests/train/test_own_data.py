"""docs/own-data.md, followed: ten captioned pictures become a model that recognises them."""

import pytest
from pictures import write_captions
from tiny_run import ENV


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own") / "my-pictures"
    return folder, write_captions(folder)


@pytest.fixture(scope="module")
def from_nothing(own, run_ocelli, repo_root):
    folder, _ = own
    run = folder.parent / "run"
    args = ["train", repo_root / "recipes/own_data.toml", "-o", "data.own.path=my-pictures/captions.jsonl", "--out", run, "--json"]
    result = run_ocelli(args, cwd=folder.parent, env=ENV).last_json()
    assert result["finished"] and result["faults"] == 0
    return run / "model"


def recognised(run_ocelli, model, captioned):
    right = 0
    for picture, caption in captioned:
        answer = run_ocelli(["chat", model, "--image", picture, "-p", "What is this?", "--temp", 0, "--json"], env=ENV).json()
        right += answer["text"].strip() == caption
    return right


def test_from_nothing(own, from_nothing, run_ocelli):
    assert recognised(run_ocelli, from_nothing, own[1]) >= 9


def test_eval_agrees(own, from_nothing, run_ocelli, tmp_path):
    data = own[0] / "captions.jsonl"
    result = run_ocelli(["eval", from_nothing, "--task", "exact", "--data", data, "--out", tmp_path / "eval", "--json"], env=ENV).last_json()
    assert result["samples"] == 10 and result["exact_match"] >= 0.9
    blind = run_ocelli(
        ["eval", from_nothing, "--task", "exact", "--data", data, "--out", tmp_path / "blind", "--blind", "--json"], env=ENV
    ).last_json()
    assert blind["exact_match"] <= 0.2  # it looks at the pictures


def test_from_a_trained_model(own, from_nothing, run_ocelli, repo_root, tmp_path):
    """The same recipe on a base: other captions for the same pictures."""
    folder = tmp_path / "pictures"
    captioned = write_captions(folder)
    text = (folder / "captions.jsonl").read_text().replace("on grey paper", "drawn by hand")
    (folder / "captions.jsonl").write_text(text)
    run = tmp_path / "run"
    args = ["train", repo_root / "recipes/own_data.toml", "-o", f'model={{base="{from_nothing}"}}', "-o", "tokenizer={}",
            "--out", run]
    run_ocelli([*args, "-o", f"data.own.path={folder}/captions.jsonl", "-o", "stage.learn.max_steps=60"], env=ENV)
    expected = [(picture, caption.replace("on grey paper", "drawn by hand")) for picture, caption in captioned]
    assert recognised(run_ocelli, run / "model", expected) >= 9
    assert (run / "model/tokenizer.json").read_bytes() == (from_nothing / "tokenizer.json").read_bytes()
