"""DeepSeek-VL as its own code lays it out and feeds it: weights of transformers' classes under the published names, configs as
published, pictures prepared step by step with Pillow and torch."""

import json

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file


def siglip_names(weights, ours, published, out):
    """SiglipVisionModel `ours…` as timm's VisionTransformer `published…`; q, k and v lie in one matrix."""
    take = lambda name: weights[ours + name]
    out[published + "pos_embed"] = take("embeddings.position_embedding.weight")[None]
    layer = 0
    for end in ("weight", "bias"):
        out[published + "patch_embed.proj." + end] = take("embeddings.patch_embedding." + end)
        out[published + "norm." + end] = take("post_layernorm." + end)
        layer = 0
        while ours + f"encoder.layers.{layer}.layer_norm1.{end}" in weights:
            theirs, block = f"encoder.layers.{layer}.", f"{published}blocks.{layer}."
            out[block + "norm1." + end] = take(theirs + "layer_norm1." + end)
            out[block + "norm2." + end] = take(theirs + "layer_norm2." + end)
            out[block + "attn.proj." + end] = take(theirs + "self_attn.out_proj." + end)
            out[block + "attn.qkv." + end] = torch.cat([take(f"{theirs}self_attn.{x}_proj.{end}") for x in "qkv"])
            for fc in ("fc1", "fc2"):
                out[f"{block}mlp.{fc}.{end}"] = take(f"{theirs}mlp.{fc}.{end}")
            layer += 1
    out[published + "attn_pool.latent"] = torch.zeros(1, 1, take("post_layernorm.bias").numel())  # there, and not used


def write_original(path, model, tokenizer, spec):
    """`model`: DeepseekVL(Hybrid)ForConditionalGeneration whose SigLIP has 16 heads."""
    weights, out = {k: v.detach().clone() for k, v in model.state_dict().items()}, {}
    hybrid = "high" in spec
    text = model.config.text_config
    high, low = "vision_model.vision_tower_high.vision_tower.", "vision_model.vision_tower_low.vision_tower."
    siglip_names(weights, "model.vision_model.", low if hybrid else "vision_model.vision_tower.", out)
    for name, value in weights.items():
        if name.startswith("model.language_model."):
            out["language_model.model." + name.removeprefix("model.language_model.")] = value
        elif name.startswith("lm_head."):
            out["language_model." + name] = value
        elif name.startswith("model.high_res_vision_model.vision_encoder."):
            name = name.removeprefix("model.high_res_vision_model.vision_encoder.")
            for theirs, published in (("layers.", "blocks."), ("layer_norm1", "norm1"), ("layer_norm2", "norm2"),
                                      ("patch_embed.projection", "patch_embed.proj"), ("neck.conv1", "neck.0"), ("neck.norm1", "neck.1"),
                                      ("neck.conv2", "neck.2"), ("neck.norm2", "neck.3")):
                name = name.replace(theirs, published)
            out[high + name] = value
    if hybrid:
        for ours, published in (("neck.conv1.weight", "neck_hd.0.weight"), ("neck.layer_norm1.weight", "neck_hd.1.weight"),
                                ("neck.layer_norm1.bias", "neck_hd.1.bias"), ("neck.conv2.weight", "neck_hd.2.weight"),
                                ("neck.layer_norm2.weight", "neck_hd.3.weight"), ("neck.layer_norm2.bias", "neck_hd.3.bias"),
                                ("proj.conv1.weight", "downsamples.0.weight"), ("proj.conv2.weight", "downsamples.1.weight"),
                                ("alpha", "hd_alpha_downsamples")):
            out[high + published] = weights["model.high_res_vision_" + ours]
        for end in ("weight", "bias"):
            out["aligner.high_up_proj." + end] = weights["model.aligner.high_res_vision_proj." + end]
            out["aligner.low_up_proj." + end] = weights["model.aligner.vision_proj." + end]
            out["aligner.layers.1." + end] = weights["model.aligner.proj." + end]
            for tower in ("high", "low"):
                out[f"vision_model.{tower}_layer_norm.{end}"] = torch.ones(8)  # there, and not used
    else:
        for end in ("weight", "bias"):
            out["aligner.layers.0." + end] = weights["model.aligner.linear1." + end]
            out["aligner.layers.2." + end] = weights["model.aligner.linear2." + end]
    path.mkdir()
    save_file({name: value.contiguous() for name, value in out.items()}, path / "model.safetensors")

    part = lambda side, name, mean, std: {"image_size": side, "model_name": name, "select_feature": "same", "select_layer": -1,
                                          "pixel_mean": mean, "pixel_std": std, "ckpt_path": ""}
    half = [0.5, 0.5, 0.5]
    if hybrid:
        vision = {"cls": "HybridVisionTower", "params": {
            "concat_type": "tuple", "freeze_high": True, "freeze_low": True,
            "high_res_cfg": part(spec["high"], "sam_b_downsample", CLIP_MEAN, CLIP_STD),
            "low_res_cfg": part(spec["side"], "siglip_large_patch16_384", half, half)}}
    else:
        vision = {"cls": "CLIPVisionTower", "params": {"image_size": spec["side"], "model_name": "siglip_large_patch16_384",
                                                       "select_feature": "same", "select_layer": -1}}
    config = {
        "model_type": "multi_modality",
        "architectures": ["MultiModalityCausalLM"],
        "aligner_config": {"cls": "MlpProjector", "model_type": "aligner", "params": {
            "depth": 2, "input_dim": 8, "n_embed": text.hidden_size,
            "projector_type": "low_high_hybrid_split_mlp_gelu" if hybrid else "mlp_gelu"}},
        "language_config": {"model_type": "llama", "hidden_size": text.hidden_size, "intermediate_size": text.intermediate_size,
                            "num_hidden_layers": text.num_hidden_layers, "num_attention_heads": text.num_attention_heads,
                            "num_key_value_heads": text.num_key_value_heads, "vocab_size": text.vocab_size,
                            "max_position_embeddings": text.max_position_embeddings, "rms_norm_eps": text.rms_norm_eps},
        "vision_config": {"model_type": "vision", **vision},
    }
    (path / "config.json").write_text(json.dumps(config))
    (path / "preprocessor_config.json").write_text(json.dumps({
        "image_processor_type": "VLMImageProcessor", "image_size": spec["high"] if hybrid else spec["side"], "min_size": 14,
        "image_mean": CLIP_MEAN if hybrid else half, "image_std": CLIP_STD if hybrid else half, "do_normalize": not hybrid,
        "background_color": [122, 116, 104] if hybrid else [127, 127, 127], "rescale_factor": 1 / 255,
        "processor_class": "VLChatProcessor"}))
    tokenizer.save_pretrained(path)
    (path / "processor_config.json").write_text(json.dumps({
        "image_tag": "<image>", "num_image_tokens": (spec["side"] // spec["patch"]) ** 2, "sft_format": "deepseek"}))


CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def unit_pixels(picture, side, colour):
    """[3, side, side] in 0..1: longest side to `side`, at least 14, Pillow's bicubic, in the middle of a square."""
    width, height = picture.size
    longest = max(width, height)
    size = [max(int(width / longest * side), 14), max(int(height / longest * side), 14)]
    small = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    square = Image.new("RGB", (side, side), colour)
    square.paste(small, ((side - size[0]) // 2, (side - size[1]) // 2))
    return torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1).float() / 255


def normalised(pixels, mean, std):
    return (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def prepare(pictures, spec):
    """What the processor gives, what each tower sees: (pixel_values, second view or None, inputs of transformers' class)."""
    if "high" not in spec:
        pixels = torch.stack([normalised(unit_pixels(p, spec["side"], (127, 127, 127)), [0.5] * 3, [0.5] * 3) for p in pictures])
        return pixels, None, {"pixel_values": pixels}
    high = torch.stack([unit_pixels(p, spec["high"], (122, 116, 104)) for p in pictures])
    low = F.interpolate(high, (spec["side"], spec["side"]), mode="bilinear", antialias=True, align_corners=False)
    return high, low, {"pixel_values": normalised(low, [0.5] * 3, [0.5] * 3), "high_res_pixel_values": normalised(high, CLIP_MEAN, CLIP_STD)}
