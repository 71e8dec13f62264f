"""A folder with a vision tower and connector of true size and random weights, a tiny decoder, a processor and a picture.

  encode_models.py NAME FOLDER
"""
import json
import pathlib
import sys

import numpy as np
import torch
from PIL import Image
from transformers import (AutoModelForImageTextToText, Blip2Config, CLIPVisionConfig, InternVLConfig, LlamaConfig, LlavaConfig, OPTConfig,
                          SiglipVisionConfig)
from transformers.models.internvl.configuration_internvl import InternVLVisionConfig

TEXT = dict(hidden_size=4096, intermediate_size=64, num_hidden_layers=1, num_attention_heads=32, num_key_value_heads=32, vocab_size=128)
CLIP = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def config_of(name):
    if name == "clip-l-336":
        vision = CLIPVisionConfig(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, image_size=336,
                                  patch_size=14)
        return LlavaConfig(vision_config=vision, text_config=LlamaConfig(**TEXT), image_token_index=100), 336, CLIP, "CLIPImageProcessor"
    if name == "siglip-so400m-384":
        vision = SiglipVisionConfig(hidden_size=1152, intermediate_size=4304, num_hidden_layers=27, num_attention_heads=16, image_size=384,
                                    patch_size=14, vision_use_head=False)
        return (LlavaConfig(vision_config=vision, text_config=LlamaConfig(**TEXT), image_token_index=100,
                            vision_feature_select_strategy="full", vision_feature_layer=-1), 384, HALF, "SiglipImageProcessor")
    if name == "internvit-300m-448":
        vision = InternVLVisionConfig(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
                                      image_size=[448, 448], patch_size=[14, 14], attention_bias=True, use_qk_norm=False,
                                      norm_type="layer_norm", use_mean_pooling=True)
        return InternVLConfig(vision_config=vision, text_config=LlamaConfig(**TEXT), image_token_id=100), 448, IMAGENET, "SiglipImageProcessor"
    if name == "qformer":
        vision = dict(hidden_size=1408, intermediate_size=6144, num_hidden_layers=2, num_attention_heads=16, image_size=224, patch_size=14,
                      initializer_range=0.02)
        text = OPTConfig(hidden_size=2560, ffn_dim=64, num_hidden_layers=1, num_attention_heads=32, vocab_size=128, word_embed_proj_dim=2560)
        return (Blip2Config(vision_config=vision, qformer_config={"encoder_hidden_size": 1408}, text_config=text.to_dict(),
                            image_token_index=100), 224, CLIP, "SiglipImageProcessor")
    sys.exit(f"encode_models.py: {name} is not known")


def main():
    name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    torch.manual_seed(1)
    config, side, norm, kind = config_of(name)
    model = AutoModelForImageTextToText.from_config(config)
    model.save_pretrained(folder / "model")
    processor = {"image_processor_type": kind, "do_resize": True, "do_rescale": True, "do_normalize": True, "rescale_factor": 1 / 255,
                 "resample": 3, "image_mean": norm["mean"], "image_std": norm["std"]}
    if kind == "CLIPImageProcessor":
        processor |= {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}, "do_center_crop": True}
    else:
        processor |= {"size": {"height": side, "width": side}}
    (folder / "model" / "preprocessor_config.json").write_text(json.dumps(processor))
    # Structure at every scale, as in photographs: noise summed over octaves.
    rng = np.random.default_rng(1)
    pixels = sum(np.asarray(Image.fromarray(rng.integers(0, 256, (max(600 >> k, 1), max(800 >> k, 1), 3), dtype=np.uint8)).resize((800, 600)), float)
                 * 2.0 ** (k - 6) for k in range(6))
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / "picture.jpg", quality=90)


if __name__ == "__main__":
    main()
