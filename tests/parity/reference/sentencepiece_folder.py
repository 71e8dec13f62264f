"""LlamaTokenizer and T5Tokenizer of transformers 4 (`use_fast=False`) written plainly over the `sentencepiece` package.

transformers 5 has no class for them: its SentencePieceBackend is the same for `legacy`, and lacks the rest.
"""

import re

SPACE = "▁"


class SlowTokenizer:
    """`added`: content to (id, lstrip, rstrip); `special`: those of them that count as special."""

    def __init__(self, processor, added, special, legacy, add_prefix_space=True, unk="<unk>"):
        self.model, self.added, self.special = processor, added, special
        self.legacy, self.add_prefix_space, self.unk = legacy, add_prefix_space, unk
        longest_first = sorted(added, key=len, reverse=True)
        self.cut = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    def stretch(self, text):
        if self.legacy or not text.startswith((SPACE, " ")):
            return self.model.encode(text, out_type=str)
        tokens = self.model.encode(self.unk + text, out_type=str)
        shield = len(self.model.encode(self.unk, out_type=str))
        return tokens[shield:] if len(tokens) >= shield else tokens

    def tokenize_cut(self, text):
        parts = [part for part in self.cut.split(text) if part]
        for i, part in enumerate(parts):
            if part in self.added:
                _, lstrip, rstrip = self.added[part]
                if rstrip and i + 1 < len(parts) and parts[i + 1] not in self.added:
                    parts[i + 1] = parts[i + 1].lstrip()
                if lstrip and i > 0 and parts[i - 1] not in self.added:
                    parts[i - 1] = parts[i - 1].rstrip()
        tokens = []
        for part in parts:
            if part in self.added:
                tokens.append(part)
            elif part:
                tokens.extend(self.stretch(part))
        return tokens

    def encode(self, text):
        if self.legacy or not text:
            tokens = self.tokenize_cut(text)
        else:
            text = text.replace(SPACE, " ")
            tokens = self.tokenize_cut((SPACE if self.add_prefix_space else "") + text)
            if len(tokens) > 1 and tokens[0] == SPACE and tokens[1] in self.special:
                tokens = tokens[1:]
        return [self.added[t][0] if t in self.added else self.model.piece_to_id(t) for t in tokens]
