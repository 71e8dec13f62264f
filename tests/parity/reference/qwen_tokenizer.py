"""Qwen 1's tokenizer, written plainly: what tokenization_qwen.py of Qwen/Qwen-VL does with `tiktoken`."""

import unicodedata

import regex

SPLIT = regex.compile(
    r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""")
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>") + tuple(f"<|extra_{i}|>" for i in range(205))
PICTURE = ("<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>", "<img>", "</img>", "<imgpad>")


class QwenTokenizer:
    def __init__(self, ranks, span=256):
        self.ranks, self.span = ranks, span
        self.special = {token: len(ranks) + i for i, token in enumerate(SPECIAL + PICTURE)}
        self.cut = regex.compile("(" + "|".join(map(regex.escape, self.special)) + ")")
        self.bytes = {i: b for b, i in ranks.items()}

    def piece(self, data):
        if data in self.ranks:
            return [self.ranks[data]]
        parts = [data[i:i + 1] for i in range(len(data))]
        while True:
            joins = [(self.ranks[a + b], i) for i, (a, b) in enumerate(zip(parts, parts[1:])) if a + b in self.ranks]
            if not joins:
                return [self.ranks[part] for part in parts]
            _, i = min(joins)
            parts[i:i + 2] = [parts[i] + parts[i + 1]]

    def encode(self, text):
        """None where the original raises."""
        parts = [p for p in self.cut.split(unicodedata.normalize("NFC", text)) if p]
        ids, i = [], 0
        while i < len(parts):
            if parts[i] == "<img>":
                try:
                    end = parts.index("</img>", i)
                except ValueError:
                    return None
                inner = parts[i + 1:end]
                path = "".join(inner).encode()
                if len(path) > self.span or any(p in self.special for p in inner):
                    return None
                pad = [self.special["<imgpad>"]] * (self.span - len(path))
                ids += [self.special["<img>"], *path, *pad, self.special["</img>"]]
                i = end + 1
                continue
            if parts[i] in self.special:
                ids.append(self.special[parts[i]])
            else:
                for word in SPLIT.findall(parts[i]):
                    ids += self.piece(word.encode())
            i += 1
        return ids

    def decode(self, ids, skip_special):
        out, i = b"", 0
        names = {v: k for k, v in self.special.items()}
        while i < len(ids):
            if ids[i] in names:
                if not skip_special:
                    out += names[ids[i]].encode()
                if names[ids[i]] == "<img>":
                    end = ids.index(self.special["</img>"], i)
                    out += bytes(x for x in ids[i + 1:end] if x < 256)
                    i = end
                    continue
            else:
                out += self.bytes[ids[i]]
            i += 1
        return out.decode("utf-8", errors="replace")
