"""Every golden: a tiny random model in the published layout of its system, pictures, ids, and the numbers the original code gave.

Read from $OCELLI_GOLDENS, by default tests/parity/goldens, where the smallest case of each system lies; each folder's README.md says how it
was made.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).parent))
from harness import close_numbers

ROOT = Path(os.environ.get("OCELLI_GOLDENS", Path(__file__).parent / "goldens"))
CASES = sorted(path.name for path in ROOT.iterdir() if (path / "expected.safetensors").exists()) if ROOT.is_dir() else []


def pixels_of(arrays):
    """Every view's pixels, in order, whether they were written as one array or one by one."""
    if "pixel_values" in arrays:
        value = arrays["pixel_values"]
        return list(value.reshape(-1, *value.shape[-3:]))
    return [arrays[f"pixel_values_{i}"] for i in range(sum(name.startswith("pixel_values_") and name[13:].isdigit() for name in arrays))]


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_the_original_codes(name, run_ocelli, tmp_path):
    folder = ROOT / name
    expected = load_file(folder / "expected.safetensors")
    images = [part for path in sorted(folder.glob("image_*.png")) for part in ("--image", path)]
    run_ocelli(["logits", folder / "model", *images, "--input-ids", folder / "input_ids.json", "--out", tmp_path / "o.safetensors"])
    ours = load_file(tmp_path / "o.safetensors")
    for i, (mine, theirs) in enumerate(zip(pixels_of(ours), pixels_of(expected), strict=True)):
        assert mine.shape == theirs.shape
        assert np.abs(mine - theirs).max() <= 1e-5, f"pixels of view {i}"
    close_numbers(ours["visual_tokens"], expected["visual_tokens"], "visual_tokens")
    if "input_ids_expanded" in expected:
        assert ours["input_ids"].tolist() == expected["input_ids_expanded"].tolist()
    close_numbers(ours["logits"], expected["logits"], "logits")


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_gives_the_same(name, run_ocelli, build_dir, tmp_path):
    """Written by ocelli, in the system's own layout or with its parts spelled out, and read again: pixels, places and numbers stay."""
    folder, expected = ROOT / name, load_file(ROOT / name / "expected.safetensors")
    request = {"model": str(folder / "model"), "through": str(tmp_path / "model"), "sizes": []}
    (tmp_path / "request.jsonl").write_text(json.dumps(request) + "\n")
    env = dict(os.environ, OCELLI_PROBE=str(tmp_path / "request.jsonl"), OCELLI_TEST_OUT=str(tmp_path))
    done = subprocess.run([str(build_dir / "model_test"), "--gtest_filter=TokenProbe.*"], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    images = [part for path in sorted(folder.glob("image_*.png")) for part in ("--image", path)]
    run_ocelli(["logits", tmp_path / "model", *images, "--input-ids", folder / "input_ids.json", "--out", tmp_path / "o.safetensors"])
    ours = load_file(tmp_path / "o.safetensors")
    for i, (mine, theirs) in enumerate(zip(pixels_of(ours), pixels_of(expected), strict=True)):
        assert np.abs(mine - theirs).max() <= 1e-5, f"pixels of view {i}"
    close_numbers(ours["visual_tokens"], expected["visual_tokens"], "visual_tokens")
    if "input_ids_expanded" in expected:
        assert ours["input_ids"].tolist() == expected["input_ids_expanded"].tolist()
    close_numbers(ours["logits"], expected["logits"], "logits")


def test_says_how_many_cases_there_are(capsys):
    systems = {name.rsplit("-", 1)[0] for name in CASES}
    with capsys.disabled():
        print(f"\ngoldens: {len(CASES)} cases of {len(systems)} systems in {ROOT.name}")
    assert CASES, f"no goldens in {ROOT}"
