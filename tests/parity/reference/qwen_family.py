"""Qwen-VL and TextMonkey in plain PyTorch, on the published names: slow, a picture and a head at a time.

`weights` are the checkpoint's tensors, `config` its config.json.
"""

import math

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def pixels(picture, height, width):
    """Squashed to height x width, [3, height, width]."""
    array = np.asarray(picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    return ((torch.from_numpy(array) - torch.tensor(MEAN)) / torch.tensor(STD)).permute(2, 0, 1)


class Weights:
    def __init__(self, tensors, prefix=""):
        self.tensors, self.prefix = tensors, prefix

    def __call__(self, name):
        return self.tensors.get(self.prefix + name)

    def under(self, prefix):
        return Weights(self.tensors, self.prefix + prefix)

    def linear(self, name, x):
        return F.linear(x, self(name + ".weight"), self(name + ".bias"))

    def norm(self, name, x, eps):
        return F.layer_norm(x, x.shape[-1:], self(name + ".weight"), self(name + ".bias"), eps)


def attend(q, k, v, scale, bias=None):
    """One head: [T, E] each."""
    scores = q @ k.T * scale
    return (scores if bias is None else scores + bias).softmax(-1) @ v


def resized(table, rows, columns):
    side = math.isqrt(len(table))
    if (side, side) == (rows, columns):
        return table
    grid = table.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    return F.interpolate(grid, size=(rows, columns), mode="bicubic", align_corners=False).permute(0, 2, 3, 1).flatten(0, 2)


def embed(w, x):
    """Patches of [3, h, w] with positions, behind the first norm: [P, D]."""
    patches = F.conv2d(x[None], w("conv1.weight"), stride=w("conv1.weight").shape[-1])
    rows = patches[0].flatten(1).T + resized(w("positional_embedding"), *patches.shape[2:])
    return w.norm("ln_pre", rows, 1e-6)


def block(w, x, heads):
    """Rows of in_proj lie head by head: its query, its key, its value."""
    width = x.shape[-1] // heads
    mixed = []
    for head in w.linear("attn.in_proj", w.norm("ln_1", x, 1e-6)).split(3 * width, dim=-1):
        mixed.append(attend(*head.split(width, dim=-1), width**-0.5))
    x = x + w.linear("attn.out_proj", torch.cat(mixed, -1))
    return x + w.linear("mlp.c_proj", F.gelu(w.linear("mlp.c_fc", w.norm("ln_2", x, 1e-6))))


def pool(w, x):
    """256 queries over one view: [Q, D]."""
    r = w.under("attn_pool.")
    value = r.norm("ln_kv", r.linear("kv_proj", x), 1e-6)
    query = r.norm("ln_q", r("query"), 1e-6) + r("pos_embed")
    side = math.isqrt(len(x))
    key = value + resized(r("pos_embed"), side, side)
    projected = [F.linear(part, weight, bias) for part, weight, bias in
                 zip((query, key, value), r("attn.in_proj_weight").chunk(3), r("attn.in_proj_bias").chunk(3))]
    mixed = torch.cat([attend(*head, 128**-0.5) for head in zip(*(p.split(128, dim=-1) for p in projected))], -1)
    return w.norm("ln_post", r.linear("attn.out_proj", mixed), 1e-6) @ w("proj")


def qwen_vl_tokens(weights, config, picture):
    visual, w = config["visual"], Weights(weights, "transformer.visual.")
    x = embed(w, pixels(picture, visual["image_size"], visual["image_size"]))
    for i in range(visual["layers"]):
        x = block(w.under(f"transformer.resblocks.{i}."), x, visual["heads"])
    return pool(w, x)


def window_adapter(w, x, heads, side):
    """Shifted windows of 12 over side x side patches, one cell's region and place at a time left to indices."""
    window, shift = 12, 6
    a = w.under("shift_attn.")
    reduced = a.linear("downsample", x + w("position_embedding")[0])
    inner = reduced.shape[-1]
    full = -(-side // window) * window
    grid = torch.zeros(full, full, inner)
    grid[:side, :side] = torch.roll(a.norm("norm1", reduced, 1e-5).reshape(side, side, inner), (-shift, -shift), (0, 1))
    band = torch.zeros(full, dtype=torch.long)
    band[full - window:full - shift] = 1
    band[full - shift:] = 2
    region = band[:, None] * 3 + band[None]
    place = torch.arange(window)
    apart = (place[:, None] - place[None]) + window - 1
    index = apart[:, None, :, None] * (2 * window - 1) + apart[None, :, None, :]
    table = a("attn.relative_position_bias_table")[index.reshape(window**2, window**2)]
    out = torch.zeros_like(grid)
    for top in range(0, full, window):
        for left in range(0, full, window):
            cells = (slice(top, top + window), slice(left, left + window))
            rows, of = grid[cells].reshape(-1, inner), region[cells].flatten()
            parted = torch.where(of[:, None] == of[None], 0.0, -100.0)
            q, k, v = a.linear("attn.qkv", rows).chunk(3, -1)
            width = inner // heads
            mixed = [attend(q[:, s], k[:, s], v[:, s], width**-0.5, table[..., h] + parted)
                     for h, s in enumerate(slice(i, i + width) for i in range(0, inner, width))]
            out[cells] = a.linear("attn.proj", torch.cat(mixed, -1)).reshape(window, window, inner)
    reduced = reduced + torch.roll(out[:side, :side], (shift, shift), (0, 1)).reshape(-1, inner)
    hidden = F.gelu(a.linear("mlp.fc1", a.norm("norm2", reduced, 1e-5)))
    return x + a("mlp.scale") * a.linear("mlp.fc2", hidden)


def token_resampler(w, tokens, keep):
    unit = tokens / tokens.norm(dim=-1, keepdim=True)
    cosine = unit @ unit.T
    later = torch.where(torch.ones_like(cosine).triu(1) > 0, cosine, -1.0).amax(1).tolist()
    kept = tokens[sorted(sorted(range(len(tokens)), key=lambda i: later[i])[:keep])]
    a, f = w.under("layers.0.0."), w.under("layers.0.1.")
    media, latents = (a.norm(name, w.linear("downsample", x), 1e-5) for name, x in (("norm_media", tokens), ("norm_latents", kept)))
    q = a.linear("to_q", latents)
    k, v = a.linear("to_kv", torch.cat([media, latents])).chunk(2, -1)
    mixed = torch.cat([attend(*head, 128**-0.5) for head in zip(*(x.split(128, -1) for x in (q, k, v)))], -1)
    hidden = f.norm("norm", a.linear("to_out", mixed), 1e-5)
    return kept + f("scale") * f.linear("fc2", F.gelu(f.linear("fc1", hidden)))


def text_monkey_tokens(weights, config, picture):
    visual, w = config["visual"], Weights(weights, "transformer.visual.")
    whole = pixels(picture, *visual["image_size"])
    side = 32 * visual["patch_size"]
    count = visual["image_size"][0] // side
    views = [whole[:, i * side:(i + 1) * side, j * side:(j + 1) * side] for i in range(count) for j in range(count)]
    local = [embed(w, view) for view in views]
    adapters = dict(zip((2, 6, 24, 46), range(4))) if visual["add_window"] else {}
    stitch = lambda maps: (torch.stack(maps).reshape(count, count, 32, 32, -1).permute(0, 2, 1, 3, 4).reshape(count * count * 1024, -1))
    cut = lambda x: list(x.reshape(count, 32, count, 32, -1).permute(0, 2, 1, 3, 4).reshape(count * count, 1024, -1))
    everything = embed(w, F.interpolate(whole[None], size=(side, side), mode="bicubic", align_corners=False)[0])
    for i in range(visual["layers"]):
        if i in adapters:
            which = adapters[i]
            adapter = w.under(f"transformer.window_attention.{which}.")
            local = cut(window_adapter(adapter, stitch(local), 4 * 2**which, 32 * count))
        one = w.under(f"transformer.resblocks.{i}.")
        local = [block(one, x, visual["heads"]) for x in local]
        everything = block(one, everything, visual["heads"])
    tokens = torch.cat([pool(w, x) for x in local])
    if visual["resampler"]:
        tokens = token_resampler(w.under("downresampler."), tokens, visual["r"])
    return torch.cat([tokens, pool(w, everything)]) if visual["use_global"] else tokens


def logits(weights, config, ids, visual_tokens):
    """The first Qwen. `visual_tokens`: one [Q, D] for each span between image_start_id and the id behind it."""
    w, start = Weights(weights, "transformer."), config["visual"]["image_start_id"]
    x = w("wte.weight")[ids].clone()
    opened = [i for i, one in enumerate(ids) if one == start]
    for begin, tokens in zip(opened, visual_tokens, strict=True):
        x[begin + 1:begin + 1 + len(tokens)] = tokens
    width, count, limit = config["kv_channels"], len(ids), config["seq_length"]
    alpha = max(2 ** math.ceil(math.log2(count / limit) + 1) - 1, 1) if config["use_dynamic_ntk"] else 1
    base = config["rotary_emb_base"] * alpha ** (width / (width - 2))
    angles = torch.outer(torch.arange(count).float(), 1.0 / base ** (torch.arange(0, width, 2).float() / width)).repeat(1, 2)
    turn = lambda y: y * angles.cos() + torch.cat([-y[:, width // 2:], y[:, :width // 2]], -1) * angles.sin()
    log_n = torch.tensor([math.log(i, limit) if i > limit and config["use_logn_attn"] else 1.0 for i in range(1, count + 1)])[:, None]
    causal = torch.full((count, count), float("-inf")).triu(1)
    rms = lambda name, y: y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + config["layer_norm_epsilon"]) * name
    for i in range(config["num_hidden_layers"]):
        h = w.under(f"h.{i}.")
        parts = h.linear("attn.c_attn", rms(h("ln_1.weight"), x)).chunk(3, -1)
        mixed = [attend(turn(q) * log_n, turn(k), v, width**-0.5, causal) for q, k, v in zip(*(p.split(width, -1) for p in parts))]
        x = x + h.linear("attn.c_proj", torch.cat(mixed, -1))
        y = rms(h("ln_2.weight"), x)
        x = x + h.linear("mlp.c_proj", h.linear("mlp.w1", y) * F.silu(h.linear("mlp.w2", y)))
    return F.linear(rms(w("ln_f.weight"), x), weights["lm_head.weight"])
