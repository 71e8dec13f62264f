"""What the tokenizer tests share: random texts, and asking `text_test` for ids (ocelli/text/tokenizer_probe_test.cpp)."""

import json
import os
import subprocess

import pytest

CORPUS = [
    "The quick brown fox jumps over the lazy dog, it's what they've done since 1984 and we'll see it again in 20240101.",
    "What colour is the circle? blue\nIs there a triangle in the image? no\n\n  def main(argc, argv):\n\treturn 0x1F + 42\n",
    "Größe, façade, naïve, Ångström, çà et là; ¿qué tal? Привет, мир! Καλημέρα κόσμε. שלום עולם. مرحبا بالعالم.",
    "你好,世界。これは犬です。한국어 문장입니다. नमस्ते दुनिया สวัสดีชาวโลก",
    "emoji 👩‍👩‍👧‍👦 👍🏽 🇩🇪 ❤️ and math ∑∫√ ½ ² Ⅷ ①②③ ﬁne",
    "I'M HERE, I'Ve been, you'LL see; don't, won't, can't — “quotes” … 1,234,567.89 http://example.org/a_b?c=d&e=f#g",
] * 4

# Assigned in Unicode 15 to 17; unassigned to PCRE2 10.42.
NEWER = [(0x897, 0x897), (0xCF3, 0xCF3), (0xECE, 0xECE), (0x1B4E, 0x1B4F), (0x1B7F, 0x1B7F), (0x1C89, 0x1C8A), (0x2427, 0x2429),
         (0x2FFC, 0x2FFF), (0x31E4, 0x31E5), (0x31EF, 0x31EF), (0xA7CB, 0xA7DC), (0x10570, 0x105F3), (0x10D40, 0x10D8F),
         (0x10EC2, 0x10EFF), (0x11200, 0x1125F), (0x11380, 0x113FF), (0x116D0, 0x116FF), (0x11B00, 0x11B5F), (0x11BC0, 0x11BFF),
         (0x11F00, 0x11F5F), (0x13430, 0x143FF), (0x16100, 0x1613F), (0x16D40, 0x16D7F), (0x18CFF, 0x18CFF), (0x1B132, 0x1B155),
         (0x1CC00, 0x1CEBF), (0x1D2C0, 0x1D2DF), (0x1DF25, 0x1DF2A), (0x1E030, 0x1E08F), (0x1E4D0, 0x1E5FF), (0x1F6DC, 0x1F6DC),
         (0x1F774, 0x1F77F), (0x1F7D9, 0x1F7D9), (0x1F8B2, 0x1F8BB), (0x1F8C0, 0x1F8C1), (0x1FA75, 0x1FAFF), (0x1FBCB, 0x1FBEF),
         (0x2EBF0, 0x2EE5D), (0x31350, 0x323AF)]


def is_newer(c):
    return any(first <= c <= last for first, last in NEWER)


def random_text(rng, specials, old_only):
    def any_char():
        while True:
            c = rng.choice([rng.randrange(0x80), rng.randrange(0x80, 0x800), rng.randrange(0x800, 0x3100), rng.randrange(0x3100, 0x10000),
                            rng.randrange(0x10000, 0x20000), rng.randrange(0x110000)])
            if not 0xD800 <= c < 0xE000 and not (old_only and is_newer(c)):
                return chr(c)

    makers = [
        lambda: "".join(any_char() for _ in range(rng.randrange(1, 12))),
        lambda: rng.choice(rng.choice(CORPUS).split(" ")),
        lambda: " ",
        lambda: "".join(rng.choice(" \t\n\r\u00a0\u2003\u3000\u0085\u180e\u2028") for _ in range(rng.randrange(1, 6))),
        lambda: "".join(rng.choice("0123456789٣४½²Ⅷ") for _ in range(rng.randrange(1, 8))),
        lambda: rng.choice(["'s", "'S", "'ſ", "'ll", "'LL", "'re", "'Ve", "'d", "''", "'x", "n't"]),
        lambda: rng.choice(specials),
        lambda: rng.choice(["👩‍👩‍👧‍👦", "👍🏽", "🇩🇪", "❤️", "e\u0301", "\u0301\u0323", "가", "각", "ﬁ", "Å", "İI", "ς", "ΑΣ", "\u0344"]),
        lambda: rng.choice(["\0", "\ufeff", "\ufffd", "\uffff", "<0x41>", "<|im", "▁", "▁▁", "Ġ", "<", ">", "-", "--", ",.", ".,,"]),
        lambda: rng.choice("aàbßcqxyz") * rng.randrange(1, 40),
        lambda: rng.choice(["fox", " fox ", "foxes", "_fox", "Café", "Cafe\u0301", "unreachable", " unreachable", "zebra"]),
    ]
    return "".join(rng.choice(makers)() for _ in range(rng.randrange(0, 14)))


@pytest.fixture
def probe(build_dir, tmp_path):
    """probe(requests): our answers, one a request (see ocelli/text/tokenizer_probe_test.cpp)."""
    binary = build_dir / "text_test"
    assert binary.is_file(), f"{binary} is not there: build text_test, or set OCELLI_BUILD"

    def ask(requests):
        asked, answered = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
        asked.write_text("".join(json.dumps(r) + "\n" for r in requests))
        run = subprocess.run([binary, "--gtest_filter=TokenizerProbe.*"], capture_output=True, text=True, timeout=900,
                             env={**os.environ, "OCELLI_PROBE": str(asked), "OCELLI_TEST_OUT": str(answered)})
        assert run.returncode == 0, run.stdout + run.stderr
        answers = [json.loads(line) for line in answered.read_text().split("\n") if line]
        assert len(answers) == len(requests)
        return answers

    return ask


def expect_equal(text, ours, theirs, show=lambda x: x):
    """Shows the first place of difference: pytest's own comparison of long lists takes minutes."""
    if ours == theirs:
        return
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    window = slice(max(0, at - 4), at + 8)
    pytest.fail(f"{text[:200]!r}: from {window.start}: {[show(x) for x in ours[window]]!r}, not {[show(x) for x in theirs[window]]!r}")
