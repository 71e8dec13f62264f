"""Connectors in plain PyTorch, from their papers: slow, with torch's own modules where there are any.

Each takes features [N, P, D] on a grid (rows, columns) and a dictionary of weights under the names ocelli gives them.
"""

import numpy as np
import torch
from torch.nn import functional as F


def _linear(w, name, x):
    return F.linear(x, w[name + ".weight"], w.get(name + ".bias"))


def _norm(w, name, x, eps):
    return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], eps)


def _attention(w, prefix, heads, query, key, value):
    """torch.nn.MultiheadAttention over [N, T, D] with its packed projection put together from the three."""
    width = query.shape[-1]
    module = torch.nn.MultiheadAttention(width, heads, batch_first=True, dtype=query.dtype)
    with torch.no_grad():
        for kind in ("weight", "bias"):
            getattr(module, f"in_proj_{kind}").copy_(torch.cat([w[f"{prefix[p]}.{kind}"] for p in "qkv"]))
            getattr(module.out_proj, kind).copy_(w[f"{prefix['out']}.{kind}"])
        return module(query, key, value, need_weights=False)[0]


def sin_cos(rows, columns, width):
    """MAE's table, the column's half first."""
    omega = 1.0 / 10000 ** (np.arange(width // 4) / (width / 4))
    half = lambda places: np.concatenate([np.sin(np.outer(places, omega)), np.cos(np.outer(places, omega))], axis=1)
    r, c = np.divmod(np.arange(rows * columns), columns)
    return torch.from_numpy(np.concatenate([half(c), half(r)], axis=1)).float()


def resampler(w, x, grid, heads, adaptive):
    table = w["pos_embed"]
    side, width = int(len(table) ** 0.5), table.shape[1]
    if adaptive:
        keys = sin_cos(*grid, width)
    elif grid == (side, side):
        keys = table
    else:
        keys = F.interpolate(table.reshape(1, side, side, width).permute(0, 3, 1, 2), size=grid, mode="bicubic", align_corners=False)
        keys = keys.permute(0, 2, 3, 1).flatten(0, 2)
    value = _norm(w, "ln_kv", _linear(w, "kv_proj", x), 1e-6)
    query = (_norm(w, "ln_q", w["query"], 1e-6) + table).expand(len(x), -1, -1)
    names = {"q": "attn.q_proj", "k": "attn.k_proj", "v": "attn.v_proj", "out": "attn.out_proj"}
    return _linear(w, "proj", _norm(w, "ln_post", _attention(w, names, heads, query, value + keys, value), 1e-6))


def _mlp(w, x):
    return _linear(w, "linear_2", F.gelu(_linear(w, "linear_1", x)))


def _to_map(x, grid):
    return x.transpose(1, 2).reshape(len(x), -1, *grid)


def _to_rows(x):
    return x.flatten(2).transpose(1, 2)


def average_pool(w, x, grid, pooled):
    return _mlp(w, _to_rows(F.adaptive_avg_pool2d(_to_map(x, grid), pooled)))


def ldp_v2(w, x, grid, pooled):
    x = F.adaptive_avg_pool2d(_to_map(_mlp(w, x), grid), pooled)
    return _to_rows(x + F.conv2d(x, w["peg_weight"], w["peg_bias"], padding=1, groups=x.shape[1]))


def ldp(w, x, grid):
    x = _to_map(_mlp(w, x), grid)
    for name, stride in (("block_1", 1), ("block_2", 2)):
        channels = lambda part, y: _norm(w, f"{name}.{part}", y.permute(0, 2, 3, 1), 1e-5).permute(0, 3, 1, 2)
        y = F.conv2d(x, w[name + ".depthwise"], stride=stride, padding=1, groups=x.shape[1])
        y = F.hardswish(channels("norm1", y))
        gate = F.relu(_linear(w, name + ".squeeze", y.mean((2, 3))))
        y = y * F.hardsigmoid(_linear(w, name + ".excite", gate))[:, :, None, None]
        y = channels("norm2", F.conv2d(y, w[name + ".pointwise.weight"][:, :, None, None]))
        x = x + y if stride == 1 else y
    return _to_rows(x)


def token_packer(w, x, grid, levels, scale, heads):
    """Region to point: each low-resolution point attends to the scale x scale patches it stands for, at all levels."""
    n, width, (rows, columns) = len(x), x.shape[-1] // levels, grid
    low = F.interpolate(_to_map(x[..., -width:], grid), size=(rows // scale, columns // scale), mode="bilinear", align_corners=False)
    query = _norm(w, "ln_q", _linear(w, "q_proj", _to_rows(low)), 1e-6)
    key = _norm(w, "ln_k", _linear(w, "key_2", F.gelu(_linear(w, "key_1", x))), 1e-6)
    value = _norm(w, "ln_v", _linear(w, "value_2", F.gelu(_linear(w, "value_1", x))), 1e-6)

    def regions(y):
        blocks = F.unfold(_to_map(y, grid), scale, stride=scale)  # [N, D * scale^2, regions]
        return blocks.reshape(n, width, scale * scale, -1).permute(0, 3, 2, 1).flatten(0, 1)

    names = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "out": "attn_out"}
    packed = _attention(w, names, heads, query.flatten(0, 1)[:, None], regions(key), regions(value))
    return _mlp(w, packed.reshape(n, -1, width))
