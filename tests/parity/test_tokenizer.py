"""Ids and texts of ocelli's tokenizer against the `tokenizers` package, in every form published models use.

Small tokenizers are trained here in each form; texts are random with a fixed seed. All of it goes through one process:
`text_test --gtest_filter=TokenizerProbe.*` in the build folder.
"""

import json
import pathlib
import random
import sys

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # the module beside this one

from tokenizer_probe import CORPUS, expect_equal, probe, random_text  # noqa: F401 (a fixture)

TEXTS_PER_FORM = 300

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
QWEN2 = r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
O200K = (
    r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"""
    r"""|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"""
    r"""|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
)
CLIP = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"]


def byte_level_trainer(specials=SPECIALS, size=900):
    return trainers.BpeTrainer(vocab_size=size, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                               show_progress=False)


def gpt2():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.train_from_iterator(CORPUS, byte_level_trainer())
    t.add_tokens([AddedToken("<loc>", lstrip=True, rstrip=True), AddedToken("fox", single_word=True), AddedToken("  \n", normalized=False)])
    return t


def roberta():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, byte_level_trainer(["<s>", "<pad>", "</s>"] + SPECIALS))
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=True)
    return t


def split_form(pattern, normalizer=None, ignore_merges=False):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.train_from_iterator(CORPUS, byte_level_trainer())
    return t


def qwen2():
    t = split_form(QWEN2, normalizers.NFC())
    t.add_special_tokens(["<|vision_start|>", "<|image_pad|>"])
    t.add_tokens([AddedToken("Cafe\u0301", normalized=True), AddedToken("<tool_call>", normalized=False)])
    return t


def llama3():
    t = split_form(LLAMA3, ignore_merges=True)
    t.add_special_tokens(["<|begin_of_text|>"])
    bos = t.token_to_id("<|begin_of_text|>")
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B",
                                      special_tokens=[("<|begin_of_text|>", bos)])])
    return t


def llama3_file_with_word_in_vocab():
    """ignore_merges matters only for tokens that merges don't reach."""
    d = json.loads(llama3().to_str())
    vocab = d["model"]["vocab"]
    shift = 1 + max(list(vocab.values()) + [a["id"] for a in d["added_tokens"]])
    for token in ("Ġunreachable", "zebra", "ÐŁÑĢÐ¸Ð²ÐµÑĤ!"):
        vocab.setdefault(token, len(vocab))
    known = {t: i for t, i in vocab.items()}
    for a in d["added_tokens"]:
        if a["content"] not in known:
            a["id"] = max(len(vocab), shift)
    for processor in d["post_processor"]["processors"]:
        for special in processor.get("special_tokens", {}).values():
            special["ids"] = [len(vocab)]
    return Tokenizer.from_str(json.dumps(d))


def deepseek():
    """Several Splits one after another, Digits among them."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex("[\r\n]"), "isolated"),
        pre_tokenizers.Split(Regex(r"\s?\p{L}+"), "isolated"),
        pre_tokenizers.Split(Regex(r"\s?\p{P}+"), "isolated"),
        pre_tokenizers.Split(Regex("[一-龥ࠀ-一가-퟿]+"), "isolated"),
        pre_tokenizers.Split(Regex(r"\s+$"), "isolated"),
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, byte_level_trainer())
    return t


def behaviours():
    """The ways a Split treats its matches."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split("-", "merged_with_previous"),
        pre_tokenizers.Split(Regex(r"\w+"), "merged_with_next"),
        pre_tokenizers.Split(Regex(r"[,.]"), "contiguous"),
        pre_tokenizers.Split(Regex(r"[^q]+"), "removed", invert=True),
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, byte_level_trainer())
    return t


def clip():
    t = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(CLIP), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.BPEDecoder()
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=["<|startoftext|>", "<|endoftext|>"], end_of_word_suffix="</w>",
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    t.train_from_iterator(CORPUS, trainer)
    t.post_processor = processors.RobertaProcessing(("<|endoftext|>", 1), ("<|startoftext|>", 0), add_prefix_space=False)
    return t


def words():
    t = Tokenizer(models.BPE(unk_token="[UNK]", fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.Strip()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Whitespace()])
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=700, special_tokens=["[UNK]"], limit_alphabet=60, show_progress=False))
    return t


def sentencepiece(form, fuse=True, byte_fallback=True):
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=fuse, byte_fallback=byte_fallback))
    specials = ["<unk>", "<s>", "</s>"] + ([f"<0x{b:02X}>" for b in range(256)] if byte_fallback else [])
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=900, special_tokens=specials, limit_alphabet=80, show_progress=False))
    d = json.loads(t.to_str())
    d["added_tokens"] = [a for a in d["added_tokens"] if a["id"] < 3]
    t = Tokenizer.from_str(json.dumps(d))
    tail = [decoders.ByteFallback(), decoders.Fuse()]
    if form == "legacy":
        t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        t.pre_tokenizer = None
        t.decoder = decoders.Sequence([decoders.Replace("▁", " ")] + tail + [decoders.Strip(" ", 1, 0)])
    elif form == "gemma":
        t.normalizer = normalizers.Replace(" ", "▁")
        t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        t.decoder = decoders.Sequence([decoders.Replace("▁", " ")] + tail)
    else:
        t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=form, split=False)
        t.decoder = decoders.Sequence([decoders.Replace("▁", " ")] + tail + [decoders.Strip(" ", 1, 0)])
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    t.add_special_tokens(["<image>"])
    return t


def metaspace():
    t = sentencepiece("always", fuse=False)
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    t.decoder = decoders.Metaspace(prepend_scheme="first")
    return t


def t5():
    """As transformers converts a `spiece.model`: Precompiled, white space, Metaspace, Unigram."""
    from test_sentencepiece import t5 as model, model_pb2

    proto = model_pb2.ModelProto.FromString(model())
    t = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces] + [(f"<extra_id_{i}>", 0.0) for i in range(9, -1, -1)],
                                 unk_id=2, byte_fallback=False))
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
                                         normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")])
    t.decoder = decoders.Metaspace(prepend_scheme="always")
    t.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    t.add_special_tokens(["<pad>", "</s>", "<unk>"] + [f"<extra_id_{i}>" for i in range(10)])
    return t


def unigram_bytes():
    """Unigram with byte fallback, split by Metaspace alone."""
    from test_sentencepiece import MODELS, model_pb2

    proto = model_pb2.ModelProto.FromString(MODELS["unigram_bytes"]())
    t = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces], unk_id=0, byte_fallback=True))
    t.normalizer = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.add_special_tokens(["<unk>", "<s>"])
    return t


def bert(lowercase=True, strip_accents=None, cleanup=True):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100 if lowercase else 12))
    t.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents, handle_chinese_chars=lowercase)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(CORPUS, trainers.WordPieceTrainer(
        vocab_size=700, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    t.decoder = decoders.WordPiece(cleanup=cleanup)
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    t.add_special_tokens(["[DEC]"])
    return t


def punctuation():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", continuing_subword_prefix="@@"))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_next")])
    t.train_from_iterator(CORPUS, trainers.WordPieceTrainer(
        vocab_size=700, special_tokens=["[UNK]"], continuing_subword_prefix="@@", show_progress=False))
    t.decoder = decoders.WordPiece(prefix="@@", cleanup=False)
    return t


FORMS = {
    "gpt2": gpt2,
    "roberta": roberta,
    "qwen2": qwen2,
    "llama3": llama3,
    "llama3_ignore_merges": llama3_file_with_word_in_vocab,
    "o200k": lambda: split_form(O200K),
    "gpt2_by_split": lambda: split_form(GPT2, normalizers.NFKC()),
    "deepseek": deepseek,
    "behaviours": behaviours,
    "clip": clip,
    "words": words,
    "llama2_legacy": lambda: sentencepiece("legacy"),
    "llama2_metaspace_first": lambda: sentencepiece("first"),
    "llama2_metaspace_always": lambda: sentencepiece("always", fuse=False),
    "llama2_no_bytes": lambda: sentencepiece("never", byte_fallback=False),
    "llama2_no_bytes_apart": lambda: sentencepiece("legacy", fuse=False, byte_fallback=False),
    "gemma": lambda: sentencepiece("gemma"),
    "metaspace_split": metaspace,
    "t5": t5,
    "unigram_bytes": unigram_bytes,
    "bert": bert,
    "bert_cased": lambda: bert(False),
    "bert_accents": lambda: bert(True, False, False),
    "punctuation": punctuation,
}
# The forms of whole families of models: these get the full count.
FAMILIES = {"gpt2", "roberta", "qwen2", "llama3", "deepseek", "llama2_legacy", "llama2_metaspace_first", "gemma", "t5", "bert"}
# These run through PCRE2, whose tables are Unicode 14: characters of later versions are left out of their texts.
PCRE2_FORMS = {"o200k", "deepseek", "behaviours", "clip"}

def check(tokenizer, texts, answer, add_special=True):
    assert "error" not in answer, answer
    for text, ids, decoded, plain in zip(texts, answer["ids"], answer["decoded"], answer["plain"], strict=True):
        expect_equal(text, ids, tokenizer.encode(text, add_special_tokens=add_special).ids, tokenizer.id_to_token)
        expect_equal(text, decoded, tokenizer.decode(ids, skip_special_tokens=False))
        expect_equal(text, plain, tokenizer.decode(ids, skip_special_tokens=True))


@pytest.mark.parametrize("form", FORMS)
def test_random_texts(form, probe, tmp_path, full_counts):
    tokenizer = FORMS[form]()
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    tokenizer = Tokenizer.from_file(str(path))
    specials = [t.content for t in tokenizer.get_added_tokens_decoder().values()]
    rng = random.Random(f"tokenizer {form}")
    count = TEXTS_PER_FORM if not full_counts else 100_000 if form in FAMILIES else 3000
    texts = ["", " ", "  ", "\n"] + [random_text(rng, specials, form in PCRE2_FORMS) for _ in range(count)]
    with_special, without = probe([{"tokenizer": str(path), "texts": texts, "add_special": s} for s in (True, False)])
    check(tokenizer, texts, with_special, True)
    check(tokenizer, texts, without, False)
    assert with_special["vocab_size"] == 1 + max(tokenizer.get_vocab().values())


# Long stretches in which all code points are alike: ideographs, Hangul, private use, unassigned planes.
ALIKE = [(0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xE000, 0xF8FF), (0x17000, 0x187F7), (0x20000, 0x2A6DF),
         (0x2A700, 0x2EBE0), (0x30000, 0x10FFFF)]


@pytest.fixture(scope="module")
def points(full_counts):
    """Every code point; without --all those below U+3000, then one in 4, and one in 97 of the stretches that are alike."""
    def wanted(c):
        if 0xD800 <= c < 0xE000:
            return False
        if full_counts or c < 0x3000 or c % 97 == 0:
            return True
        return c % 4 == 0 and not any(first + 2 < c < last - 2 for first, last in ALIKE)

    return [chr(c) for c in range(0x110000) if wanted(c)]


def in_texts(points, pattern):
    return ["".join(pattern(c) for c in points[i:i + 512]) for i in range(0, len(points), 512)]


@pytest.mark.parametrize("form", ["gpt2", "qwen2", "llama3", "gpt2_by_split", "bert", "bert_cased", "punctuation", "t5"])
def test_every_code_point(form, probe, tmp_path, points):
    tokenizer = FORMS[form]()
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    texts = in_texts(points, lambda c: f"a{c}b 1{c}2 {c}.{c}")
    check(tokenizer, texts, probe([{"tokenizer": str(path), "texts": texts}])[0])


@pytest.mark.parametrize("normalizer", ["NFC", "NFD", "NFKC", "NFKD", "Lowercase"])
def test_every_code_point_normalized(normalizer, probe, tmp_path, points):
    tokenizer = gpt2()
    tokenizer.normalizer = getattr(normalizers, normalizer)()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    texts = in_texts(points, lambda c: f"{c} a{c}\u0327\u0301 a\u0301{c}")
    check(tokenizer, texts, probe([{"tokenizer": str(path), "texts": texts}])[0])


def test_word_characters(probe, tmp_path, points):
    tokenizer = words()
    tokenizer.normalizer = None
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_tokens([AddedToken("zz", single_word=True)])
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    texts = in_texts(points, lambda c: f"a{c}b zz{c} {c}zz")
    check(tokenizer, texts, probe([{"tokenizer": str(path), "texts": texts}])[0])


def test_merges_as_strings(probe, tmp_path):
    document = json.loads(gpt2().to_str())
    document["model"]["merges"] = [" ".join(pair) for pair in document["model"]["merges"]]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(document))
    check(Tokenizer.from_file(str(path)), CORPUS, probe([{"tokenizer": str(path), "texts": CORPUS}])[0])


@pytest.mark.parametrize("vocab_size,min_frequency", [(260, 1), (420, 2), (900, 2), (5000, 1)])
def test_trained_equals_tokenizers(vocab_size, min_frequency, probe, tmp_path):
    """The same texts, the same merges in the same order; `tokenizers` and `transformers` load what we wrote."""
    rng = random.Random(f"train {vocab_size}")
    texts = CORPUS + [random_text(rng, ["fox"], False) for _ in range(200)]
    specials = ["<|pad|>", "<|eos|>", "<image>"]
    ours = tmp_path / "tokenizer.json"
    train = {"texts": texts, "vocab_size": vocab_size, "min_frequency": min_frequency, "special_tokens": specials}
    assert probe([{"train": train, "out": str(ours)}]) == [{"written": True}]

    reference = Tokenizer(models.BPE())
    reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    reference.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    expected, written = json.loads(reference.to_str()), json.loads(ours.read_text())
    assert written["model"]["vocab"] == expected["model"]["vocab"]
    assert written["model"]["merges"] == expected["model"]["merges"]
    assert written["added_tokens"] == expected["added_tokens"]

    loaded = Tokenizer.from_file(str(ours))
    samples = [random_text(rng, specials, False) for _ in range(200)]
    check(loaded, samples, probe([{"tokenizer": str(ours), "texts": samples}])[0])

    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(tokenizer_file=str(ours))
    assert [fast(s)["input_ids"] for s in samples] == [loaded.encode(s).ids for s in samples]
    for sample in samples:
        assert loaded.decode(loaded.encode(sample).ids, skip_special_tokens=False) == sample
