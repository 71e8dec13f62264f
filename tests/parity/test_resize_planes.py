"""Second views made of normalised pixels, as torch's F.interpolate makes them: against torch and the golden models. The C++ side
is TilingProbe in ocelli/image/tiling_probe_test.cpp."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

sys.path.insert(0, str(Path(__file__).parent))
from test_tiling import CLIP, PADDED, SQUASHED, golden, pictures, probe  # noqa: F401

MODES = {
    "bilinear": {"mode": "bilinear"},
    "bicubic": {"mode": "bicubic"},
    "antialias": {"mode": "bilinear", "antialias": True},
}
UNIT = {"mean": [0] * 3, "std": [1] * 3, "scale": 1 / 255}


@pytest.mark.parametrize("name", MODES)
def test_planes_are_those_of_torch(probe, pictures, name):  # noqa: F811
    rng = np.random.default_rng(31)
    requests = []
    for path, _ in pictures:
        for then in [rng.integers(1, 90, 2).tolist() for _ in range(4)] + [[1, 1], [230, 7]]:
            if name == "antialias":
                then[1] += 1  # to one column, torch 2.13 mixes up its rows
            side = int(rng.integers(1, 120))
            base = PADDED | CLIP | {"side": side, "file": path}
            requests += [base, base | {"then": then, "plane_filter": name}]
    answers = probe(requests)
    for request, (before,), (after,) in zip(requests[1::2], answers[::2], answers[1::2]):
        want = interpolate(torch.from_numpy(before.copy())[None], request["then"], align_corners=False, **MODES[name])[0].numpy()
        assert after.shape == want.shape
        # Positions up to 120 are float32, in torch fused or not by machine: off by 7.6e-6, times two pixels' difference of 4.3.
        assert np.abs(after - want).max() <= 4e-5, request


def second_view(probe, request, pictures, want):  # noqa: F811
    answers = probe([dict(request, file=str(path)) for path in pictures])
    assert len(answers) == len(want)
    for (view,), expected in zip(answers, want):
        assert np.abs(view - expected).max() <= 5e-6


@pytest.mark.parametrize("case", ["1", "2"])
def test_golden_global_view_of_textmonkey(probe, goldens, case):  # noqa: F811
    _, files, expected = golden(goldens, f"textmonkey-{case}")
    side = expected["pixel_values"].shape[-1]
    request = SQUASHED | CLIP | {"side": side, "then": [side // 2] * 2, "plane_filter": "bicubic"}
    second_view(probe, request, files, expected["pixel_values_global"])


def test_golden_clip_view_of_mini_gemini(probe, goldens):  # noqa: F811
    _, files, expected = golden(goldens, "mini-gemini-1")
    want = expected["pixel_values"]
    request = PADDED | CLIP | {"side": expected["pixel_values_aux"].shape[-1], "then": [want.shape[-1]] * 2, "plane_filter": "bilinear"}
    second_view(probe, request, files, want)


def test_golden_views_of_mini_gemini_hd(probe, goldens):  # noqa: F811
    """Two by two tiles of the picture at twice the side, then that picture at the side."""
    _, files, expected = golden(goldens, "mini-gemini-2")
    want = expected["pixel_values"][0]
    side = want.shape[-1]
    request = PADDED | CLIP | {"side": expected["pixel_values_aux"].shape[-1], "plane_filter": "bilinear"}
    double = [2 * side, 2 * side]
    second_view(probe, request | {"then": double + [side, side]}, files, want[4:])
    whole = want[:4].reshape(2, 2, 3, side, side).transpose(2, 0, 3, 1, 4).reshape(1, 3, *double)
    second_view(probe, request | {"then": double}, files, whole)


def test_golden_low_view_of_deepseek(probe, goldens):  # noqa: F811
    _, files, expected = golden(goldens, "deepseek-vl-hybrid-1")
    want = expected["pixel_values_low"]
    request = {"system": "longest_side", "rounding": "truncate", "min_side": 14, "colour": [122, 116, 104], "plane_filter": "antialias"}
    request |= UNIT | {"side": expected["pixel_values"].shape[-1], "then": [want.shape[-1]] * 2}
    second_view(probe, request, files, want)
