"""The demo's model in plain PyTorch, with the parameter names of ocelli's model folders, and the samples it is trained on."""
import json
import math
import pathlib

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer


class ConvNorm(nn.Module):
    def __init__(self, inputs, outputs, stride, eps, momentum):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=eps, momentum=momentum)

    def forward(self, x):
        return F.relu(self.norm(self.conv(x)))


class VisionAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        split = lambda y: y.view(y.shape[0], y.shape[1], self.heads, -1).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(split(self.q_proj(x)), split(self.k_proj(x)), split(self.v_proj(x)))
        return self.out_proj(mixed.transpose(1, 2).reshape(x.shape))


class VisionMlp(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class VisionBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(c["hidden_size"], eps=c["layer_norm_eps"])
        self.self_attn = VisionAttention(c["hidden_size"], c["num_attention_heads"])
        self.layer_norm2 = nn.LayerNorm(c["hidden_size"], eps=c["layer_norm_eps"])
        self.mlp = VisionMlp(c["hidden_size"], c["intermediate_size"])

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class VisionTower(nn.Module):
    def __init__(self, c):
        super().__init__()
        widths = [3] + c["stem_channels"]
        self.stem = nn.ModuleList(ConvNorm(widths[i], widths[i + 1], stride, c["batch_norm_eps"], c["batch_norm_momentum"])
                                  for i, stride in enumerate(c["stem_strides"]))
        self.embeddings = nn.Module()
        self.embeddings.position_embedding = nn.Embedding((c["image_size"] // c["patch_size"]) ** 2, c["hidden_size"])
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(VisionBlock(c) for _ in range(c["num_hidden_layers"]))
        self.post_layernorm = nn.LayerNorm(c["hidden_size"], eps=c["layer_norm_eps"])

    def forward(self, x):
        for layer in self.stem:
            x = layer(x)
        x = x.flatten(2).transpose(1, 2) + self.embeddings.position_embedding.weight
        for layer in self.encoder.layers:
            x = layer(x)
        return self.post_layernorm(x)


class PixelShuffle(nn.Module):
    def __init__(self, c, width, out):
        super().__init__()
        self.r = c["scale"]
        folded = width * self.r ** 2
        inner = c.get("hidden_width") or out
        self.layer_norm = nn.LayerNorm(folded, eps=c["layer_norm_eps"])
        self.linear_1, self.linear_2 = nn.Linear(folded, inner), nn.Linear(inner, out)

    def forward(self, x):
        n, p, d = x.shape
        side, r = math.isqrt(p), self.r
        x = x.view(n, side // r, r, side // r, r, d).permute(0, 1, 3, 2, 4, 5).reshape(n, p // r ** 2, r * r * d)
        return self.linear_2(F.gelu(self.linear_1(self.layer_norm(x))))


class RmsNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def rotate(x, cosine, sine):
    half = x.shape[-1] // 2
    return x * cosine + torch.cat((-x[..., half:], x[..., :half]), -1) * sine


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv, self.width = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        d = c["hidden_size"]
        self.q_proj = nn.Linear(d, self.heads * self.width, bias=False)
        self.k_proj = nn.Linear(d, self.kv * self.width, bias=False)
        self.v_proj = nn.Linear(d, self.kv * self.width, bias=False)
        self.o_proj = nn.Linear(self.heads * self.width, d, bias=False)

    def split(self, y):
        return y.view(y.shape[0], y.shape[1], -1, self.width).transpose(1, 2)

    def join(self, y):
        return self.o_proj(y.transpose(1, 2).reshape(y.shape[0], y.shape[2], -1))

    def widen(self, y):
        return y if self.kv == self.heads else y.repeat_interleave(self.heads // self.kv, 1)


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, f = c["hidden_size"], c["intermediate_size"]
        self.gate_proj, self.up_proj, self.down_proj = nn.Linear(d, f, bias=False), nn.Linear(d, f, bias=False), nn.Linear(f, d, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = RmsNorm(c["hidden_size"], c["rms_norm_eps"])
        self.self_attn = Attention(c)
        self.post_attention_layernorm = RmsNorm(c["hidden_size"], c["rms_norm_eps"])
        self.mlp = Mlp(c)

    def forward(self, x, cosine, sine):
        """Causal self-attention over padded sequences."""
        a, h = self.self_attn, self.input_layernorm(x)
        q, k, v = rotate(a.split(a.q_proj(h)), cosine, sine), rotate(a.split(a.k_proj(h)), cosine, sine), a.split(a.v_proj(h))
        x = x + a.join(F.scaled_dot_product_attention(q, a.widen(k), a.widen(v), is_causal=True))
        return x + self.mlp(self.post_attention_layernorm(x))


class Model(nn.Module):
    def __init__(self, folder):
        super().__init__()
        config = json.loads((pathlib.Path(folder) / "config.json").read_text())
        c = config["text_config"]
        self.vision_tower = VisionTower(config["vision_config"])
        self.multi_modal_projector = PixelShuffle(config["connector_config"], config["vision_config"]["hidden_size"], c["hidden_size"])
        self.language_model = nn.Module()
        body = self.language_model.model = nn.Module()
        body.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        body.layers = nn.ModuleList(Block(c) for _ in range(c["num_hidden_layers"]))
        body.norm = RmsNorm(c["hidden_size"], c["rms_norm_eps"])
        angles = torch.arange(256.0)[:, None] * c["rope_theta"] ** (-torch.arange(0, c["head_dim"], 2) / c["head_dim"])
        angles = torch.cat((angles, angles), -1)
        self.cosine, self.sine = angles.cos(), angles.sin()
        missing, unexpected = self.load_state_dict(load_file(pathlib.Path(folder) / "model.safetensors"), strict=False)
        assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)

    def visual_tokens(self, pixels):
        return self.multi_modal_projector(self.vision_tower(pixels))

    def logits(self, hidden):
        return hidden @ self.language_model.model.embed_tokens.weight.T


class Samples:
    """Every sample of the run by "source:id": its picture, and ids and labels of its questions."""

    def __init__(self, folder, sources):
        import numpy
        from PIL import Image
        tokenizer = Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))
        encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
        config = json.loads((pathlib.Path(folder) / "config.json").read_text())
        self.image_id, side = config["image_token_id"], config["vision_config"]["image_size"]
        self.prefix = encode("<|bos|><|user|>")
        self.visual = (side // config["vision_config"]["patch_size"] // config["connector_config"]["scale"]) ** 2
        self.by_id = {}
        for name, (file, images, wanted) in sources.items():
            for record in json.loads(pathlib.Path(file).read_text()):
                key = f"{name}:{record['id']}"
                if key not in wanted:
                    continue
                picture = Image.open(pathlib.Path(images) / record["image"]).convert("RGB").resize((side, side), Image.BICUBIC)
                pixels = torch.from_numpy(numpy.array(picture)).permute(2, 0, 1).float() / 255
                turns = [turn["value"].replace("<image>\n", "") for turn in record["conversations"]]
                questions = []
                for question, answer in zip(turns[::2], turns[1::2]):
                    prompt, reply = encode(question + "<|end|><|assistant|>"), encode(answer + "<|end|>")
                    questions.append((prompt + reply[:-1], [-100] * (len(prompt) - 1) + reply))
                self.by_id[key] = ((pixels - 0.5) / 0.5, questions)

    def step(self, ids):
        """Pixels [N, 3, S, S]; the questions, each with the number of its picture."""
        pixels = torch.stack([self.by_id[i][0] for i in ids])
        return pixels, [(n, *question) for n, i in enumerate(ids) for question in self.by_id[i][1]]
