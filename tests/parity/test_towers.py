"""Tower folders of transformers as `[model.vision] base`: the features of the assembled model are the tower's, at its own size and others."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file as load_arrays
from transformers import (
    BitImageProcessor,
    Blip2VisionConfig,
    Blip2VisionModel,
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    InternVLVisionConfig,
    InternVLVisionModel,
    SiglipImageProcessor,
    SiglipVisionConfig,
    SiglipVisionModel,
)

sys.path.insert(0, str(Path(__file__).parent))
from harness import picture
from llava_models import randomize

SIZES = dict(hidden_size=36, num_hidden_layers=3, num_attention_heads=3, image_size=28, patch_size=7)
MLP = dict(intermediate_size=50)


def dinov2(**more):
    return Dinov2Model(Dinov2Config(mlp_ratio=2, layerscale_value=0.5, **SIZES, **more))


TOWERS = {
    "clip": lambda: CLIPVisionModel(CLIPVisionConfig(**SIZES, **MLP)),
    "siglip": lambda: SiglipVisionModel(SiglipVisionConfig(**SIZES, **MLP)),
    "dinov2": dinov2,
    "dinov2_swiglu": lambda: dinov2(use_swiglu_ffn=True, qkv_bias=False),
    "internvl": lambda: InternVLVisionModel(InternVLVisionConfig(attention_bias=True, **SIZES, **MLP)),
    "internvl_six": lambda: InternVLVisionModel(InternVLVisionConfig(use_qk_norm=True, norm_type="rms_norm", **SIZES, **MLP)),
    "internvl_normed": lambda: InternVLVisionModel(InternVLVisionConfig(use_mean_pooling=False, **SIZES, **MLP)),
    "blip2": lambda: Blip2VisionModel(Blip2VisionConfig(**SIZES, **MLP)),
}
# Whose last_hidden_state is what a connector gets; of CLIP and SigLIP it is the last block's output, before the closing norm.
NORMED = {"dinov2", "dinov2_swiglu", "internvl", "internvl_six", "internvl_normed", "blip2"}

RECIPE = """
name = "tower"
[model.vision]
base = "{base}"
{vision}
{image}
[model.connector]
type = "linear"
[model.decoder]
architecture = "llama"
hidden_size = 24
intermediate_size = 40
num_hidden_layers = 1
num_attention_heads = 2
[tokenizer]
train = true
vocab_size = 280
[[data]]
name = "tiny"
path = "{data}"
[train]
precision = "fp32"
max_length = 512
[[stage]]
name = "align"
train = ["connector"]
learning_rate = 1e-3
batch_size = 1
max_steps = 1
warmup_ratio = 0.0
"""


def image_processor(name):
    if name == "clip":
        return CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    if name.startswith("dinov2"):
        return BitImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 28, "width": 28}, image_mean=[0.485, 0.456, 0.406],
                                 image_std=[0.229, 0.224, 0.225])
    return SiglipImageProcessor(size={"height": 28, "width": 28})


def assembled(run_ocelli, tmp_path, base, vision="", image=""):
    """The folder of a model put together around that tower."""
    picture(tmp_path / "t.png", np.random.default_rng(1))
    record = {"id": 0, "image": "t.png", "conversations": [{"from": "human", "value": "<image>\nwhat?"}, {"from": "gpt", "value": "yes"}]}
    (tmp_path / "data.json").write_text(json.dumps([record]))
    (tmp_path / "recipe.toml").write_text(RECIPE.format(base=base, data=tmp_path / "data.json", vision=vision, image=image))
    run_ocelli(["train", tmp_path / "recipe.toml", "--out", tmp_path / "run"])
    return tmp_path / "run" / "checkpoints" / "step-1"


def reference(name, model, pixels, layer=None):
    extra = {"interpolate_pos_encoding": True} if name in ("clip", "siglip", "blip2") else {}
    with torch.no_grad():
        out = model(pixel_values=pixels, output_hidden_states=True, **extra)
    state = out.last_hidden_state if name in NORMED else out.hidden_states[-1 if layer is None else layer]
    return (state if name == "siglip" else state[:, 1:]).numpy()


def compare(run_ocelli, tmp_path, name, model, folder, layer=None):
    picture(tmp_path / "p.png", np.random.default_rng(2), 61, 47)
    run_ocelli(["features", folder, "--image", tmp_path / "p.png", "--out", tmp_path / "o.safetensors"])
    ours = load_arrays(tmp_path / "o.safetensors")
    theirs = reference(name, model, torch.from_numpy(ours["pixel_values"]), layer)
    assert ours["features"].shape == theirs.shape
    worst, largest = np.abs(ours["features"] - theirs).max(), np.abs(theirs).max()
    assert worst <= 1e-4 * largest, f"differs by {worst}, the largest is {largest}"
    return ours


def saved(name, path, seed=0):
    model = TOWERS[name]().eval()
    randomize(model, seed)
    model.save_pretrained(path)
    processor = image_processor(name)
    processor.save_pretrained(path)
    return model, processor


@pytest.mark.parametrize("name", TOWERS)
def test_features_are_the_towers(name, run_ocelli, tmp_path):
    model, processor = saved(name, tmp_path / "tower", list(TOWERS).index(name))
    folder = assembled(run_ocelli, tmp_path, tmp_path / "tower")
    ours = compare(run_ocelli, tmp_path, name, model, folder)
    pixels = processor(picture(tmp_path / "p.png", np.random.default_rng(2), 61, 47), return_tensors="pt")["pixel_values"]
    assert np.abs(ours["pixel_values"] - pixels.numpy()).max() <= 1e-6
    assert ours["grid"].tolist() == [4, 4]


@pytest.mark.parametrize("name", ["clip", "siglip", "dinov2", "blip2"])
def test_positions_are_resized_to_larger_pictures(name, run_ocelli, tmp_path):
    model, _ = saved(name, tmp_path / "tower", 40)
    folder = assembled(run_ocelli, tmp_path, tmp_path / "tower", 'position_resize = "bicubic"',
                       "[model.image]\nsize = { height = 35, width = 56 }\n")
    assert compare(run_ocelli, tmp_path, name, model, folder)["grid"].tolist() == [5, 8]


def test_an_earlier_layer_is_taken(run_ocelli, tmp_path):
    model, _ = saved("clip", tmp_path / "tower", 41)
    folder = assembled(run_ocelli, tmp_path, tmp_path / "tower", "select_layer = -2")
    compare(run_ocelli, tmp_path, "clip", model, folder, -2)


def test_names_a_way_of_resizing_it_does_not_know(run_ocelli, tmp_path):
    saved("clip", tmp_path / "tower")
    picture(tmp_path / "t.png", np.random.default_rng(1))
    (tmp_path / "recipe.toml").write_text(RECIPE.format(base=tmp_path / "tower", data=tmp_path / "none.json",
                                                        vision='position_resize = "nearest"', image=""))
    result = run_ocelli(["explain", tmp_path / "recipe.toml"], code=None)
    assert result.code != 0
    assert 'model.vision.position_resize is "nearest", expected "bicubic" or "bicubic_antialias"' in result.stderr
