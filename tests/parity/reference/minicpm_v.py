"""MiniCPM-V 1 and 2 in plain PyTorch, on the published names: slow, a view at a time."""

import math

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from . import connectors, tiling
from .qwen_family import Weights, attend


def views(config, picture):
    """The pixels of a picture's views, [3, height, width] each, and how many slices stand side by side and one below the other (None: not cut)."""
    picture = picture.convert("RGB")
    if "slice_mode" in config:
        cut = tiling.uhd(picture, config["max_slice_nums"], config["scale_resolution"], config["patch_size"])
        grid = tiling.uhd_sizes(picture.size, config["max_slice_nums"], config["scale_resolution"], config["patch_size"])[1]
    else:
        cut, grid = [picture.resize((config["image_size"],) * 2, Image.Resampling.BICUBIC)], None
    return [torch.from_numpy(np.asarray(view, dtype=np.float32) / 255 * 2 - 1).permute(2, 0, 1) for view in cut], grid


def tower(weights, x):
    w, heads = Weights(weights, "vpm."), 16
    patches = F.conv2d(x[None], w("patch_embed.proj.weight"), w("patch_embed.proj.bias"), stride=14)
    grid, table = tuple(patches.shape[2:]), w("pos_embed")[0]
    side = math.isqrt(len(table))
    if grid != (side, side):
        # Contiguous: torch 2.13 gives wrong numbers for a channels-last map resized to one column.
        table = table.reshape(1, side, side, -1).permute(0, 3, 1, 2).contiguous()
        table = F.interpolate(table, size=grid, mode="bicubic", antialias=True, align_corners=False).permute(0, 2, 3, 1).flatten(0, 2)
    x = patches[0].flatten(1).T + table
    width = x.shape[-1] // heads
    i = 0
    while w(f"blocks.{i}.norm1.weight") is not None:
        b = w.under(f"blocks.{i}.")
        parts = b.linear("attn.qkv", b.norm("norm1", x, 1e-6)).chunk(3, -1)
        mixed = torch.cat([attend(*head, width**-0.5) for head in zip(*(p.split(width, -1) for p in parts))], -1)
        x = x + b.linear("attn.proj", mixed)
        x = x + b.linear("mlp.fc2", F.gelu(b.linear("mlp.fc1", b.norm("norm2", x, 1e-6))))
        i += 1
    return w.norm("norm", x, 1e-6), grid


def tokens(weights, config, x):
    """One view's [Q, D]."""
    features, grid = tower(weights, x)
    r = {name.removeprefix("resampler."): value for name, value in weights.items() if name.startswith("resampler.")}
    for kind in ("weight", "bias"):
        for letter, part in zip("qkv", r.pop(f"attn.in_proj_{kind}").chunk(3)):
            r[f"attn.{letter}_proj.{kind}"] = part
    r["proj.weight"] = r.pop("proj").T
    return connectors.resampler(r, features[None], grid, config["hidden_size"] // 128, "slice_mode" in config)[0]


def logits(weights, config, ids, visual_tokens):
    """`visual_tokens`: one [Q, D] for each span between the ids 101 and 102."""
    w = Weights(weights, "llm.model.")
    x = w("embed_tokens.weight")[ids] * config["scale_emb"]
    for begin, one in zip([i for i, one in enumerate(ids) if one == 101], visual_tokens, strict=True):
        x[begin + 1:begin + 1 + len(one)] = one
    heads, count = config["num_attention_heads"], len(ids)
    width = config["hidden_size"] // heads
    angles = torch.outer(torch.arange(count).float(), 1.0 / config["rope_theta"] ** (torch.arange(0, width, 2).float() / width)).repeat(1, 2)
    turn = lambda y: y * angles.cos() + torch.cat([-y[:, width // 2:], y[:, :width // 2]], -1) * angles.sin()
    causal = torch.full((count, count), float("-inf")).triu(1)
    rms = lambda name, y: y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + config["rms_norm_eps"]) * w(name)
    scale = config["scale_depth"] / math.sqrt(config["num_hidden_layers"])
    for i in range(config["num_hidden_layers"]):
        layer = f"layers.{i}."
        y = rms(layer + "input_layernorm.weight", x)
        q, k, v = ([*w.linear(layer + f"self_attn.{p}_proj", y).split(width, -1)] for p in "qkv")
        group = heads // len(k)
        mixed = [attend(turn(q[h]), turn(k[h // group]), v[h // group], width**-0.5, causal) for h in range(heads)]
        x = x + scale * w.linear(layer + "self_attn.o_proj", torch.cat(mixed, -1))
        y = rms(layer + "post_attention_layernorm.weight", x)
        y = F.silu(w.linear(layer + "mlp.gate_proj", y)) * w.linear(layer + "mlp.up_proj", y)
        x = x + scale * w.linear(layer + "mlp.down_proj", y)
    return F.linear(rms("norm.weight", x) / (config["hidden_size"] / config["dim_model_base"]), weights["llm.lm_head.weight"])
