"""Tiny random models of transformers that see tiles or native sizes: LLaVA-NeXT, LLaVA-OneVision, Qwen2-VL, Qwen2.5-VL, Idefics3, SmolVLM and
PaliGemma, saved as their users save them; and one prompt through both programs.

Every processor is the one of the Pillow backend: published models were trained and are used with Pillow's pixels.
"""

import json

import numpy as np
import torch
from harness import close, picture, sentence, train_on_pictures
from llava_models import CORPUS, VOCABULARY, randomize
from safetensors.numpy import load_file as load_arrays
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPVisionConfig,
    GemmaConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    LlamaConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionProcessor,
    MistralConfig,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Config,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLProcessor,
    SiglipVisionConfig,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() }}: {% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}IMAGE\n{% elif part['type'] == 'text' %}"
    "{{ part['text'] }}{% endif %}{% endfor %}{% endif %} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def tokenizer(image="<image>", extra=(), vocabulary=VOCABULARY):
    """Byte-level BPE; the special tokens in front, so that every one lies inside the vocabulary."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", image, *extra]
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=special, show_progress=False,
                                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<s>", eos_token="</s>", pad_token="</s>",
                                   extra_special_tokens={"image_token": image})


def without_video(processor_class):
    """The processor without its part for videos, which needs torchvision."""

    def check(self, name, argument):
        return None if name == "video_processor" else processor_class.check_argument_for_proper_class(self, name, argument)

    return type(processor_class.__name__, (processor_class,), {"check_argument_for_proper_class": check,
                                                               "get_attributes": classmethod(lambda cls: ["image_processor", "tokenizer"])})


class ModernFolder:
    """A saved model beside the reference that wrote it."""

    placeholder = "<image>"

    def __init__(self, path, model, processor):
        self.path, self.model, self.processor = path, model, processor

    @property
    def tokenizer(self):
        return self.processor.tokenizer

    def chat_inputs(self, text, pictures):
        content = [{"type": "image", "image": one} for one in pictures] + [{"type": "text", "text": text}]
        return self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True,
                                                  return_dict=True, return_tensors="pt")

    def raw_inputs(self, text, pictures):
        return self.processor(text=[text], images=[pictures] if pictures else None, return_tensors="pt")

    def model_inputs(self, inputs):
        return dict(inputs)

    def views(self, inputs):
        """The real views, in order, each [3, height, width]."""
        raise NotImplementedError

    def features(self, inputs):
        keys = ("pixel_values", "image_sizes", "image_grid_thw", "pixel_attention_mask", "batch_num_images")
        out = self.model.model.get_image_features(**{key: inputs[key] for key in keys if key in inputs}, return_dict=True).pooler_output
        return torch.cat(list(out)) if isinstance(out, (list, tuple)) else out.flatten(0, -2)

    def reference(self, inputs):
        with torch.no_grad():
            out = {"logits": self.model(**self.model_inputs(inputs)).logits[0].numpy()}
            if "pixel_values" in inputs:
                out["views"] = [view.numpy() for view in self.views(inputs)]
                out["visual_tokens"] = self.features(inputs).numpy()
        return out

    def generate(self, inputs, count):
        with torch.no_grad():
            out = self.model.generate(**self.model_inputs(inputs), do_sample=False, max_new_tokens=count)
        ids = out[0, inputs["input_ids"].shape[1]:].tolist()
        ends = self.model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        return ids[:-1] if ids and ids[-1] in ends else ids


def compare(out, inputs, reference):
    ours = load_arrays(out)
    assert ours["input_ids"].tolist() == inputs["input_ids"][0].tolist()
    names = sorted((name for name in ours if name.startswith("pixel_values_")), key=lambda name: int(name.rsplit("_", 1)[1]))
    views = [ours[name] for name in names] or list(ours.get("pixel_values", []))
    assert len(views) == len(reference.get("views", []))
    for own, theirs in zip(views, reference.get("views", [])):
        assert own.shape == theirs.shape
        assert np.abs(own - theirs).max() <= 2e-6
    for name in ("visual_tokens", "logits"):
        assert (name in ours) == (name in reference)
        if name in reference:
            close(ours[name], reference[name], name)


def pictures_at(tmp_path, rng, sizes):
    files = [tmp_path / f"{i}.png" for i in range(len(sizes))]
    return files, [picture(file, rng, *size) for file, size in zip(files, sizes)]


def run_case(run_ocelli, folder, tmp_path, rng, form, sizes, path=None):
    """One prompt of that form with pictures of those sizes (width, height), through both."""
    files, pictures = pictures_at(tmp_path, rng, sizes)
    arguments = [part for file in files for part in ("--image", file)]
    if form == "chat":
        text = sentence(rng)
        inputs = folder.chat_inputs(text, pictures)
        arguments += ["-p", text]
    else:
        text = "".join(f"{sentence(rng)} {folder.placeholder}\n" for _ in files) + sentence(rng)
        inputs = folder.raw_inputs(text, pictures)
        if form == "raw":
            arguments += ["--raw", "-p", text]
        else:
            ids = folder.tokenizer(text)["input_ids"] if form == "ids" else inputs["input_ids"][0].tolist()
            (tmp_path / "ids.json").write_text(json.dumps({"input_ids": ids}))
            arguments += ["--input-ids", tmp_path / "ids.json"]
    run_ocelli(["logits", path or folder.path, *arguments, "--out", tmp_path / "out.safetensors"])
    compare(tmp_path / "out.safetensors", inputs, folder.reference(inputs))


def run_chat(run_ocelli, folder, tmp_path, rng, sizes):
    """16 greedy tokens by the KV cache, and the counts that `explain` tells beforehand."""
    files, pictures = pictures_at(tmp_path, rng, sizes)
    text = sentence(rng)
    answer = run_ocelli(["chat", folder.path, *[part for file in files for part in ("--image", file)], "-p", text, "-n", 16, "--temp", 0,
                         "--precision", "fp32", "--json"]).last_json()
    inputs = folder.chat_inputs(text, pictures)
    assert answer["tokens"] == folder.generate(inputs, 16)
    image = int((inputs["input_ids"] == folder.model.config.image_token_id).sum())
    assert answer["usage"]["image"] == image and answer["usage"]["prompt"] == inputs["input_ids"].numel()
    told = run_ocelli(["explain", folder.path, *[part for w, h in sizes for part in ("--image", f"{w}x{h}")], "--json"]).last_json()
    assert sum(each["tokens"] for each in told["pictures"]) == image
    assert told["parameters"] == sum(parameter.numel() for parameter in folder.model.parameters())


def run_training(run_ocelli, folder, tmp_path, rng, size, parts, form="raw"):
    """Two steps, and what they wrote: transformers loads it, all parts moved, and both programs still agree."""
    written = train_on_pictures(run_ocelli, folder.path, tmp_path, rng, 4, size, max_length=2048)
    theirs, loading = type(folder.model).from_pretrained(written, output_loading_info=True)
    unused = [key for key in loading["missing_keys"] if "post_layernorm" not in key and ".head." not in key]
    assert not unused and not loading["unexpected_keys"] and not loading["mismatched_keys"], loading
    before = dict(folder.model.named_parameters())
    moved = [key for key, value in theirs.named_parameters() if not torch.equal(value, before[key])]
    for part in parts:
        assert any(part in key for key in moved), part
    again = type(folder)(written, theirs.eval(), folder.processor)
    run_case(run_ocelli, again, tmp_path, rng, form, [size])


def saved(kind, path, model, processor, seed):
    model = model.eval()
    randomize(model, seed)
    model.generation_config.eos_token_id = 1
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return kind(path, model, processor)


def llama(spec, **extra):
    return dict(vocab_size=VOCABULARY, hidden_size=48, intermediate_size=88, num_hidden_layers=3, num_attention_heads=4,
                num_key_value_heads=spec.get("kv", 2), bos_token_id=0, eos_token_id=1, pad_token_id=1,
                tie_word_embeddings=spec.get("tied", False), **extra)


# LLaVA-NeXT and LLaVA-OneVision


class TiledFolder(ModernFolder):
    def views(self, inputs):
        from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches

        several = "batch_num_images" in inputs and inputs["batch_num_images"].max() > 1
        counts = [1 if several else image_size_to_num_patches(size, self.model.config.image_grid_pinpoints,
                                                              self.model.config.vision_config.image_size)
                  for size in inputs["image_sizes"]]
        return [view for tiles, count in zip(inputs["pixel_values"], counts) for view in tiles[:count]]


PINPOINTS = [[28, 56], [56, 28], [56, 56]]


def make_llava_next(path, spec, seed):
    text_tokenizer = tokenizer()
    text = MistralConfig(sliding_window=spec.get("window"), **llama(spec)) if spec["text"] == "mistral" else LlamaConfig(**llama(spec))
    vision = CLIPVisionConfig(hidden_size=36, intermediate_size=72, num_hidden_layers=3, num_attention_heads=3, image_size=28,
                              patch_size=spec["patch"])
    pinpoints = spec.get("pinpoints", PINPOINTS)
    model = LlavaNextForConditionalGeneration(LlavaNextConfig(
        vision_config=vision, text_config=text, image_token_index=2, vision_feature_layer=spec.get("feature", -2),
        image_grid_pinpoints=pinpoints, tie_word_embeddings=spec.get("tied", False)))
    images = LlavaNextImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, image_grid_pinpoints=pinpoints)
    processor = LlavaNextProcessor(images, text_tokenizer, patch_size=spec["patch"], vision_feature_select_strategy="default",
                                   num_additional_image_tokens=1, chat_template=TEMPLATE.replace("IMAGE", "<image>"))
    return saved(TiledFolder, path, model, processor, seed)


def make_onevision(path, spec, seed):
    text_tokenizer = tokenizer(extra=["<video>"])
    vision = SiglipVisionConfig(hidden_size=32, intermediate_size=72, num_hidden_layers=3, num_attention_heads=4, image_size=28,
                                patch_size=spec["patch"], vision_use_head=False)
    pinpoints = [[28 * rows, 28 * columns] for rows in range(1, 7) for columns in range(1, 7)]
    aspect = f"anyres_max_{spec['most']}"
    model = LlavaOnevisionForConditionalGeneration(LlavaOnevisionConfig(
        vision_config=vision, text_config=Qwen2Config(**llama(spec)), image_token_index=2, video_token_index=3, image_grid_pinpoints=pinpoints,
        vision_feature_layer=spec.get("feature", -1), vision_aspect_ratio=aspect, tie_word_embeddings=spec.get("tied", False)))
    images = LlavaOnevisionImageProcessorPil(size={"height": 28, "width": 28}, image_grid_pinpoints=pinpoints,
                                             image_mean=[0.5, 0.45, 0.4], image_std=[0.5, 0.4, 0.6])
    processor = without_video(LlavaOnevisionProcessor)(images, text_tokenizer, None, num_image_tokens=(28 // spec["patch"]) ** 2,
                                        vision_feature_select_strategy="full", vision_aspect_ratio=aspect,
                                        chat_template=TEMPLATE.replace("IMAGE", "<image>"))
    return saved(TiledFolder, path, model, processor, seed)


# Qwen2-VL and Qwen2.5-VL


class Qwen2Folder(ModernFolder):
    placeholder = "<|vision_start|><|image_pad|><|vision_end|>"

    def views(self, inputs):
        tower = self.model.config.vision_config
        patch, merge, frames, begin = tower.patch_size, tower.spatial_merge_size, tower.temporal_patch_size, 0
        out = []
        for _, rows, columns in inputs["image_grid_thw"].tolist():
            patches = inputs["pixel_values"][begin:begin + rows * columns]
            begin += rows * columns
            cells = patches.reshape(rows // merge, columns // merge, merge, merge, 3, frames, patch, patch)
            assert torch.equal(cells[..., 0, :, :], cells[..., -1, :, :])
            out.append(cells[..., 0, :, :].permute(4, 0, 2, 5, 1, 3, 6).reshape(3, rows * patch, columns * patch))
        return out


def make_qwen2(path, spec, seed):
    windowed = spec["windowed"]
    text_tokenizer = tokenizer("<|image_pad|>", ["<|vision_start|>", "<|vision_end|>", "<|video_pad|>"])
    ids = text_tokenizer.convert_tokens_to_ids
    patch, merge = spec["patch"], spec.get("merge", 2)
    common = dict(depth=spec["depth"], num_heads=spec["heads"], patch_size=patch, spatial_merge_size=merge, temporal_patch_size=2)
    if windowed:
        vision = dict(hidden_size=spec["width"], intermediate_size=52, out_hidden_size=48, window_size=spec["window"],
                      fullatt_block_indexes=spec["full"], **common)
    else:
        vision = dict(embed_dim=spec["width"], hidden_size=48, mlp_ratio=spec.get("ratio", 3), **common)
    text = llama(spec, rope_parameters={"rope_type": "default", "rope_theta": spec.get("theta", 1e6), "mrope_section": spec["sections"]})
    keys = dict(text_config=text, vision_config=vision, image_token_id=2, video_token_id=ids("<|video_pad|>"),
                vision_start_token_id=ids("<|vision_start|>"), vision_end_token_id=ids("<|vision_end|>"),
                tie_word_embeddings=spec.get("tied", False))
    if windowed:
        model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**keys))
    else:
        model = Qwen2VLForConditionalGeneration(Qwen2VLConfig(**keys))
    least, most = spec["pixels"]
    images = Qwen2VLImageProcessorPil(size={"shortest_edge": least, "longest_edge": most}, patch_size=patch, merge_size=merge)
    processor = without_video(Qwen2_5_VLProcessor if windowed else Qwen2VLProcessor)(
        images, text_tokenizer, None, chat_template=TEMPLATE.replace("IMAGE", Qwen2Folder.placeholder))
    return saved(Qwen2Folder, path, model, processor, seed)


# Idefics3 and SmolVLM


class Idefics3Folder(ModernFolder):
    def views(self, inputs):
        return [view for view in inputs["pixel_values"].flatten(0, 1) if view.abs().sum() > 0]

    def features(self, inputs):
        return torch.cat(list(self.model.model.get_image_features(inputs["pixel_values"], inputs.get("pixel_attention_mask"),
                                                                  return_dict=True).pooler_output))


def make_idefics3(path, spec, seed):
    smol = spec["kind"] == "smolvlm"
    markers = ["<fake_token_around_image>", "<end_of_utterance>"]
    if spec.get("markers", True):
        markers += ["<global-img>", *[f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]]
    text_tokenizer = tokenizer(extra=markers)
    vision = dict(hidden_size=32, intermediate_size=72, num_hidden_layers=3, num_attention_heads=4, image_size=spec["image"],
                  patch_size=spec["patch"])
    keys = dict(vision_config=vision, text_config=LlamaConfig(**llama(spec)), image_token_id=2, scale_factor=spec["scale"],
                tie_word_embeddings=spec.get("tied", False))
    model = SmolVLMForConditionalGeneration(SmolVLMConfig(**keys)) if smol else Idefics3ForConditionalGeneration(Idefics3Config(**keys))
    images = Idefics3ImageProcessorPil(size={"longest_edge": spec["longest"]}, max_image_size={"longest_edge": spec["tile"]},
                                       do_image_splitting=spec.get("split", True))
    count = (spec["tile"] // spec["patch"] // spec["scale"]) ** 2
    processor = Idefics3Processor(images, text_tokenizer, image_seq_len=count, chat_template=TEMPLATE.replace("IMAGE", "<image>"))
    return saved(Idefics3Folder, path, model, processor, seed)


# PaliGemma


class PaliGemmaFolder(ModernFolder):
    def views(self, inputs):
        return list(inputs["pixel_values"])

    def chat_inputs(self, text, pictures):
        return self.processor(text=["<image>" * len(pictures) + text], images=[pictures], return_tensors="pt")

    def model_inputs(self, inputs):
        return {key: value for key, value in inputs.items() if key != "labels"}


def make_paligemma(path, spec, seed):
    text_tokenizer = tokenizer(vocabulary=VOCABULARY - 40)
    vision = SiglipVisionConfig(hidden_size=32, intermediate_size=72, num_hidden_layers=3, num_attention_heads=4, image_size=spec["image"],
                                patch_size=spec["patch"], vision_use_head=False, projection_dim=48)
    images = SiglipImageProcessorPil(size={"height": spec["image"], "width": spec["image"]})
    images.image_seq_length = (spec["image"] // spec["patch"]) ** 2
    processor = PaliGemmaProcessor(images, text_tokenizer)
    text = {**llama(spec), "vocab_size": len(text_tokenizer) + 5, "head_dim": spec["head_dim"]}
    model = PaliGemmaForConditionalGeneration(PaliGemmaConfig(
        vision_config=vision, text_config=GemmaConfig(**{**text, "tie_word_embeddings": True}), image_token_index=2, projection_dim=48,
        hidden_size=48, vocab_size=text["vocab_size"]))
    return saved(PaliGemmaFolder, path, model, processor, seed)
