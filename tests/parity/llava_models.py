"""Tiny random LLaVA and Llama folders, saved by transformers as its users save them, with tokenizer, template and image processor.

Every parameter is drawn at random, norms and biases too: what starts as zero or one in a new model would hide a swapped or forgotten term.
"""

import math

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipImageProcessor,
    SiglipVisionConfig,
)

VOCABULARY = 320
CORPUS = [
    "USER: What colour is the circle in the first picture, and is there a triangle? ASSISTANT: blue, no.",
    "The quick brown fox jumps over the lazy dog; 1234567890 cats sit on 42 mats. Größe, façade, 你好 🙂\n\n",
    "A photo of a shoe. How many buttons does the shirt have? Describe what you see in one sentence.",
]
TEMPLATE = (
    "{% if bos_token is defined and with_bos %}{{ bos_token }}{% endif %}{% for message in messages %}{{ message['role'].upper() }}: "
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}</s>{% endif %} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)

# Published shapes shrunk; each row turns several knobs at once so that few folders meet all of them.
CONFIGS = {
    "llava15": dict(tower="clip", layers=3, image=28, patch=7, kv=4),
    "gqa_bias": dict(tower="clip", layers=4, image=30, patch=7, kv=2, attention_bias=True, mlp_bias=True, theta=500000.0, bos=True),
    "head_dim": dict(tower="clip", layers=3, image=24, patch=6, heads=3, kv=1, head_dim=20, feature=-1, act="gelu"),
    "first_state": dict(tower="clip", layers=3, image=20, patch=10, feature=[0], projector_bias=False, kv=2),
    "positive_layer": dict(tower="clip", layers=5, image=28, patch=14, feature=2, strategy="full", projector_act="relu", kv=2),
    "layer_list": dict(tower="clip", layers=4, image=28, patch=7, feature=[-2, -1, 1], projector_act="gelu_pytorch_tanh", kv=4),
    "list_full": dict(tower="clip", layers=4, image=21, patch=7, feature=[0, -3], strategy="full", kv=1, act="gelu_pytorch_tanh"),
    "tied": dict(tower="clip", layers=3, image=28, patch=7, tied=True, kv=2, theta=1e6, rms_eps=1e-5, bos=True),
    "siglip": dict(tower="siglip", layers=3, image=28, patch=7, feature=-2, strategy="full", kv=2),
    "siglip_last": dict(tower="siglip", layers=4, image=33, patch=8, feature=-1, strategy="full", tied=True, kv=1, projector_act="silu"),
    "siglip_list": dict(tower="siglip", layers=3, image=24, patch=8, feature=[-1, -2], strategy="full", act="gelu", kv=4, bos=True,
                        resample=2),
    "squashed_clip": dict(tower="clip", layers=3, image=26, patch=13, kv=2, size={"height": 26, "width": 26}, text_act="gelu", eps=1e-6),
    "cropped": dict(tower="clip", layers=3, image=28, patch=7, kv=2, size={"shortest_edge": 35}, resample=1, wide=True),
}


def tokenizer(bos=False):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=VOCABULARY - 4, special_tokens=["<s>", "</s>"], show_progress=False,
                                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    if bos:
        t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<s>", eos_token="</s>", pad_token="</s>",
                                   extra_special_tokens={"image_token": "<image>"})


def randomize(model, seed):
    """Weights that keep activations near one; logits far enough apart that greedy choices are no ties."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if p.dim() == 1 and name.endswith("weight"):
                p.copy_(1 + 0.3 * noise)
            elif p.dim() == 1 or "embed" in name or "position" in name:
                p.copy_(0.4 * noise)
            else:
                p.copy_(noise * 1.2 / math.sqrt(p[0].numel()))


def text_config(spec):
    heads, hidden = spec.get("heads", 4), spec.get("hidden", 48)
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=88,
        num_hidden_layers=3,
        num_attention_heads=heads,
        num_key_value_heads=spec["kv"],
        head_dim=spec.get("head_dim", hidden // heads),
        rope_parameters={"rope_type": "default", "rope_theta": spec.get("theta", 10000.0)},
        rms_norm_eps=spec.get("rms_eps", 1e-6),
        attention_bias=spec.get("attention_bias", False),
        mlp_bias=spec.get("mlp_bias", False),
        tie_word_embeddings=spec.get("tied", False),
        hidden_act=spec.get("text_act", "silu"),
        bos_token_id=0,
        eos_token_id=1,
    )


def vision_config(spec):
    clip = spec["tower"] == "clip"
    extra = {"layer_norm_eps": spec["eps"]} if "eps" in spec else {}
    if "act" in spec:
        extra["hidden_act"] = spec["act"]
    return (CLIPVisionConfig if clip else SiglipVisionConfig)(
        hidden_size=36 if clip else 32, intermediate_size=72, num_hidden_layers=spec["layers"], num_attention_heads=3 if clip else 4,
        image_size=spec["image"], patch_size=spec["patch"], **extra)


def image_processor(spec):
    side = spec["image"]
    extra = {"resample": spec["resample"]} if "resample" in spec else {}
    if spec["tower"] == "siglip":
        return SiglipImageProcessor(size={"height": side, "width": side}, **extra)
    return CLIPImageProcessor(size=spec.get("size", {"shortest_edge": side}), crop_size={"height": side, "width": side}, **extra)


class Folder:
    """A saved model beside the reference that wrote it."""

    def __init__(self, path, model, processor=None):
        self.path, self.model, self.processor = path, model, processor

    @property
    def tokenizer(self):
        return self.processor.tokenizer

    def reference(self, inputs):
        """Pixels, visual tokens and logits of one prompt by transformers, in fp32."""
        with torch.no_grad():
            out = {"logits": self.model(**inputs).logits[0]}
            if "pixel_values" in inputs:
                pixels = inputs["pixel_values"]
                out["pixel_values"] = pixels
                out["visual_tokens"] = torch.cat(list(self.model.get_image_features(pixel_values=pixels, return_dict=True).pooler_output))
        return {name: value.numpy() for name, value in out.items()}

    def chat_inputs(self, text, pictures):
        content = [{"type": "image", "image": picture} for picture in pictures] + [{"type": "text", "text": text}]
        return self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True,
                                                  return_dict=True, return_tensors="pt")

    def raw_inputs(self, text, pictures):
        return self.processor(text=text, images=pictures or None, return_tensors="pt")

    def generate(self, inputs, count):
        """Greedy ids, the end token left out."""
        with torch.no_grad():
            out = self.model.generate(**inputs, do_sample=False, max_new_tokens=count)
        ids = out[0, inputs["input_ids"].shape[1]:].tolist()
        ends = self.model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        return ids[:-1] if ids and ids[-1] in ends else ids


def make_llava(path, spec, seed=0, **save):
    template = TEMPLATE.replace("with_bos", "true" if spec.get("bos") else "false")
    text_tokenizer = tokenizer(spec.get("bos", False))
    config = LlavaConfig(
        vision_config=vision_config(spec),
        text_config=text_config(spec),
        image_token_index=text_tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=spec.get("feature", -2),
        vision_feature_select_strategy=spec.get("strategy", "default"),
        projector_hidden_act=spec.get("projector_act", "gelu"),
        multimodal_projector_bias=spec.get("projector_bias", True),
        tie_word_embeddings=spec.get("tied", False),
    )
    model = LlavaForConditionalGeneration(config).eval()
    randomize(model, seed)
    model.generation_config.eos_token_id = 1
    model.save_pretrained(path, **save)
    processor = LlavaProcessor(image_processor(spec), text_tokenizer, patch_size=spec["patch"],
                               vision_feature_select_strategy=spec.get("strategy", "default"),
                               num_additional_image_tokens=1 if spec["tower"] == "clip" else 0, chat_template=template)
    processor.save_pretrained(path)
    return Folder(path, model, processor)


def make_llama(path, spec, seed=0):
    model = LlamaForCausalLM(text_config(spec)).eval()
    randomize(model, seed)
    model.save_pretrained(path)
    tokenizer(spec.get("bos", False)).save_pretrained(path)
    return Folder(path, model)
