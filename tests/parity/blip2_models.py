"""Tiny random BLIP-2 and InstructBLIP folders, saved by transformers as its users save them, with tokenizers and image processor."""

import torch
from llava_models import CORPUS, VOCABULARY, randomize
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessorPil,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    LlamaConfig,
    OPTConfig,
    PreTrainedTokenizerFast,
    T5Config,
)

# Published shapes shrunk; each row turns several knobs at once so that few folders meet all of them.
CONFIGS = {
    "opt": dict(text="opt", image=42, queries=5, layers=3, frequency=2),
    "llama": dict(text="llama", image=28, queries=4, layers=4, frequency=3, text_eps=1e-5, act="gelu_new"),
    "t5": dict(text="t5", image=28, queries=6, layers=3, frequency=2, feed_forward="gated-gelu", dense_act_fn="gelu", scaled=False),
    "t5_first": dict(text="t5", image=42, queries=3, layers=2, frequency=1, feed_forward="relu", scaled=True),
    "t5_v1_1": dict(text="t5", image=28, queries=4, layers=3, frequency=2, feed_forward="gated-gelu", scaled=False, head=True),
    "instruct_llama": dict(text="llama", image=42, queries=5, layers=4, frequency=2, instruct=True),
    "instruct_t5": dict(text="t5", image=28, queries=4, layers=3, frequency=2, feed_forward="gated-gelu", dense_act_fn="gelu", scaled=False,
                        instruct=True),
}


def tokenizer(last=False):
    """Byte-level BPE whose prompts start with </s>, as OPT's, or end with it, as T5's."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=VOCABULARY - 4, special_tokens=["<pad>", "</s>"], show_progress=False,
                                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.post_processor = processors.TemplateProcessing(single="$A </s>" if last else "</s> $A", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=t, bos_token=None if last else "</s>", eos_token="</s>", pad_token="<pad>")


def qformer_tokenizer():
    """WordPiece, lower case, as BERT's."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special, show_progress=False))
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    t.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=t, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]")


def text_config(spec):
    if spec["text"] == "opt":
        return OPTConfig(vocab_size=VOCABULARY, hidden_size=48, word_embed_proj_dim=48, ffn_dim=80, num_hidden_layers=3, num_attention_heads=4,
                         max_position_embeddings=128, bos_token_id=1, eos_token_id=1, pad_token_id=0)
    if spec["text"] == "llama":
        return LlamaConfig(vocab_size=VOCABULARY, hidden_size=48, intermediate_size=88, num_hidden_layers=3, num_attention_heads=4,
                           num_key_value_heads=2, rms_norm_eps=spec.get("text_eps", 1e-6), bos_token_id=1, eos_token_id=1, pad_token_id=0)
    extra = {"dense_act_fn": spec["dense_act_fn"]} if "dense_act_fn" in spec else {}
    return T5Config(vocab_size=VOCABULARY, d_model=40, d_kv=12, d_ff=72, num_layers=4, num_decoder_layers=3, num_heads=4,
                    relative_attention_num_buckets=12, relative_attention_max_distance=20, feed_forward_proj=spec["feed_forward"],
                    tie_word_embeddings=spec["scaled"], decoder_start_token_id=0, eos_token_id=1, pad_token_id=0, **extra)


class Folder:
    """A saved model beside the reference that wrote it."""

    def __init__(self, path, spec, model, processor):
        self.path, self.spec, self.model, self.processor = path, spec, model, processor
        self.image_id = processor.tokenizer.convert_tokens_to_ids("<image>")

    @property
    def is_t5(self):
        return self.spec["text"] == "t5"

    def inputs(self, text, pictures):
        """What the processor makes of one prompt and its pictures (the processor itself places one alone)."""
        out = dict(self.processor(images=pictures[:1] or None, text=text, return_tensors="pt"))
        for key in ("attention_mask", "qformer_attention_mask"):
            out.pop(key, None)
        if len(pictures) > 1:
            more = torch.full((1, self.spec["queries"] * (len(pictures) - 1)), self.image_id)
            out["input_ids"] = torch.cat([more, out["input_ids"]], 1)
            out["pixel_values"] = self.processor.image_processor(pictures, return_tensors="pt")["pixel_values"]
            if "qformer_input_ids" in out:
                out["qformer_input_ids"] = out["qformer_input_ids"].repeat(len(pictures), 1)
        return out

    def reference(self, inputs, decoder_ids=None):
        """Visual tokens and logits by transformers, in fp32."""
        vision = {key: inputs[key] for key in ("pixel_values", "qformer_input_ids") if key in inputs}
        extra = {"decoder_input_ids": torch.tensor([decoder_ids or [0]])} if self.is_t5 else {}
        with torch.no_grad():
            features = self.model.get_image_features(**vision, return_dict=True).pooler_output
            logits = self.model(**inputs, **extra).logits[0]
        return {"pixel_values": inputs["pixel_values"].numpy(), "visual_tokens": features.flatten(0, 1).numpy(), "logits": logits.numpy()}

    def generate(self, inputs, count):
        """Greedy ids, the end token left out."""
        with torch.no_grad():
            out = self.model.generate(**inputs, do_sample=False, max_new_tokens=count)[0].tolist()
        ids = out[1:] if self.is_t5 else out[inputs["input_ids"].shape[1]:]
        return ids[:ids.index(1)] if 1 in ids else ids


def make(path, spec, seed=0):
    instruct = spec.get("instruct", False)
    text_tokenizer = tokenizer(spec["text"] == "t5")
    queries = qformer_tokenizer()
    images = BlipImageProcessorPil(size={"height": spec["image"], "width": spec["image"]})
    if instruct:
        processor = InstructBlipProcessor(images, text_tokenizer, queries, num_query_tokens=spec["queries"])
    else:
        processor = Blip2Processor(images, text_tokenizer, num_query_tokens=spec["queries"])
    vision = dict(hidden_size=36, intermediate_size=72, num_hidden_layers=3, num_attention_heads=3, image_size=spec["image"], patch_size=14)
    qformer = dict(vocab_size=len(queries), hidden_size=24, num_hidden_layers=spec["layers"], num_attention_heads=4, intermediate_size=40,
                   cross_attention_frequency=spec["frequency"], max_position_embeddings=64, hidden_act=spec.get("act", "gelu"))
    config = (InstructBlipConfig if instruct else Blip2Config)(
        vision_config=vision, qformer_config=qformer, text_config=text_config(spec).to_dict(), num_query_tokens=spec["queries"],
        image_token_index=text_tokenizer.convert_tokens_to_ids("<image>"))
    model = (InstructBlipForConditionalGeneration if instruct else Blip2ForConditionalGeneration)(config).eval()
    if spec.get("head"):  # as published before version 5: a head of its own
        head = model.language_model.lm_head
        head.weight = torch.nn.Parameter(torch.empty_like(head.weight))
    randomize(model, seed)
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return Folder(path, spec, model, processor)
