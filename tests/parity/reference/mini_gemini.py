"""Mini-Gemini written out plainly in PyTorch, and tiny random folders in its published layout."""

import json
import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
LANGUAGE = {"mgm": (LlamaConfig, LlamaForCausalLM), "mgm_mistral": (MistralConfig, MistralForCausalLM),
            "mgm_gemma": (GemmaConfig, GemmaForCausalLM)}


def random_weights(shapes, generator):
    return {name: torch.randn(shape, generator=generator) * (0.3 if len(shape) == 1 else 1.0 / math.sqrt(max(1, math.prod(shape[1:]))))
            + (1.0 if len(shape) == 1 and name.endswith("weight") else 0.0) for name, shape in shapes.items()}


def convnext_shapes(widths, depths):
    shapes = {"vision_stem.0.weight": (widths[0], 3, 4, 4), "vision_stem.0.bias": (widths[0],),
              "vision_stem.1.weight": (widths[0],), "vision_stem.1.bias": (widths[0],)}
    for i, (width, depth) in enumerate(zip(widths, depths)):
        stage = f"vision_stages.{i}."
        if i > 0:
            before = widths[i - 1]
            shapes |= {stage + "downsample.0.weight": (before,), stage + "downsample.0.bias": (before,),
                       stage + "downsample.1.weight": (width, before, 2, 2), stage + "downsample.1.bias": (width,)}
        for j in range(depth):
            block = f"{stage}blocks.{j}."
            shapes |= {block + "conv_dw.weight": (width, 1, 7, 7), block + "conv_dw.bias": (width,), block + "norm.weight": (width,),
                       block + "norm.bias": (width,), block + "mlp.fc1.weight": (4 * width, width), block + "mlp.fc1.bias": (4 * width,),
                       block + "mlp.fc2.weight": (width, 4 * width), block + "mlp.fc2.bias": (width,), block + "gamma": (width,)}
    return shapes


class MiniGemini:
    """One random model. `spec`: model_type, side, aux, patch, grid, whole, aspect, widths, depths, kv."""

    def __init__(self, spec, seed):
        self.spec, generator = spec, torch.Generator().manual_seed(seed)
        self.clip = CLIPVisionModel(CLIPVisionConfig(hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=3,
                                                     image_size=spec["side"], patch_size=spec["patch"], hidden_act="quick_gelu")).eval()
        config, language = LANGUAGE[spec["model_type"]]
        self.language = language(config(vocab_size=96, hidden_size=48, intermediate_size=72, num_hidden_layers=3, num_attention_heads=4,
                                        num_key_value_heads=spec["kv"], head_dim=12, rms_norm_eps=1e-5, max_position_embeddings=512)).eval()
        if spec["model_type"] == "mgm_gemma":
            for layer in self.language.model.layers:
                layer.mlp.act_fn = torch.nn.GELU()  # the published "gelu" was obeyed; later versions of transformers turn it into tanh
        with torch.no_grad():
            for module in (self.clip, self.language):
                for name, p in module.named_parameters():
                    p.copy_(random_weights({name: p.shape}, generator)[name])
        width, aux = 24, sum(spec["widths"])
        shapes = {"model.vision_tower_aux." + name: shape for name, shape in convnext_shapes(spec["widths"], spec["depths"]).items()}
        for name, size in (("query", width), ("aux", aux), ("val", aux)):
            prefix = f"model.vlm_uni_{name}_projector."
            shapes |= {prefix + "0.weight": (size,), prefix + "0.bias": (size,), prefix + "1.weight": (width, size), prefix + "1.bias": (width,)}
        shapes |= {"model.mm_projector.0.weight": (48, width), "model.mm_projector.0.bias": (48,),
                   "model.mm_projector.2.weight": (48, 48), "model.mm_projector.2.bias": (48,)}
        self.weights = random_weights(shapes, generator)

    def save(self, path):
        spec, text = self.spec, self.language.config
        tensors = dict(self.weights)
        for name, value in self.clip.state_dict().items():
            tensors["model.vision_tower.vision_tower.vision_model." + name.removeprefix("vision_model.")] = value
        for name, value in self.language.state_dict().items():
            if not (name == "lm_head.weight" and text.tie_word_embeddings):
                tensors[name] = value
        path.mkdir()
        save_file({name: value.detach().clone().contiguous() for name, value in tensors.items() if "position_ids" not in name},
                  path / "model.safetensors")
        tower = path / "towers" / "clip"
        if spec.get("tower_folder", True):
            tower.mkdir(parents=True)
            (tower / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": self.clip.config.to_dict()}))
            (tower / "preprocessor_config.json").write_text(json.dumps({
                "image_mean": CLIP_MEAN, "image_std": CLIP_STD, "size": spec["side"], "crop_size": spec["side"], "resample": 3}))
        config = {
            "model_type": spec["model_type"], "hidden_size": 48, "intermediate_size": 72, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": spec["kv"], "head_dim": 12, "vocab_size": 96, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "max_position_embeddings": 512, "hidden_act": "gelu" if spec["model_type"] == "mgm_gemma" else "silu",
            "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": text.tie_word_embeddings, "image_aspect_ratio": spec["aspect"],
            "image_grid": spec["grid"], "image_global": spec["whole"], "image_size_aux": spec["aux"], "mm_hidden_size": 24,
            "mm_projector_type": "mlp2x_gelu", "mm_vision_select_feature": "patch", "mm_vision_select_layer": spec.get("layer", -2),
            "mm_vision_tower": "towers/clip", "mm_vision_tower_aux": "towers/convnext", "sliding_window": None,
        }
        (path / "config.json").write_text(json.dumps(config))

    def pixels(self, picture):
        """(views of CLIP [V, 3, side, side], picture of ConvNeXt [3, aux, aux])."""
        spec, picture = self.spec, picture.convert("RGB")
        aux, side, grid = spec["aux"], spec["side"], spec["grid"]
        width, height = picture.size
        if spec["aspect"] == "pad":
            longest = max(width, height)
            square = Image.new("RGB", (longest, longest), (122, 116, 104))
            square.paste(picture, ((longest - width) // 2, (longest - height) // 2))
            small = square.resize((aux, aux), Image.Resampling.BICUBIC)
        else:
            short, long = min(width, height), max(width, height)
            other = int(aux * long / short)
            small = picture.resize((aux, other) if width <= height else (other, aux), Image.Resampling.BICUBIC)
            left, top = (small.width - aux) // 2, (small.height - aux) // 2
            small = small.crop((left, top, left + aux, top + aux))
        values = torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1).float() / 255
        values = (values - torch.tensor(CLIP_MEAN)[:, None, None]) / torch.tensor(CLIP_STD)[:, None, None]
        shrink = lambda x, to: F.interpolate(x[None], (to, to), mode="bilinear", align_corners=False)[0]
        reduced = shrink(values, grid * side)
        views = [reduced[:, i * side:(i + 1) * side, j * side:(j + 1) * side] for i in range(grid) for j in range(grid)]
        if grid > 1 and spec["whole"]:
            views.append(shrink(reduced, side))
        return torch.stack(views), values

    def norm(self, name, x, eps=1e-6):
        return F.layer_norm(x, x.shape[-1:], self.weights[name + ".weight"], self.weights[name + ".bias"], eps)

    def convnext(self, pixels):
        """[3, aux, aux] to [rows, columns, width of all stages]."""
        spec, prefix, w = self.spec, "model.vision_tower_aux.", self.weights
        nhwc = lambda x: x.permute(0, 2, 3, 1)
        nchw = lambda x: x.permute(0, 3, 1, 2)
        x, maps = pixels[None], []
        for i, depth in enumerate(spec["depths"]):
            stage = f"{prefix}vision_stages.{i}."
            if i == 0:
                x = F.conv2d(x, w[prefix + "vision_stem.0.weight"], w[prefix + "vision_stem.0.bias"], stride=4)
                x = nchw(self.norm(prefix + "vision_stem.1", nhwc(x)))
            else:
                x = nchw(self.norm(stage + "downsample.0", nhwc(x)))
                x = F.conv2d(x, w[stage + "downsample.1.weight"], w[stage + "downsample.1.bias"], stride=2)
            for j in range(depth):
                block = f"{stage}blocks.{j}."
                y = F.conv2d(x, w[block + "conv_dw.weight"], w[block + "conv_dw.bias"], padding=3, groups=x.shape[1])
                y = self.norm(block + "norm", nhwc(y))
                y = F.linear(F.gelu(F.linear(y, w[block + "mlp.fc1.weight"], w[block + "mlp.fc1.bias"])), w[block + "mlp.fc2.weight"],
                             w[block + "mlp.fc2.bias"])
                x = x + nchw(y * w[block + "gamma"])
            maps.append(x)
        size = maps[0].shape[2:]
        return nhwc(torch.cat([F.interpolate(m, size, mode="bilinear", align_corners=False) for m in maps], 1))[0]

    def project(self, name, x):
        prefix = f"model.vlm_uni_{name}_projector."
        return F.linear(self.norm(prefix + "0", x, 1e-5), self.weights[prefix + "1.weight"], self.weights[prefix + "1.bias"])

    def mine(self, patches, cells):
        """patches [P, D], cells [rows, columns, D_aux]: one by one."""
        n = math.isqrt(len(patches))
        step, out = cells.shape[0] // n, []
        for index, patch in enumerate(patches):
            row, column = divmod(index, n)
            block = cells[row * step:(row + 1) * step, column * step:(column + 1) * step].reshape(step * step, -1)
            scores = self.project("aux", block) @ self.project("query", patch) / math.sqrt(patch.numel())
            out.append(patch + scores.softmax(0) @ self.project("val", block))
        return torch.stack(out)

    def visual_tokens(self, views, aux):
        grid, whole = self.spec["grid"], self.spec["grid"] > 1 and self.spec["whole"]
        patches = self.clip(views, output_hidden_states=True).hidden_states[self.spec.get("layer", -2)][:, 1:]
        cells = self.convnext(aux)
        part, mined = cells.shape[0] // grid, []
        if whole:
            small = F.interpolate(cells.permute(2, 0, 1)[None], scale_factor=1 / grid, mode="bilinear", align_corners=False)[0]
            mined.append(self.mine(patches[-1], small.permute(1, 2, 0)))
        for i in range(grid):
            for j in range(grid):
                mined.append(self.mine(patches[i * grid + j], cells[i * part:(i + 1) * part, j * part:(j + 1) * part]))
        w, x = self.weights, torch.cat(mined)
        x = F.gelu(F.linear(x, w["model.mm_projector.0.weight"], w["model.mm_projector.0.bias"]))
        return F.linear(x, w["model.mm_projector.2.weight"], w["model.mm_projector.2.bias"])

    @torch.no_grad()
    def reference(self, ids, pictures):
        """What `ocelli logits` is to give for ids with -200 for each picture."""
        prepared = [self.pixels(picture) for picture in pictures]
        tokens = [self.visual_tokens(*one) for one in prepared]
        table, gemma = self.language.get_input_embeddings(), self.spec["model_type"] == "mgm_gemma"
        text = lambda i: self.language.get_input_embeddings().weight[i] * (math.sqrt(table.weight.shape[1]) if gemma else 1.0)
        rows, expanded, left = [], [], iter(tokens)
        for i in ids:
            if i == -200:
                visual = next(left)
                rows.append(visual * (math.sqrt(table.weight.shape[1]) if gemma else 1.0))  # Gemma multiplies all it is given
                expanded += [-200] * len(visual)
            else:
                rows.append(text(i)[None])
                expanded.append(i)
        embeds = torch.cat(rows)[None]
        out = {"input_ids": np.array(expanded), "logits": self.language(inputs_embeds=embeds).logits[0].numpy()}
        if pictures:
            out |= {"pixel_values": torch.cat([views for views, _ in prepared]).numpy(),
                    "pixel_values_aux": torch.stack([aux for _, aux in prepared]).numpy(), "visual_tokens": torch.cat(tokens).numpy()}
        return out
