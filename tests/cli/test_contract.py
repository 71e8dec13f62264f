"""The command line as programs rely on it: help, exit codes, clean stdout, one line of JSON, threads."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).parents[1]))
from plain_models import write_llama, write_llava

VERBS = ["demo", "train", "chat", "logits", "features", "tokenize", "eval", "explain", "report", "doctor"]
RECIPE = """
name = "little"
[model.vision]
architecture = "ocelli_vision"
image_size = 32
patch_size = 8
stem_channels = [8, 16, 16]
stem_strides = [2, 2, 2]
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 1
num_attention_heads = 2
[model.connector]
type = "pixel_shuffle"
scale = 2
[model.decoder]
architecture = "llama"
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 1
num_attention_heads = 2
[tokenizer]
train = true
vocab_size = 266
[[data]]
name = "tiny"
path = "data.json"
[[stage]]
name = "all"
learning_rate = 1e-3
batch_size = 2
max_steps = 2
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A LLaVA folder, a picture, a recipe with its data."""
    folder = tmp_path_factory.mktemp("contract")
    write_llava(folder / "llava")
    Image.new("RGB", (50, 37), (10, 200, 90)).save(folder / "p.png")
    records = [{"id": i, "image": "p.png", "conversations": [{"from": "human", "value": f"<image>\nIs {i} here?"},
                                                             {"from": "gpt", "value": "yes"}]} for i in range(4)]
    (folder / "data.json").write_text(json.dumps(records))
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def one_line_of_json(result):
    assert result.stdout.endswith("\n") and result.stdout.count("\n") == 1, result.stdout
    return result.json()


@pytest.mark.parametrize("verb", VERBS)
def test_help_goes_to_stdout(verb, run_ocelli):
    result = run_ocelli([verb, "--help"])
    assert "Usage" in result.stdout or "usage" in result.stdout
    assert f"{verb} " in result.stdout and result.stderr == ""


def test_general_help_names_every_verb(run_ocelli):
    text = run_ocelli(["--help"]).stdout
    assert all(re.search(rf"^\s+{verb}\s", text, re.M) for verb in VERBS)
    assert re.match(r"ocelli \d+\.\d+\.\d+", run_ocelli(["--version"]).stdout)


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_flag_is_a_usage_error(verb, run_ocelli):
    result = run_ocelli([verb, "--sing"], code=2)
    assert result.stdout == "" and result.stderr != ""


def test_chat_prints_what_the_contract_says(work, run_ocelli):
    result = run_ocelli(["chat", work / "llava", "--image", work / "p.png", "-p", "hello", "-n", 5, "--temp", 0, "--json"])
    answer = one_line_of_json(result)
    assert set(answer) == {"text", "tokens", "usage", "timings"} and set(answer["usage"]) == {"prompt", "image", "completion"}
    assert set(answer["timings"]) == {"load_ms", "preprocess_ms", "encode_ms", "prefill_ms", "decode_ms"}
    assert answer["usage"]["image"] == 16 and answer["usage"]["completion"] == len(answer["tokens"]) <= 5
    assert all(value >= 0 for value in answer["timings"].values())
    # Without --json the text alone is on stdout.
    plain = run_ocelli(["chat", work / "llava", "--image", work / "p.png", "-p", "hello", "-n", 5, "--temp", 0])
    assert plain.stdout == answer["text"] + "\n"


def test_a_seed_repeats_a_sampled_answer(work, run_ocelli):
    command = ["chat", work / "llava", "-p", "hello", "-n", 12, "--temp", 1, "--json", "--seed"]
    first, again, other = [one_line_of_json(run_ocelli([*command, seed]))["tokens"] for seed in (3, 3, 4)]
    assert first == again != other


def test_doctor_says_what_there_is(run_ocelli):
    report = one_line_of_json(run_ocelli(["doctor", "--json", "-t", 2]))
    assert report["threads"] == 2 and report["cores"] >= 1 and report["fp32_gmacs"] > 0 and report["isa"] in report["isas"]
    assert report["precision_auto"] == ("bf16" if report["bf16_is_native"] else "fp32")
    assert "kernels run with" in run_ocelli(["doctor"]).stdout


def test_one_isa_can_be_forced(run_ocelli):
    if "avx2" not in one_line_of_json(run_ocelli(["doctor", "--json"]))["isas"]:
        pytest.skip("no AVX2 here")
    assert one_line_of_json(run_ocelli(["doctor", "--json"], env={"OCELLI_ISA": "avx2"}))["isa"] == "avx2"


@pytest.mark.parametrize("size", ["50x37", "28x28", "500x20"])
def test_explain_counts_what_chat_consumes(size, work, run_ocelli, tmp_path):
    width, height = map(int, size.split("x"))
    Image.new("RGB", (width, height)).save(tmp_path / "p.png")
    explained = one_line_of_json(run_ocelli(["explain", work / "llava", "--image", size, "--image", size, "--text-tokens", 10, "--json"]))
    used = one_line_of_json(run_ocelli(["chat", work / "llava", "--image", tmp_path / "p.png", "--image", tmp_path / "p.png", "-p", "x",
                                        "-n", 1, "--json"]))["usage"]
    assert explained["visual_tokens"] == used["image"] == sum(picture["tokens"] for picture in explained["pictures"]) == 32
    parameters = sum(part["parameters"] for part in explained["parts"].values())
    assert explained["parameters"] == parameters and explained["text_tokens"] == 10


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_recipe_is_explained_as_the_model_it_trains(precision, work, run_ocelli, tmp_path):
    before = one_line_of_json(run_ocelli(["explain", work / "recipe.toml", "--image", "50x37", "--json"]))
    run = one_line_of_json(run_ocelli(["train", work / "recipe.toml", "--out", tmp_path / "run", "--json", "--precision", precision]))
    assert run["finished"] and run["steps"] == 2
    after = one_line_of_json(run_ocelli(["explain", run["model"], "--image", "50x37", "--json"]))
    assert before["visual_tokens"] == after["visual_tokens"] == 4
    assert before["parameters"] == after["parameters"] and before["flops"] == after["flops"]
    used = one_line_of_json(run_ocelli(["chat", run["model"], "--image", work / "p.png", "-p", "x", "-n", 1, "--json"]))["usage"]
    assert used["image"] == 4
    scores = one_line_of_json(run_ocelli(["eval", run["model"], "--task", "exact", "--data", work / "data.json", "--out", tmp_path / "e",
                                          "--json"]))
    assert scores["task"] == "exact" and scores["samples"] == 4
    assert len((tmp_path / "e" / "predictions.jsonl").read_text().splitlines()) == 4


def terminal_output(command, env):
    """Everything the command writes when all three streams are a terminal."""
    main, side = pty.openpty()
    process = subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env={**os.environ, "TERM": "xterm", **env})
    os.close(side)
    text = b""
    try:
        while piece := os.read(main, 65536):
            text += piece
    except OSError:  # the other side is closed
        pass
    os.close(main)
    return process.wait(), text.decode(errors="replace")


def test_no_color_is_respected(work, ocelli_binary, run_ocelli, tmp_path):
    code, text = terminal_output([ocelli_binary, "train", work / "recipe.toml", "--out", tmp_path / "run", "--precision", "fp32"], {"NO_COLOR": "1"})
    assert code == 0 and not re.search(r"\x1b\[[0-9;]*m", text), repr(text)
    code, text = terminal_output([ocelli_binary, "explain", tmp_path / "nowhere"], {"NO_COLOR": "1"})
    assert code == 1 and not re.search(r"\x1b\[[0-9;]*m", text)
    piped = run_ocelli(["explain", work / "llava", "--image", "50x37"])
    assert "\x1b" not in piped.stdout + piped.stderr  # no terminal, no colour


def test_a_closed_pipe_ends_quietly(work, ocelli_binary):
    process = subprocess.run(["bash", "-c", f"yes 'hello world' | '{ocelli_binary}' tokenize '{work / 'llava'}' | head -n 2; echo ${{PIPESTATUS[1]}}"],
                             capture_output=True, text=True, timeout=120)
    lines = process.stdout.splitlines()
    assert json.loads(lines[0]) == json.loads(lines[1]) and lines[2] == "141"  # SIGPIPE, as every tool
    assert process.stderr == ""


TEXTS = ["hello world", "", "  spaces  ", "Größe 你好 🙂", "see <image> here<|end|>", "tab\tand \u00a0", "x" * 300]


def test_tokenize_encodes_and_decodes(work, run_ocelli):
    reference = Tokenizer.from_file(str(work / "llava" / "tokenizer.json"))
    expected = [reference.encode(text).ids for text in TEXTS]
    lines = run_ocelli(["tokenize", work / "llava"], input="".join(text + "\n" for text in TEXTS)).stdout.splitlines()
    assert [json.loads(line) for line in lines] == expected
    ids = "".join(json.dumps(row) + "\n" for row in expected)
    assert run_ocelli(["tokenize", work / "llava", "--decode"], input=ids).stdout == "".join(text + "\n" for text in TEXTS)
    broken = ["two\nlines", 'quote " and \\', "\u2028"]
    jsonl = run_ocelli(["tokenize", work / "llava", "--jsonl"], input="".join(json.dumps(text) + "\n" for text in broken)).stdout
    assert [json.loads(line) for line in jsonl.split("\n")[:-1]] == [reference.encode(text).ids for text in broken]
    back = run_ocelli(["tokenize", work / "llava", "--decode", "--jsonl"], input=jsonl).stdout
    assert [json.loads(line) for line in back.split("\n")[:-1]] == broken
    assert run_ocelli(["tokenize", work / "llava", "--decode", "--no-special"], input="[1, 68, 2]\n").stdout == "A\n"
    assert "line 2" in run_ocelli(["tokenize", work / "llava", "--decode"], input="[1]\nx\n", code=1).stderr


def test_tokenize_renders_conversations(work, run_ocelli):
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what?"}]}, {"role": "assistant", "content": "a cat"},
                {"role": "user", "content": "sure?"}]
    out = one_line_of_json(run_ocelli(["tokenize", work / "llava", "--chat"], input=json.dumps(messages) + "\n"))
    assert out["text"] == "<|bos|>user: <image>what?\nassistant: a cat\nuser: sure?\nassistant:"
    assert out["ids"] == Tokenizer.from_file(str(work / "llava" / "tokenizer.json")).encode(out["text"]).ids


def test_a_trained_tokenizer_loads_in_transformers(run_ocelli, tmp_path):
    from transformers import AutoTokenizer  # slow to import

    (tmp_path / "text.txt").write_text("the cat sat on the mat, the dog sat on the cat. Größe 你好\n" * 50)
    run_ocelli(["tokenize", "--train", tmp_path / "text.txt", "--vocab-size", 300, "--out", tmp_path / "t"])
    theirs = AutoTokenizer.from_pretrained(tmp_path / "t")
    assert 258 <= len(theirs) <= 300 and (theirs.bos_token, theirs.eos_token) == ("<|bos|>", "<|end|>")
    texts = ["the cat sat", "a new sentence: 42 🙂", "<|bos|>dog<|end|>"]
    lines = run_ocelli(["tokenize", tmp_path / "t"], input="".join(text + "\n" for text in texts)).stdout.splitlines()
    assert [json.loads(line) for line in lines] == [theirs(text)["input_ids"] for text in texts]
    assert len(theirs("the cat sat")["input_ids"]) < 6  # merges were learnt


@pytest.mark.parametrize("threads", [1, 2])
def test_one_openmp_runtime_with_as_many_threads_as_asked(threads, ocelli_binary, tmp_path):
    """Two copies of libgomp, or a build without -fopenmp, would leave loops on one thread in silence."""
    write_llama(tmp_path / "model", hidden=256, intermediate=1024, layers=2)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
    process = subprocess.Popen([ocelli_binary, "chat", tmp_path / "model", "--temp", "0", "-n", "4", "-t", str(threads)], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    try:
        process.stdin.write("hello " * 200 + "\n")
        process.stdin.flush()
        assert process.stdout.readline() != ""  # an answer: every kind of loop has run
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        runtimes = {line.split()[-1] for line in maps.splitlines() if re.search(r"lib(gomp|iomp5|omp)[-.]", line)}
        assert len(runtimes) == 1 and "libgomp" in runtimes.pop()
        # Arrow's allocator keeps a thread of its own, which runs no loop.
        names = [comm.read_text().strip() for comm in Path(f"/proc/{process.pid}/task").glob("*/comm")]
        running = sum(name != "jemalloc_bg_thd" for name in names)
        assert running == 1 if threads == 1 else running > 1
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
