"""Qwen-VL, TextMonkey and MiniCPM-V 1 and 2 beyond their golden cases: the same tiny models with other pictures, prompts and settings give
what the plain PyTorch versions in reference/ give."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent))
from harness import close
from reference import minicpm_v, qwen_family

# system: settings that differ from the golden model's, by the path of their key
SETTINGS = {
    "qwen-vl": [{"seq_length": 100}, {}, {"seq_length": 40, "use_dynamic_ntk": False}, {"seq_length": 64, "use_logn_attn": False},
                {"visual.image_size": 70}],
    "textmonkey": [{"visual.r": 20, "visual.n_queries": 276}, {"visual.use_global": False, "visual.n_queries": 43},
                   {"visual.add_window": False}, {"visual.resampler": False, "visual.n_queries": 1280}],
    "minicpm-v-1": [{}, {"scale_emb": 1, "scale_depth": 0.7}, {"image_size": 98}],
    "minicpm-v-2": [{}, {"max_slice_nums": 4}, {"scale_resolution": 56}, {"max_slice_nums": 2}],
}
SIZES = [(300, 200), (50, 400), (33, 20), (640, 90), (128, 128), (1, 60)]


def golden(name, goldens):
    for root in (goldens, Path(__file__).resolve().parents[3] / "shared" / "goldens"):
        folders = sorted(root.glob(f"{name}-[0-9]"))
        if folders:
            return folders[0] / "model"
    pytest.skip(f"no golden case of {name}")


def changed_model(source, folder, settings):
    """A copy of the model with other settings. Returns config and weights."""
    folder.mkdir()
    config = json.loads((source / "config.json").read_text())
    for path, value in settings.items():
        *outer, key = path.split(".")
        target = config
        for name in outer:
            target = target[name]
        target[key] = value
    (folder / "config.json").write_text(json.dumps(config))
    absent = [name for key, name in (("add_window", ".window_attention."), ("resampler", ".downresampler."))
              if not config.get("visual", {}).get(key, True)]
    weights = {name: value for name, value in load_file(source / "model.safetensors").items() if not any(part in name for part in absent)}
    save_file(weights, folder / "model.safetensors")
    return config, weights


def text_ids(rng, config, count):
    return rng.integers(6, 90, count).tolist()


def span(config, count, path="p.png"):
    """A picture's ids as Qwen-VL's tokenizer writes them: the path's bytes, then padding."""
    start = config["visual"]["image_start_id"]
    inner = list(path.encode())
    return [start, *(inner + [start + 2] * count)[:count], start + 1]


def sliced_ids(query_num, grid):
    """A picture's ids as MiniCPM-V 2's chat writes them."""
    one = [101, *[0] * query_num, 102]
    if not grid:
        return [*one, 5]
    columns, rows = grid
    lines = [one * columns for _ in range(rows)]
    return [*one, 111, *(i for k, line in enumerate(lines) for i in ([5] if k else []) + line), 112, 5]


def make_case(system, config, weights, pictures, rng):
    """ids and each span's visual tokens, by the reference."""
    ids, spans = text_ids(rng, config, 2), []
    for k, picture in enumerate(pictures):
        if system in ("qwen-vl", "textmonkey"):
            tokens = (qwen_family.qwen_vl_tokens if system == "qwen-vl" else qwen_family.text_monkey_tokens)(weights, config, picture)
            spans.append(tokens)
            ids += span(config, len(tokens), f"folder/{k}.png")
        else:
            views, grid = minicpm_v.views(config, picture)
            spans += [minicpm_v.tokens(weights, config, view) for view in views]
            ids += sliced_ids(config["query_num"], grid)
        ids += text_ids(rng, config, int(rng.integers(1, 20)))
    module = qwen_family if system in ("qwen-vl", "textmonkey") else minicpm_v
    return ids, spans, module.logits(weights, config, ids, spans)


@pytest.mark.parametrize("system", SETTINGS)
def test_other_pictures_and_settings(run_ocelli, goldens, full_counts, tmp_path, system):
    source = golden(system, goldens)
    rng = np.random.default_rng(len(system))
    slow = system == "textmonkey"
    for number, settings in enumerate(SETTINGS[system] if full_counts else SETTINGS[system][:1 if slow else 2]):
        folder = tmp_path / f"model{number}"
        config, weights = changed_model(source, folder, settings)
        for repeat in range(4 if full_counts else 1):
            count = 1 if slow else int(rng.integers(1, 4))
            files, pictures = [], []
            for i in range(count):
                width, height = SIZES[int(rng.integers(0, len(SIZES)))]
                files.append(tmp_path / f"{number}-{repeat}-{i}.png")
                Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(files[-1])
                pictures.append(Image.open(files[-1]))
            with torch.no_grad():
                ids, spans, logits = make_case(system, config, weights, pictures, rng)
            (tmp_path / "ids.json").write_text(json.dumps({"input_ids": ids}))
            images = [part for file in files for part in ("--image", file)]
            run_ocelli(["logits", folder, *images, "--input-ids", tmp_path / "ids.json", "--out", tmp_path / "out.safetensors"])
            out = load_arrays(tmp_path / "out.safetensors")
            assert out["input_ids"].tolist() == ids
            close(out["visual_tokens"], torch.cat(spans).numpy(), f"{settings}: visual_tokens")
            close(out["logits"], logits.numpy(), f"{settings}: logits")


@pytest.mark.parametrize("system", SETTINGS)
def test_spans_that_do_not_fit(run_ocelli, goldens, tmp_path, system):
    source = golden(system, goldens)
    config = json.loads((source / "config.json").read_text())
    Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8)).save(tmp_path / "p.png")
    begin = config["visual"]["image_start_id"] if "visual" in config else 101
    for ids in ([7, begin, 7, 7, 7, begin + 1, 8], [7, begin, 7], [7, 8]):
        (tmp_path / "ids.json").write_text(json.dumps({"input_ids": ids}))
        result = run_ocelli(["logits", source, "--image", tmp_path / "p.png", "--input-ids", tmp_path / "ids.json", "--out",
                             tmp_path / "out.safetensors"], code=1)
        assert "visual tokens" in result.stderr or "never closed" in result.stderr


@pytest.mark.parametrize("system", ["minicpm-v-1", "minicpm-v-2"])
def test_empty_spans_are_spelled_out(run_ocelli, goldens, tmp_path, system):
    folder = golden(system, goldens).parent
    given = json.loads((folder / "input_ids.json").read_text())
    (tmp_path / "ids.json").write_text(json.dumps({"input_ids": given["compact_prompt_ids"]}))
    images = [part for file in sorted(folder.glob("image_*.png")) for part in ("--image", file)]
    run_ocelli(["logits", folder / "model", *images, "--input-ids", tmp_path / "ids.json", "--out", tmp_path / "out.safetensors"])
    out, expected = load_arrays(tmp_path / "out.safetensors"), load_arrays(folder / "expected.safetensors")
    assert out["input_ids"].tolist() == given["input_ids"]
    close(out["logits"], expected["logits"], "logits")
