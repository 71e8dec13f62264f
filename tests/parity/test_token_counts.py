"""What `explain` says of pictures of any size, from a folder without weights where its layout allows it, is what the model consumes: for
every system, thousands of sizes. The consuming side is TokenProbe in ocelli/model/token_probe_test.cpp."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import blip2_models
import deepseek_models
import llava_models
import modern_models
from test_idefics3 import CONFIGS as IDEFICS3
from test_internvl import CONFIGS as INTERNVL
from test_internvl import Folder as InternVl
from test_llava_next import CONFIGS as LLAVA_NEXT
from test_paligemma import CONFIGS as PALIGEMMA
from test_qwen2_vl import CONFIGS as QWEN2_VL

ROOT = Path(os.environ.get("OCELLI_GOLDENS", Path(__file__).parent / "goldens"))
GOLDENS = sorted(path.parent.name for path in ROOT.glob("*/model")) if ROOT.is_dir() else []
# "system/configuration": how that folder is made.
MAKERS = {
    **{f"llava/{name}": (llava_models.make_llava, llava_models.CONFIGS[name]) for name in ("llava15", "cropped", "list_full", "siglip")},
    **{f"llava_next/{name}": LLAVA_NEXT[name] for name in ("vicuna", "one_row")},
    **{f"llava_onevision/{name}": LLAVA_NEXT[name] for name in ("onevision", "onevision_shrunk")},
    **{f"internvl/{name}": (InternVl, INTERNVL[name]) for name in ("six", "pooled")},
    **{f"{'qwen2_5_vl' if QWEN2_VL[name]['windowed'] else 'qwen2_vl'}/{name}": (modern_models.make_qwen2, QWEN2_VL[name])
       for name in QWEN2_VL},
    **{f"{IDEFICS3[name]['kind']}/{name}": (modern_models.make_idefics3, IDEFICS3[name])
       for name in ("idefics3", "smolvlm", "other_grid", "whole")},
    "paligemma/plain": (modern_models.make_paligemma, PALIGEMMA["plain"]),
    **{f"{'instructblip' if blip2_models.CONFIGS[name].get('instruct') else 'blip2'}/{name}": (blip2_models.make, blip2_models.CONFIGS[name])
       for name in ("opt", "t5", "instruct_llama")},
    **{f"deepseek_vl/{name}": (deepseek_models.make_deepseek, deepseek_models.CONFIGS[name]) for name in ("plain", "hybrid")},
}
# Prepared another way when a prompt has several: `explain` is asked for one at a time.
SEVERAL = "llava_onevision"
EXTREMES = [(1, 1), (1, 2), (2, 1), (1, 10000), (10000, 1), (3, 4000), (4000, 3), (7, 199), (1400, 7)]
FULL_COUNT = 10000  # of a system, shared by its configurations
WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pth")


def system_of(name):
    return name.split("/")[0] if name in MAKERS else name.rsplit("-", 1)[0]


def count_of(name):
    return -(-FULL_COUNT // sum(system_of(other) == system_of(name) for other in (*MAKERS, *GOLDENS)))


def sizes_of(name, count):
    """Sides of every order of magnitude, so that small, long and large pictures come up alike."""
    rng = np.random.default_rng(sum(map(ord, name)))
    return EXTREMES + np.exp(rng.uniform(0, np.log(1400), (count, 2))).round().astype(int).tolist()


@pytest.fixture
def model(request, tmp_path):
    """The folder of that row of MAKERS, or of that golden."""
    if request.param in MAKERS:
        make, spec = MAKERS[request.param]
        make(tmp_path / "model", spec, 0)
        return request.param, tmp_path / "model"
    return request.param, ROOT / request.param / "model"


@pytest.fixture
def probe(build_dir, tmp_path):
    """probe(folder, sizes): for each size the number of visual tokens told, and consumed, or why there are none."""
    program = build_dir / "model_test"
    if not program.is_file():
        pytest.fail(f"{program} is not there: build the target model_test, or set OCELLI_BUILD")

    def ask(folder, sizes):
        request = {"model": str(folder), "sizes": [side for size in sizes for side in size]}
        (tmp_path / "requests.jsonl").write_text(json.dumps(request) + "\n")
        env = dict(os.environ, OCELLI_PROBE=str(tmp_path / "requests.jsonl"), OCELLI_TEST_OUT=str(tmp_path))
        done = subprocess.run([str(program), "--gtest_filter=TokenProbe.*"], env=env, capture_output=True, text=True, timeout=3600)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads((tmp_path / "results.jsonl").read_text())

    return ask


def arguments(sizes):
    return [part for width, height in sizes for part in ("--image", f"{width}x{height}")]


@pytest.mark.parametrize("model", [*MAKERS, *GOLDENS], indirect=True)
def test_what_is_told_is_consumed(model, probe, run_ocelli, full_counts):
    name, folder = model
    sizes = sizes_of(name, count_of(name) if full_counts else 60)
    answer = probe(folder, sizes)
    wrong = [row for row in zip(sizes, answer["told"], answer["consumed"]) if row[1] != row[2]]
    assert not wrong, f"{len(wrong)} of {len(sizes)}, the first {wrong[0]}"
    taken = [row for row in zip(sizes, answer["told"]) if isinstance(row[1], int)]
    assert len(taken) > 0.8 * len(sizes), answer["told"]
    # The same by the program: what one call takes of those that are taken, and each of the first that are not.
    alone = system_of(name) == SEVERAL
    step = 1 if alone else 2000
    for begin in range(0, 5 if alone else len(taken), step):
        part = taken[begin:begin + step]
        line = run_ocelli(["explain", folder, *arguments([size for size, _ in part]), "--json"]).last_json()
        assert [picture["tokens"] for picture in line["pictures"]] == [tokens for _, tokens in part]
    refused = [row for row in zip(sizes, answer["told"]) if isinstance(row[1], str)]
    for size, reason in refused[:2]:
        assert reason in run_ocelli(["explain", folder, *arguments([size])], code=1).stderr


def bare_copy(folder, to):
    """The folder without its weights; those of a tower's own folder too."""
    return shutil.copytree(folder, to, ignore=lambda _, names: [name for name in names if name.endswith(WEIGHTS)])


# Layouts whose config.json names a tower, whose sizes are then the published ones; those of the tiny models are other towers, which is seen
# where the config repeats a width, and is not where it doesn't: then only the tokens are the same.
REFUSED = ("cogagent", "deepseek-vl", "deepseek-vl-hybrid", "mini-gemini")
NAMED = ("minigpt-v2", "minicpm-v-1", "minicpm-v-2", "textmonkey")


@pytest.mark.parametrize("model", [*MAKERS, *GOLDENS], indirect=True)
def test_explain_needs_no_weights(model, run_ocelli, tmp_path):
    name, folder = model
    asked = ["--image", "64x48", "--image", "9x70", "--json"]
    whole = run_ocelli(["explain", folder, *asked]).last_json()
    bare = run_ocelli(["explain", bare_copy(folder, tmp_path / "bare"), *asked], code=None)
    if bare.code != 0:
        assert system_of(name) in REFUSED and bare.code == 1
        assert "the shapes of its weights, and the folder has none" in bare.stderr, bare.stderr
    elif system_of(name) in NAMED:
        assert bare.last_json()["pictures"] == whole["pictures"]
    else:
        assert system_of(name) not in REFUSED and bare.last_json() == whole


TEXT = dict(vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32, bos_token_id=1,
            eos_token_id=2, rms_norm_eps=1e-5, hidden_act="silu")
SIGLIP = dict(image_size=384, model_name="siglip_large_patch16_384", select_feature="same", select_layer=-1)
ALIGNER = {"cls": "MlpProjector", "model_type": "aligner"}
EVA2_E = dict(hidden_size=1792, num_heads=16, intermediate_size=15360, num_hidden_layers=63, in_channels=3, patch_size=14, hidden_act="gelu",
              layer_norm_eps=1e-6)
# Published models by their config.json: visual tokens of a picture, and billions of parameters of the towers where they are known.
PUBLISHED = {
    "deepseek-vl-1.3b": ({"model_type": "multi_modality", "language_config": {**TEXT, "model_type": "llama", "hidden_size": 2048},
                          "vision_config": {"cls": "CLIPVisionTower", "params": SIGLIP},
                          "aligner_config": {**ALIGNER, "params": dict(depth=2, input_dim=1024, n_embed=2048, projector_type="mlp_gelu")}},
                         {"image_processor_type": "VLMImageProcessor", "image_size": 384, "min_size": 14}, 576, {"vision_tower": 0.30}),
    "deepseek-vl-7b": ({"model_type": "multi_modality", "language_config": {**TEXT, "model_type": "llama"},
                        "vision_config": {"cls": "HybridVisionTower", "params": dict(
                            high_res_cfg=dict(image_size=1024, model_name="sam_b_downsample"), low_res_cfg=SIGLIP)},
                        "aligner_config": {**ALIGNER, "params": dict(depth=2, input_dim=1024, n_embed=4096,
                                                                     projector_type="low_high_hybrid_split_mlp_gelu")}},
                       {"image_processor_type": "VLMImageProcessor", "image_size": 1024, "min_size": 14, "do_normalize": False}, 576,
                       {"vision_tower": 0.10, "aux_tower": 0.30}),
    "cogagent": ({**TEXT, "architectures": ["CogAgentForCausalLM"], "cross_image_size": 1120, "cross_hidden_size": 1024,
                  "cross_compute_hidden_size": 1024, "vision_config": {**EVA2_E, "image_size": 224, "num_positions": 257}}, None, 258,
                 {"aux_tower": 0.3096 + 6400 * 1024 / 1e9}),
    "mgm-7b-hd": ({**TEXT, "model_type": "mgm", "image_size_aux": 1536, "image_grid": 2, "image_global": True, "mm_hidden_size": 1024,
                   "mm_hidden_size_aux": 2880, "mm_projector_type": "mlp2x_gelu"}, None, 2880, {"vision_tower": 0.30, "aux_tower": 0.20}),
    "minigpt-v2": ({**TEXT, "model_type": "llama", "minigpt_v2": {"image_size": 448}}, None, 256, {"vision_tower": 0.986}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_config_is_enough(name, run_ocelli, tmp_path):
    """Counts: the facts' golden table; parameters within 5 % of what their papers say."""
    config, images, tokens, billions = PUBLISHED[name]
    (tmp_path / "config.json").write_text(json.dumps(config))
    if images:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(images))
    told = run_ocelli(["explain", tmp_path, "--image", "1024x768", "--json"]).last_json()
    assert told["visual_tokens"] == tokens
    for part, billion in billions.items():
        assert told["parts"][part]["parameters"] / 1e9 == pytest.approx(billion, rel=0.05), part
