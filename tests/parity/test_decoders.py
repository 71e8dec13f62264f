"""Decoders of transformers through the binary: logits and greedy answers of tiny random folders, and folders written back.

Every parameter is drawn at random (llava_models.randomize), every row of CONFIGS turns several knobs at once.
"""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).parent))
from harness import close, train_on_text
from llava_models import VOCABULARY, Folder, randomize, tokenizer

SIZES = dict(vocab_size=VOCABULARY, hidden_size=48, intermediate_size=88, num_hidden_layers=4, num_attention_heads=4, bos_token_id=0,
             eos_token_id=1, pad_token_id=None)
GQA = dict(SIZES, num_key_value_heads=2)
SHORT_FACTORS, LONG_FACTORS = [1.0, 1.25, 1.5, 2.0, 2.5, 3.0], [1.5, 2.5, 4.0, 7.0, 9.0, 12.0]
LONGROPE = {"rope_type": "longrope", "short_factor": SHORT_FACTORS, "long_factor": LONG_FACTORS, "rope_theta": 10000.0}


def rope(kind, theta=10000.0, **more):
    return {"rope_type": kind, "rope_theta": theta, **more}


# class of transformers, its config's keys
CONFIGS = {
    "llama": ("Llama", dict(GQA, head_dim=16, attention_bias=True, mlp_bias=True, rms_norm_eps=1e-5)),
    "llama_linear": ("Llama", dict(GQA, rope_parameters=rope("linear", factor=3.0))),
    "llama_dynamic": ("Llama", dict(GQA, max_position_embeddings=16, rope_parameters=rope("dynamic", factor=2.5))),
    "llama3": ("Llama", dict(GQA, tie_word_embeddings=True, rope_parameters=rope(
        "llama3", theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64))),
    "mistral_window": ("Mistral", dict(GQA, sliding_window=7)),
    "mistral": ("Mistral", dict(GQA, sliding_window=None, head_dim=20, rope_parameters=rope("default", theta=1e6))),
    "qwen2": ("Qwen2", dict(GQA, tie_word_embeddings=True, rope_parameters=rope("default", theta=1e6))),
    "qwen2_window": ("Qwen2", dict(GQA, use_sliding_window=True, sliding_window=5, max_window_layers=2)),
    "qwen3": ("Qwen3", dict(GQA, head_dim=20, attention_bias=True)),
    "phi": ("Phi", dict(SIZES, hidden_size=80, rope_parameters=rope("default", partial_rotary_factor=0.4))),
    "phi_gqa": ("Phi", dict(GQA, hidden_act="gelu", layer_norm_eps=1e-6)),
    "phi3_window": ("Phi3", dict(GQA, sliding_window=6)),
    "phi3_short": ("Phi3", dict(GQA, max_position_embeddings=400, original_max_position_embeddings=100, rope_parameters=LONGROPE)),
    "phi3_long": ("Phi3", dict(GQA, max_position_embeddings=64, original_max_position_embeddings=12, rope_parameters=LONGROPE)),
    "phi3_partial": ("Phi3", dict(SIZES, hidden_size=64, rope_parameters=rope("default", partial_rotary_factor=0.75))),
    "gemma": ("Gemma", dict(SIZES, num_key_value_heads=1, head_dim=20, attention_bias=True)),
    "gemma_legacy": ("Gemma", dict(GQA, head_dim=12, hidden_act="gelu")),
    "opt": ("OPT", dict(SIZES, ffn_dim=88, max_position_embeddings=96)),
    "opt_plain": ("OPT", dict(SIZES, ffn_dim=70, max_position_embeddings=96, enable_bias=False, tie_word_embeddings=False,
                              activation_function="gelu")),
    "granite": ("Granite", dict(GQA, embedding_multiplier=6.0, residual_multiplier=0.4, attention_multiplier=0.11, logits_scaling=3.0,
                                attention_bias=True, mlp_bias=True)),
    "smollm3": ("SmolLM3", dict(GQA, num_hidden_layers=5, no_rope_layer_interval=2, attention_bias=True)),
    "smollm3_window": ("SmolLM3", dict(GQA, use_sliding_window=True, sliding_window=6, mlp_bias=True)),
}
ONE_OF_EACH = ["llama_dynamic", "llama3", "mistral_window", "qwen2_window", "qwen3", "phi", "phi3_long", "gemma", "opt", "granite", "smollm3"]
TEXTS = ["yes", "What colour is the 2nd circle?", "A photo of a shoe: how many buttons does the shirt have? 你好 🙂\n\n42 cats sit on 1234 mats"]


def make(path, name, seed=None):
    kind, keys = CONFIGS[name]
    keys = {key: value for key, value in keys.items() if not (kind == "OPT" and key == "intermediate_size")}
    model = getattr(transformers, kind + "ForCausalLM")(getattr(transformers, kind + "Config")(**keys)).eval()
    randomize(model, list(CONFIGS).index(name) if seed is None else seed)
    if kind == "Gemma":  # multiplies by one more than the weight
        with torch.no_grad():
            for key, value in model.named_parameters():
                if value.dim() == 1 and "norm" in key:
                    value.sub_(1)
    model.save_pretrained(path)
    tokenizer().save_pretrained(path)
    return opened(path)


def opened(path):
    """As it is on disk: rotary scalings remember the longest sequence a loaded model has seen."""
    theirs, loading = AutoModelForCausalLM.from_pretrained(path, output_loading_info=True)
    assert not any(loading[key] for key in ("unexpected_keys", "mismatched_keys", "missing_keys")), loading
    return Folder(path, theirs.eval())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root, made = tmp_path_factory.mktemp("decoders"), {}

    def get(name):
        if name not in made:
            make(root / name, name)
            made[name] = root / name
        return made[name]

    return get


def inputs_of(path, text):
    # Not AutoTokenizer: by some model types it would put another pre-tokenizer in.
    return {"input_ids": PreTrainedTokenizerFast.from_pretrained(path)(text, return_tensors="pt")["input_ids"]}


def same_logits(run_ocelli, ours, theirs, text, out):
    """`theirs`: the folder transformers opens."""
    inputs = inputs_of(theirs, text)
    run_ocelli(["logits", ours, "--raw", "-p", text, "--out", out])
    written = load_arrays(out)
    assert written["input_ids"].tolist() == inputs["input_ids"][0].tolist()
    close(written["logits"], opened(theirs).reference(inputs)["logits"], "logits")


def answer(run_ocelli, path, text):
    return run_ocelli(["chat", path, "--raw", "-p", text, "-n", 16, "--temp", 0, "--precision", "fp32", "--json"]).last_json()["tokens"]


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_the_references(name, folders, run_ocelli, tmp_path, full_counts):
    for text in TEXTS if full_counts else TEXTS[-1:]:
        same_logits(run_ocelli, folders(name), folders(name), text, tmp_path / "o.safetensors")


@pytest.mark.parametrize("name", CONFIGS)
def test_greedy_answers_are_the_references(name, folders, run_ocelli, full_counts):
    if not full_counts and name not in ONE_OF_EACH:
        pytest.skip("one of each family; the rest with OCELLI_TEST_ALL=1")
    # phi3_long begins below its original length and ends beyond it; llama_dynamic passes its own in the middle.
    for text in TEXTS if full_counts else TEXTS[:1] if "long" in name else TEXTS[1:2]:
        assert answer(run_ocelli, folders(name), text) == opened(folders(name)).generate(inputs_of(folders(name), text), 16), text


# What published configs leave out, and how they spell what they say.
def legacy(config, table=None):
    """As version 4 wrote it: the base beside the table."""
    parameters = config.pop("rope_parameters", {})
    config["rope_theta"] = parameters.pop("rope_theta", 10000.0)
    config["rope_scaling"] = table


PUBLISHED = {
    "llama_dynamic": lambda c: legacy(c, {"type": "dynamic", "factor": 2.5}),
    "llama3": lambda c: legacy(c, {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                   "original_max_position_embeddings": 64}),
    "phi": lambda c: (legacy(c), c.update(partial_rotary_factor=0.4)),
    "phi_gqa": lambda c: (legacy(c), c.pop("partial_rotary_factor", None)),
    "phi3_long": lambda c: legacy(c, {"type": "su", "short_factor": SHORT_FACTORS, "long_factor": LONG_FACTORS}),
    "gemma_legacy": lambda c: (legacy(c), c.update(hidden_act="gelu"), c.pop("tie_word_embeddings", None)),
    "qwen2": lambda c: (legacy(c), c.update(rope_theta=1e6), c.pop("layer_types", None)),
    "opt": lambda c: [c.pop(key, None) for key in ("word_embed_proj_dim", "enable_bias", "activation_function", "tie_word_embeddings")],
    "smollm3": lambda c: (c.pop("layer_types", None), c.pop("no_rope_layers", None)),
    "mistral": lambda c: (legacy(c), c.update(rope_theta=1e6)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_configs_as_published(name, folders, run_ocelli, tmp_path, full_counts):
    if not full_counts and name not in ("llama_dynamic", "phi_gqa", "phi3_long", "opt"):
        pytest.skip("a sample; the rest with OCELLI_TEST_ALL=1")
    other = tmp_path / "model"
    shutil.copytree(folders(name), other)
    config = json.loads((other / "config.json").read_text())
    PUBLISHED[name](config)
    (other / "config.json").write_text(json.dumps(config))
    same_logits(run_ocelli, other, folders(name), TEXTS[-1], tmp_path / "o.safetensors")


def internlm2_of(folder, path):
    """The published layout of InternLM2 with a Llama's weights: wqkv lies group by group."""
    shutil.copytree(folder, path)
    config = json.loads((folder / "config.json").read_text())
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    width, bias = config["hidden_size"] // heads, config["attention_bias"]
    keep = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
            "max_position_embeddings", "rms_norm_eps", "bos_token_id", "eos_token_id")
    factor = config["rope_parameters"]["factor"]
    (path / "config.json").write_text(json.dumps(
        {"model_type": "internlm2", "architectures": ["InternLM2ForCausalLM"], "bias": bias, "rope_theta": 1e6,
         "rope_scaling": {"type": "dynamic", "factor": factor}, **{key: config[key] for key in keep}}))
    weights = load_file(folder / "model.safetensors")
    names = {"self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3",
             "mlp.down_proj": "feed_forward.w2", "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
             "embed_tokens": "tok_embeddings", "lm_head": "output"}
    out = {}
    for key, value in weights.items():
        if ".q_proj." in key:
            parts = [weights[key.replace("q_proj", part)].unflatten(0, (groups, -1, width)) for part in ("q_proj", "k_proj", "v_proj")]
            out[key.replace("self_attn.q_proj", "attention.wqkv")] = torch.cat(parts, 1).flatten(0, 2).contiguous()
        elif ".k_proj." not in key and ".v_proj." not in key:
            for ours, theirs in names.items():
                key = key.replace(ours + ".", theirs + ".")
            out[key] = value.clone()
    save_file(out, path / "model.safetensors", {"format": "pt"})
    return out


@pytest.mark.parametrize("bias", [False, True])
def test_internlm2_is_a_llama_with_other_names(bias, run_ocelli, tmp_path):
    llama = tmp_path / "llama"
    CONFIGS["internlm2"] = ("Llama", dict(GQA, num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=16,
                                          attention_bias=bias, rope_parameters=rope("dynamic", theta=1e6, factor=3.0)))
    try:
        make(llama, "internlm2")
    finally:
        del CONFIGS["internlm2"]
    published = internlm2_of(llama, tmp_path / "model")
    same_logits(run_ocelli, tmp_path / "model", llama, TEXTS[-1], tmp_path / "o.safetensors")
    assert answer(run_ocelli, tmp_path / "model", TEXTS[1]) == opened(llama).generate(inputs_of(llama, TEXTS[1]), 16)
    written = trained(run_ocelli, tmp_path / "model", tmp_path, rate=1e-9)
    config = json.loads((written / "config.json").read_text())
    assert config["model_type"] == "internlm2" and config["bias"] == bias
    assert config["rope_scaling"] == {"type": "dynamic", "factor": 3.0}
    back = load_file(written / "model.safetensors")
    assert back.keys() == published.keys()
    for key, value in back.items():
        assert torch.allclose(value, published[key], atol=1e-6), key


def trained(run_ocelli, path, tmp_path, rate=1e-2):
    """What one step of training writes."""
    base = tmp_path / "base"
    shutil.copytree(path, base)
    return train_on_text(run_ocelli, base, tmp_path, learning_rate=rate)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_training_writes_loads_in_transformers(name, folders, run_ocelli, tmp_path, full_counts):
    if not full_counts and name not in ("phi", "phi3_long", "opt", "smollm3"):
        pytest.skip("a sample; the rest with OCELLI_TEST_ALL=1")
    written = trained(run_ocelli, folders(name), tmp_path)
    before, after = opened(folders(name)).model, opened(written).model
    assert type(after) is type(before)
    for (key, old), (same, new) in zip(before.named_parameters(), after.named_parameters(), strict=True):
        assert key == same and old.shape == new.shape and (old - new).abs().max() <= 0.1, key
        # Every kind of parameter takes part, the head's bias too.
        assert "bias" in key and "k_" in key or not torch.equal(old, new), f"{key} has not moved"
    same_logits(run_ocelli, written, written, TEXTS[-1], tmp_path / "o.safetensors")


WRONG = [
    ("llama", {"num_key_value_heads": 3}, "num_attention_heads 4 is no multiple of num_key_value_heads 3"),
    ("llama", {"rope_scaling": {"type": "yarn", "factor": 2.0}}, 'rope_type is "yarn"; known are'),
    ("llama", {"rope_scaling": {"type": "dynamic", "factor": 0.5}}, "factor is 0.5, expected at least 1"),
    ("llama3", {"rope_parameters": rope("llama3", factor=8.0, low_freq_factor=4.0, high_freq_factor=4.0)},
     "low_freq_factor 4 and high_freq_factor 4, expected positive and rising"),
    ("llama", {"hidden_act": "mish"}, 'activation "mish" is not known'),
    ("llama", {"rms_norm_eps": 0}, "epsilon is 0"),
    ("llama", {"vocab_size": 10**12}, "vocab_size is 1000000000000, expected"),
    ("llama", {"intermediate_size": 90}, "expected [90, 48]"),
    ("llama", {"model_type": "gpt_neox"}, "known"),
    ("mistral", {"sliding_window": 0}, "sliding_window is 0, expected"),
    ("qwen2_window", {"layer_types": ["full_attention"] * 3}, "layer_types has 3 entries for 4 layers"),
    ("qwen2_window", {"use_sliding_window": False}, "layer_types has sliding_attention, but no sliding_window is in use"),
    ("qwen2_window", {"layer_types": ["full_attention"] * 3 + ["chunked_attention"]}, 'layer_types has "chunked_attention"'),
    ("smollm3", {"no_rope_layers": [1, 0]}, "no_rope_layers has 2 entries for 5 layers"),
    ("phi", {"qk_layernorm": True}, "qk_layernorm is true; this decoder knows false alone"),
    ("phi", {"tie_word_embeddings": True}, "tie_word_embeddings is true; this decoder knows false alone"),
    ("phi", {"rope_parameters": rope("default", partial_rotary_factor=0.01)}, "partial_rotary_factor 0.01 rotates 0 of the 20 numbers"),
    ("phi3_long", {"rope_parameters": dict(LONGROPE, long_factor=[1.0, 2.0])}, "long_factor has 2 numbers, expected 6"),
    ("phi3_long", {"rope_parameters": dict(LONGROPE, short_factor=[1.0, 0.0, 1, 1, 1, 1])}, "short_factor has 0, expected positive"),
    ("gemma", {"use_bidirectional_attention": True}, "use_bidirectional_attention is true"),
    ("opt", {"word_embed_proj_dim": 24}, "word_embed_proj_dim is 24; this decoder knows hidden_size (48) alone"),
    ("opt", {"do_layer_norm_before": False}, "do_layer_norm_before is false; this decoder knows true alone"),
    ("granite", {"attention_multiplier": 0}, "attention_multiplier is 0, expected a positive number"),
]


@pytest.mark.parametrize("name, change, message", WRONG, ids=[f"{name}-{'-'.join(change)}-{i}" for i, (name, change, _) in enumerate(WRONG)])
def test_contradictory_configs_are_named(name, change, message, folders, run_ocelli, tmp_path, full_counts):
    if not full_counts and WRONG.index((name, change, message)) % 4:
        pytest.skip("every fourth; the rest with OCELLI_TEST_ALL=1")
    other = tmp_path / "model"
    shutil.copytree(folders(name), other)
    config = json.loads((other / "config.json").read_text())
    config.update(change)
    (other / "config.json").write_text(json.dumps(config))
    run = run_ocelli(["logits", other, "--raw", "-p", "yes", "--out", tmp_path / "o.safetensors"], code=1)
    assert message in run.stderr, run.stderr


def test_positions_beyond_a_learned_table_are_named(folders, run_ocelli, tmp_path):
    run = run_ocelli(["logits", folders("opt"), "--raw", "-p", "yes " * 200, "--out", tmp_path / "o.safetensors"], code=1)
    assert "outside the table of 96 learned positions" in run.stderr
