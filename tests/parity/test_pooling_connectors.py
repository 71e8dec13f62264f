"""Connectors that pool or query the grid, each behind a SigLIP tower in a folder of ocelli's own layout: the visual tokens are those of
the plain PyTorch version, on square and other grids, and as many as `explain` says."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parent))
from reference import connectors as plain

WIDTH, TOWER, PATCH, LAYERS = 32, 24, 4, 3


def _attention(prefix, out, width):
    return {f"{p}.{kind}": shape for p in (*prefix, out) for kind, shape in (("weight", (width, width)), ("bias", (width,)))}


def _linear(name, inner, outer, bias=True):
    return {f"{name}.weight": (outer, inner), **({f"{name}.bias": (outer,)} if bias else {})}


def _norm(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


MLP = {**_linear("linear_1", TOWER, WIDTH), **_linear("linear_2", WIDTH, WIDTH)}
RESAMPLER = {
    "query": (9, WIDTH), "pos_embed": (9, WIDTH), **_linear("kv_proj", TOWER, WIDTH, False), **_norm("ln_q", WIDTH), **_norm("ln_kv", WIDTH),
    **_attention(("attn.q_proj", "attn.k_proj", "attn.v_proj"), "attn.out_proj", WIDTH), **_norm("ln_post", WIDTH),
    **_linear("proj", WIDTH, WIDTH, False),
}
LDP_BLOCKS = {
    k: v for b in ("block_1", "block_2") for k, v in {
        f"{b}.depthwise": (WIDTH, 1, 3, 3), **_norm(f"{b}.norm1", WIDTH), **_linear(f"{b}.squeeze", WIDTH, 8), **_linear(f"{b}.excite", 8, WIDTH),
        **_linear(f"{b}.pointwise", WIDTH, WIDTH, False), **_norm(f"{b}.norm2", WIDTH)}.items()
}
PACKER = {
    **_linear("q_proj", TOWER, TOWER, False), **_linear("key_1", 2 * TOWER, TOWER), **_linear("key_2", TOWER, TOWER),
    **_linear("value_1", 2 * TOWER, TOWER), **_linear("value_2", TOWER, TOWER), **_norm("ln_q", TOWER), **_norm("ln_k", TOWER),
    **_norm("ln_v", TOWER), **_attention(("attn_q", "attn_k", "attn_v"), "attn_out", TOWER), **MLP,
}

# name: (connector_config, weights, the plain version, feature layers)
CONNECTORS = {
    "resampler": ({"type": "resampler", "num_queries": 9, "num_heads": 4}, RESAMPLER,
                  lambda w, x, grid: plain.resampler(w, x, grid, 4, False), [-1]),
    "resampler_adaptive": ({"type": "resampler", "num_queries": 9, "num_heads": 2, "adaptive_positions": True}, RESAMPLER,
                           lambda w, x, grid: plain.resampler(w, x, grid, 2, True), [-1]),
    "ldp": ({"type": "ldp"}, {**MLP, **LDP_BLOCKS}, plain.ldp, [-1]),
    "ldp_v2": ({"type": "ldp_v2", "pooled_rows": 4, "pooled_columns": 5},
               {**MLP, "peg_weight": (WIDTH, 1, 3, 3), "peg_bias": (WIDTH,)}, lambda w, x, grid: plain.ldp_v2(w, x, grid, (4, 5)), [-1]),
    "average_pool": ({"type": "average_pool", "pooled_rows": 3, "pooled_columns": 5}, MLP,
                     lambda w, x, grid: plain.average_pool(w, x, grid, (3, 5)), [-1]),
    "token_packer": ({"type": "token_packer", "num_levels": 2, "scale": 2, "num_heads": 3}, PACKER,
                     lambda w, x, grid: plain.token_packer(w, x, grid, 2, 2, 3), [1, -1]),
    "token_packer_3": ({"type": "token_packer", "num_levels": 2, "scale": 3, "num_heads": 4}, PACKER,
                       lambda w, x, grid: plain.token_packer(w, x, grid, 2, 3, 4), [1, -1]),
}
GRIDS = [(6, 6), (6, 12), (12, 6)]


def draw(shapes, generator):
    out = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        norm = len(shape) == 1 and name.endswith("weight")
        out[name] = 1 + 0.3 * noise if norm else 0.4 * noise if len(shape) == 1 else noise * 1.2 / np.sqrt(np.prod(shape[1:]))
    return out


def tower_shapes():
    shapes = {"embeddings.patch_embedding.weight": (TOWER, 3, PATCH, PATCH), "embeddings.patch_embedding.bias": (TOWER,),
              "embeddings.position_embedding.weight": (36, TOWER)}
    for i in range(LAYERS):
        layer = f"encoder.layers.{i}."
        shapes |= {**_norm(layer + "layer_norm1", TOWER), **_norm(layer + "layer_norm2", TOWER), **_linear(layer + "mlp.fc1", TOWER, 40),
                   **_linear(layer + "mlp.fc2", 40, TOWER)}
        shapes |= _attention([layer + f"self_attn.{p}_proj" for p in "qkv"], layer + "self_attn.out_proj", TOWER)
    return shapes


def decoder_shapes():
    shapes = {"lm_head.weight": (50, WIDTH), "model.embed_tokens.weight": (50, WIDTH), "model.norm.weight": (WIDTH,)}
    layer = "model.layers.0."
    for name, (inner, outer) in {"self_attn.q_proj": (WIDTH, WIDTH), "self_attn.k_proj": (WIDTH, WIDTH), "self_attn.v_proj": (WIDTH, WIDTH),
                                 "self_attn.o_proj": (WIDTH, WIDTH), "mlp.gate_proj": (WIDTH, 40), "mlp.up_proj": (WIDTH, 40),
                                 "mlp.down_proj": (40, WIDTH)}.items():
        shapes[f"{layer}{name}.weight"] = (outer, inner)
    return shapes | {layer + "input_layernorm.weight": (WIDTH,), layer + "post_attention_layernorm.weight": (WIDTH,)}


def save_model(folder, name, grid, seed):
    """Returns the connector's weights."""
    config, shapes, _, layers = CONNECTORS[name]
    generator = torch.Generator().manual_seed(seed)
    parts = {"vision_tower.": draw(tower_shapes(), generator), "multi_modal_projector.": draw(shapes, generator),
             "language_model.": draw(decoder_shapes(), generator)}
    folder.mkdir()
    save_file({p + k: v.contiguous() for p, tensors in parts.items() for k, v in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({
        "model_type": "ocelli",
        "text_config": {"model_type": "llama", "vocab_size": 50, "hidden_size": WIDTH, "intermediate_size": 40, "num_hidden_layers": 1,
                        "num_attention_heads": 4, "num_key_value_heads": 4},
        "vision_config": {"model_type": "ocelli_vision", "hidden_size": TOWER, "intermediate_size": 40, "num_hidden_layers": LAYERS,
                          "num_attention_heads": 3, "image_size": 6 * PATCH, "patch_size": PATCH, "hidden_act": "gelu",
                          "post_layernorm": False, "apply_post_layernorm": False, "position_resize": "bicubic", "position_rows": 6, "position_columns": 6},
        "vision_feature_layer": layers,
        "connector_config": config,
        "image_token_id": 49,
    }))
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "image_processor_type": "SiglipImageProcessor", "do_resize": True, "resample": 3, "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "size": {"height": grid[0] * PATCH, "width": grid[1] * PATCH},
    }))
    return parts["multi_modal_projector."]


@pytest.mark.parametrize("grid", GRIDS, ids=lambda g: f"{g[0]}x{g[1]}")
@pytest.mark.parametrize("name", CONNECTORS)
def test_visual_tokens(run_ocelli, tmp_path, name, grid):
    seed = list(CONNECTORS).index(name) * 10 + GRIDS.index(grid)
    weights = save_model(tmp_path / "model", name, grid, seed)
    pixels = np.random.default_rng(seed).integers(0, 256, (37, 51, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    run_ocelli(["features", tmp_path / "model", "--image", tmp_path / "p.png", "--out", tmp_path / "out.safetensors"])
    out = load_arrays(tmp_path / "out.safetensors")
    features = torch.from_numpy(out["features"]).reshape(1, grid[0] * grid[1], -1)
    with torch.no_grad():
        want = CONNECTORS[name][2](weights, features, grid)[0].numpy()
    got = out["visual_tokens"].reshape(want.shape)
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()
    report = run_ocelli(["explain", tmp_path / "model", "--image", "51x37", "--json"]).last_json()
    assert str(len(want)) in json.dumps(report)
