"""Folders from before `tokenizer.json`: vocab.json with merges.txt, vocab.txt, qwen.tiktoken, against transformers and a plain version."""

import base64
import json
import pathlib
import random
import sys
import unicodedata

import pytest
import regex
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # the modules beside this one

from reference.qwen_tokenizer import QwenTokenizer
from tokenizer_probe import CORPUS, expect_equal, probe, random_text  # noqa: F401 (a fixture)


def byte_level(specials):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=900, special_tokens=specials, show_progress=False,
                                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return json.loads(t.to_str())["model"]


def write_byte_level(folder, specials, config):
    model = byte_level(specials)
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [" ".join(pair) for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def texts_of(name, specials, full_counts, count=400):
    rng = random.Random(f"old {name}")
    return ["", " ", "\n"] + [random_text(rng, specials, True) for _ in range(100_000 if full_counts else count)]


def check(probe, folder, theirs, texts):  # noqa: F811
    with_special, without = probe([{"tokenizer": str(folder), "texts": texts, "add_special": s} for s in (True, False)])
    assert "error" not in with_special, with_special
    for text, ours, plain, decoded in zip(texts, with_special["ids"], without["ids"], without["decoded"], strict=True):
        expect_equal(text, ours, theirs(text)["input_ids"], theirs.convert_ids_to_tokens)
        expect_equal(text, plain, theirs(text, add_special_tokens=False)["input_ids"], theirs.convert_ids_to_tokens)
        expect_equal(text, decoded, theirs.decode(plain, skip_special_tokens=False, clean_up_tokenization_spaces=False))


GPT2 = {
    "gpt2": {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"},
    "opt": {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "pad_token": "<pad>", "add_prefix_space": False,
            "bos_token": {"__type": "AddedToken", "content": "</s>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False},
            "eos_token": "</s>", "unk_token": "</s>"},
    "phi": {"tokenizer_class": "CodeGenTokenizer", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>"},
    "qwen2": {"tokenizer_class": "Qwen2Tokenizer", "bos_token": None, "eos_token": "<|endoftext|>", "unk_token": None,
              "pad_token": "<|endoftext|>", "add_prefix_space": False},
}
ADDED = ["                ", "<|im_start|>", "<|im_end|>"]


@pytest.mark.parametrize("name", GPT2)
def test_byte_level(name, probe, tmp_path, full_counts):  # noqa: F811
    specials = ["<s>", "<pad>", "</s>"] if name == "opt" else ["<|endoftext|>"]
    config = dict(GPT2[name])
    if name in ("phi", "qwen2"):
        config["added_tokens_decoder"] = {str(900 + i): {
            "content": c, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": i > 0}
            for i, c in enumerate(ADDED)}
    write_byte_level(tmp_path, specials, config)
    theirs = getattr(transformers, GPT2[name]["tokenizer_class"]).from_pretrained(str(tmp_path))
    check(probe, tmp_path, theirs, texts_of(name, specials + ADDED, full_counts))


@pytest.mark.parametrize("config", [{}, {"do_lower_case": False}, {"do_lower_case": True, "strip_accents": False},
                                    {"tokenize_chinese_chars": False}])
def test_wordpiece(config, probe, tmp_path, full_counts):  # noqa: F811
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t.train_from_iterator([c.lower() for c in CORPUS] + CORPUS, trainers.WordPieceTrainer(
        vocab_size=800, special_tokens=specials, show_progress=False))
    vocab = sorted(t.get_vocab().items(), key=lambda item: item[1])
    (tmp_path / "vocab.txt").write_text("".join(token + "\n" for token, _ in vocab), encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", **config}))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"[DEC]": len(vocab)}))
    theirs = transformers.BertTokenizer.from_pretrained(str(tmp_path))
    check(probe, tmp_path, theirs, texts_of(f"bert {config}", specials + ["[DEC]"], full_counts and not config))


@pytest.mark.parametrize("vision", [None, {"n_queries": 40}])
def test_qwen(vision, probe, tmp_path, full_counts):  # noqa: F811
    model = byte_level([])
    characters = {}
    other = 0
    for byte in range(256):  # GPT-2's printable form
        if 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or 0xAE <= byte <= 0xFF:
            characters[chr(byte)] = byte
        else:
            characters[chr(0x100 + other)] = byte
            other += 1
    assert len(characters) == 256
    ranks = {bytes(characters[c] for c in token): i for token, i in model["vocab"].items()}
    (tmp_path / "qwen.tiktoken").write_bytes(b"".join(base64.b64encode(t) + b" %d\n" % i for t, i in ranks.items()))
    if vision:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen", "visual": vision}))
    theirs = QwenTokenizer(ranks, 256 if vision is None else vision["n_queries"])
    specials = ["<|endoftext|>", "<|im_start|>", "<|extra_11|>", "<|extra_1|>", "<ref>", "</box>", "<img>a/ü.jpg</img>", "<img></img>",
                "Picture 1: <img>https://example.org/a.jpg</img>\n", "</img>"]
    texts = texts_of("qwen", specials, full_counts and vision is None) + ["<img>" + "x" * 40 + "</img>"]
    # The `regex` package knows letters and digits that were assigned after the tables of the others.
    newest = regex.compile(r"[\p{L}\p{N}]")
    texts = [t for t in texts if not any(unicodedata.category(c) == "Cn" and newest.match(c) for c in t)]
    broken = ["<img>", "a<img>b", "<img>a<box></img>", "<img>" + "x" * 257 + "</img>"]
    answers = probe([{"tokenizer": str(tmp_path), "texts": texts}] + [{"tokenizer": str(tmp_path), "texts": [t]} for t in broken])
    answer = answers[0]
    assert "error" not in answer, answer
    for text, ids, decoded, plain in zip(texts, answer["ids"], answer["decoded"], answer["plain"], strict=True):
        expect_equal(text, ids, theirs.encode(text))
        expect_equal(text, decoded, theirs.decode(ids, False))
        expect_equal(text, plain, theirs.decode(ids, True))
    for text, wrong in zip(broken, answers[1:], strict=True):
        assert theirs.encode(text) is None and "<img>" in wrong["error"], (text, wrong)
