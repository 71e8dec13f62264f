"""A recipe of a few thousand parameters over a few dozen small pictures, and what to do with its runs."""

import json
import os
import subprocess

from pictures import write_captions

# One thread: these models are too small to share, and runs are compared bit for bit.
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}

MODEL = """
[model.vision]
architecture = "ocelli_vision"
image_size = 32
patch_size = 8
stem_channels = [8, 8, 16]
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
num_key_value_heads = 1
max_position_embeddings = 128
tie_word_embeddings = true
[tokenizer]
train = true
vocab_size = 300
"""
RECIPE = f"""
name = "tiny"
seed = 3
{MODEL}
[[data]]
name = "captions"
path = "captions.jsonl"
[train]
precision = "fp32"
save_steps = 7
logging_steps = 3
batch_size = 6
max_length = 64
learning_rate = 2e-3
[[stage]]
name = "align"
train = ["connector"]
max_steps = 15
[[stage]]
name = "all"
max_steps = 30
data = ["captions#40"]
max_tokens_per_step = 96
max_pictures_per_pass = 2
"""
STEPS = 45


class Tiny:
    """The recipe in a folder of its own, and the command that runs it."""

    def __init__(self, binary, folder):
        self.binary = binary
        self.folder = folder
        write_captions(folder, copies=4, size=32)
        self.recipe = folder / "tiny.toml"
        self.recipe.write_text(RECIPE)

    def command(self, run, *more):
        return [str(self.binary), "train", str(self.recipe), "--out", str(run), *map(str, more)]

    def start(self, run, *more, threads=1):
        env = {**ENV, "OMP_NUM_THREADS": str(threads)}
        return subprocess.Popen(self.command(run, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)

    def train(self, run, *more, code=0, threads=1):
        env = {**ENV, "OMP_NUM_THREADS": str(threads)}
        done = subprocess.run(self.command(run, *more), capture_output=True, text=True, env=env, timeout=300)
        assert done.returncode == code, f"exit code {done.returncode}, expected {code}\n{done.stderr[-3000:]}"
        return done


def losses(run):
    """metrics.jsonl without what the clock says."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if not key.endswith("seconds")} for line in lines]


def assert_same_run(run, reference):
    assert losses(run) == losses(reference)
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (run / "model" / name).read_bytes() == (reference / "model" / name).read_bytes(), name
    for folder in (run, run / "checkpoints"):
        assert not [path.name for path in folder.iterdir() if ".tmp-" in path.name or path.name.endswith(".trash")]
