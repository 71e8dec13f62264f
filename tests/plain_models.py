"""Model folders in the Hugging Face layout written without torch or transformers: small ones in milliseconds, large ones at disk speed."""

import json
import struct
from pathlib import Path

import numpy as np

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] }}: {% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)
IMAGE_TOKEN = 259


def write_tokenizer(folder):
    """Bytes as tokens 3 to 258, `<image>` behind them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        letters.setdefault(byte, chr(256 + sum(1 for other in letters.values() if ord(other) >= 256)))
    specials = {"<unk>": 0, "<|bos|>": 1, "<|end|>": 2, "<image>": IMAGE_TOKEN}
    vocab = {**{letters[byte]: 3 + byte for byte in range(256)}, "<unk>": 0, "<|bos|>": 1, "<|end|>": 2}
    added = [dict(id=id, content=text, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
             for text, id in specials.items()]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
                 "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
                 "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                           "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": []}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|bos|>",
                                                              "eos_token": "<|end|>"}))
    (folder / "chat_template.jinja").write_text(TEMPLATE)


def text_config(hidden=32, intermediate=64, layers=2, heads=4, kv_heads=2, vocabulary=260):
    return {"model_type": "llama", "vocab_size": vocabulary, "hidden_size": hidden, "intermediate_size": intermediate,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads, "bos_token_id": 1,
            "eos_token_id": 2, "tie_word_embeddings": False, "architectures": ["LlamaForCausalLM"]}


def llama_shapes(config, body="model."):
    hidden, width = config["hidden_size"], config["hidden_size"] // config["num_attention_heads"]
    keys = config["num_key_value_heads"] * width
    shapes = {body + "embed_tokens.weight": [config["vocab_size"], hidden], body + "norm.weight": [hidden],
              "lm_head.weight": [config["vocab_size"], hidden]}
    for i in range(config["num_hidden_layers"]):
        layer = f"{body}layers.{i}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{layer}{norm}.weight"] = [hidden]
        for name, rows in (("q", hidden), ("k", keys), ("v", keys), ("o", hidden)):
            shapes[f"{layer}self_attn.{name}_proj.weight"] = [rows, hidden]
        for name in ("gate", "up"):
            shapes[f"{layer}mlp.{name}_proj.weight"] = [config["intermediate_size"], hidden]
        shapes[f"{layer}mlp.down_proj.weight"] = [hidden, config["intermediate_size"]]
    return shapes


def clip_shapes(config, tower):
    hidden, side = config["hidden_size"], config["image_size"] // config["patch_size"]
    shapes = {tower + "embeddings.class_embedding": [hidden], tower + "embeddings.position_embedding.weight": [side * side + 1, hidden],
              tower + "embeddings.patch_embedding.weight": [hidden, 3, config["patch_size"], config["patch_size"]]}
    linears = {f"self_attn.{n}_proj": (hidden, hidden) for n in ("q", "k", "v", "out")}
    linears |= {"mlp.fc1": (config["intermediate_size"], hidden), "mlp.fc2": (hidden, config["intermediate_size"])}
    norms = [tower + "pre_layrnorm", tower + "post_layernorm"]
    for i in range(config["num_hidden_layers"]):
        layer = f"{tower}encoder.layers.{i}."
        norms += [layer + "layer_norm1", layer + "layer_norm2"]
        for name, (rows, columns) in linears.items():
            shapes |= {f"{layer}{name}.weight": [rows, columns], f"{layer}{name}.bias": [rows]}
    for norm in norms:
        shapes |= {norm + ".weight": [hidden], norm + ".bias": [hidden]}
    return shapes


def write_weights(file, shapes, dtype="F32", seed=0):
    """A safetensors file of random weights, written piece by piece: norms near one, the rest small."""
    item = {"F32": 4, "BF16": 2}[dtype]
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape)) * item
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    noise = np.random.default_rng(seed).standard_normal(1 << 20, dtype=np.float32)

    def encoded(values):
        return values.tobytes() if dtype == "F32" else (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()

    with open(file, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            left, norm = int(np.prod(shape)), "norm" in name and name.endswith("weight")
            piece = encoded(np.float32(1) + np.float32(0.1) * noise if norm else np.float32(0.08) * noise)
            while left > 0:
                count = min(left, noise.size)
                out.write(piece[: count * item])
                left -= count
    return at


def write_llama(folder, dtype="F32", **sizes):
    """Returns the bytes of its weights."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    config = text_config(**sizes)
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder)
    return write_weights(folder / "model.safetensors", llama_shapes(config), dtype)


def write_llava(folder):
    """A small LLaVA with a CLIP tower: 28 x 28 pixels, 16 visual tokens. Returns its weights' shapes by name."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    text = text_config()
    vision = {"model_type": "clip_vision_model", "hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 3,
              "num_attention_heads": 3, "image_size": 28, "patch_size": 7}
    (folder / "config.json").write_text(json.dumps({
        "model_type": "llava", "architectures": ["LlavaForConditionalGeneration"], "text_config": text, "vision_config": vision,
        "image_token_index": IMAGE_TOKEN, "vision_feature_layer": -2, "vision_feature_select_strategy": "default",
        "projector_hidden_act": "gelu", "tie_word_embeddings": False}))
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}))
    write_tokenizer(folder)
    projector = "model.multi_modal_projector.linear_"
    shapes = llama_shapes(text, "model.language_model.") | clip_shapes(vision, "model.vision_tower.")
    shapes |= {projector + "1.weight": [32, 24], projector + "1.bias": [32], projector + "2.weight": [32, 32], projector + "2.bias": [32]}
    write_weights(folder / "model.safetensors", shapes)
    return shapes
