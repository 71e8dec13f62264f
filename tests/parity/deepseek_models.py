"""Tiny random DeepSeek-VL folders (1.3B's form and the hybrid of 7B), saved by transformers with tokenizer, template and image processor."""

import torch
from llava_models import Folder, randomize, text_config, tokenizer
from transformers import (
    DeepseekVLConfig,
    DeepseekVLForConditionalGeneration,
    DeepseekVLHybridConfig,
    DeepseekVLHybridForConditionalGeneration,
    DeepseekVLHybridProcessor,
    DeepseekVLProcessor,
    SamVisionConfig,
    SiglipVisionConfig,
)
from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import DeepseekVLImageProcessorPil
from transformers.models.deepseek_vl_hybrid.image_processing_pil_deepseek_vl_hybrid import DeepseekVLHybridImageProcessorPil

TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}User: {% elif message['role'] == 'assistant' %}Assistant: {% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}</s>{% else %}\n\n{% endif %}{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)

# Each row turns several knobs: windows that reach over the edge, grids whose map grows or shrinks before it is halved, other norms.
CONFIGS = {
    "plain": dict(side=32, patch=8, kv=4),
    "plain_tied": dict(side=30, patch=7, kv=2, tied=True, act="gelu_pytorch_tanh", resample=2),
    "hybrid": dict(side=32, patch=8, kv=2, high=64, high_patch=16, window=2, globals=[1], layers=3),
    "hybrid_uneven": dict(side=24, patch=8, kv=1, high=80, high_patch=16, window=3, globals=[2, 0], layers=4, resample=2, high_resample=1),
    "hybrid_narrow": dict(side=40, patch=8, kv=4, high=48, high_patch=8, window=4, globals=[1, 3], layers=4, qkv_bias=False, ratio=2.5),
}


def vision_config(spec):
    return SiglipVisionConfig(hidden_size=32, intermediate_size=72, num_hidden_layers=3, num_attention_heads=spec.get("vision_heads", 4),
                              image_size=spec["side"],
                              patch_size=spec["patch"], hidden_act=spec.get("act", "gelu"), vision_use_head=False)


def make_deepseek(path, spec, seed=0):
    hybrid = "high" in spec
    text_tokenizer = tokenizer()
    common = dict(text_config=text_config(spec), vision_config=vision_config(spec),
                  image_token_id=text_tokenizer.convert_tokens_to_ids("<image>"), tie_word_embeddings=spec.get("tied", False))
    images = dict(size={"height": spec["side"], "width": spec["side"]}, min_size=spec.get("min_size", 5),
                  image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5], resample=spec.get("resample", 3))
    tokens = (spec["side"] // spec["patch"]) ** 2
    if hybrid:
        high = SamVisionConfig(hidden_size=36, output_channels=12, num_hidden_layers=spec["layers"], num_attention_heads=3,
                               image_size=spec["high"], patch_size=spec["high_patch"], window_size=spec["window"],
                               global_attn_indexes=spec["globals"], qkv_bias=spec.get("qkv_bias", True), mlp_ratio=spec.get("ratio", 4.0))
        model = DeepseekVLHybridForConditionalGeneration(DeepseekVLHybridConfig(high_res_vision_config=high, **common)).eval()
        image_processor = DeepseekVLHybridImageProcessorPil(high_res_size={"height": spec["high"], "width": spec["high"]},
                                                            high_res_resample=spec.get("high_resample", 3), **images)
        processor = DeepseekVLHybridProcessor(image_processor, text_tokenizer, chat_template=TEMPLATE, num_image_tokens=tokens)
    else:
        model = DeepseekVLForConditionalGeneration(DeepseekVLConfig(**common)).eval()
        processor = DeepseekVLProcessor(DeepseekVLImageProcessorPil(**images), text_tokenizer, chat_template=TEMPLATE,
                                        num_image_tokens=tokens)
    randomize(model, seed)
    model.generation_config.eos_token_id = 1
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return DeepseekFolder(path, model, processor)


class DeepseekFolder(Folder):
    def reference(self, inputs):
        with torch.no_grad():
            out = {"logits": self.model(**inputs).logits[0]}
            if "pixel_values" in inputs:
                out["pixel_values"] = inputs["pixel_values"]
                pictures = {"pixel_values": inputs["pixel_values"]}
                if "high_res_pixel_values" in inputs:
                    out["pixel_values_aux"] = pictures["high_res_pixel_values"] = inputs["high_res_pixel_values"]
                out["visual_tokens"] = torch.cat(list(self.model.model.get_image_features(**pictures, return_dict=True).pooler_output))
        return {name: value.numpy() for name, value in out.items()}
