"""Pictures as Pillow has them: decode, resize, crop, pad; normalize as transformers has it. The C++ side is
ImageProbe in ocelli/image/image_probe_test.cpp, called once a test with all its requests."""

import importlib.util
import io
import json
import os
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")

ROOT = Path(__file__).resolve().parents[2]
FILTERS = ["nearest", "box", "bilinear", "bicubic", "lanczos"]

spec = importlib.util.spec_from_file_location("make_testdata", ROOT / "ocelli/image/testdata/make_testdata.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


@pytest.fixture(scope="module")
def image_test(build_dir):
    program = build_dir / "image_test"
    if not program.is_file():
        pytest.fail(f"{program} is not there: build the target image_test, or set OCELLI_BUILD")
    return program


@pytest.fixture
def probe(image_test, tmp_path):
    def call(requests, isa=None):
        """Results in order: (bytes, width, height), or the error's text."""
        lines = tmp_path / "requests.jsonl"
        lines.write_text("".join(json.dumps(request) + "\n" for request in requests))
        env = dict(os.environ, OCELLI_PROBE=str(lines), OCELLI_TEST_OUT=str(tmp_path))
        if isa:
            env["OCELLI_ISA"] = isa
        done = subprocess.run([str(image_test), "--gtest_filter=ImageProbe.*"], env=env, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        blob = (tmp_path / "results.bin").read_bytes()
        results = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
        assert len(results) == len(requests)
        return [
            r["error"] if "error" in r else (blob[r["offset"] : r["offset"] + r["bytes"]], r["width"], r["height"]) for r in results
        ]

    return call


def pixels(result):
    assert isinstance(result, tuple), result
    data, width, height = result
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def of_pillow(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # palettes with transparency
        return Image.open(io.BytesIO(data)).convert("RGB")


def difference(a, b):
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def random_side(rng):
    return int(rng.choice([1, 2, 3, int(rng.integers(1, 40)), int(rng.integers(1, 300))]))


def decode_all(probe, folder, files, tolerance, **options):
    """Decodes every file by us and by Pillow; `files` maps a name to its bytes."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    names = list(files)
    results = probe([{"op": "decode", "file": str(folder / name), **options} for name in names])
    for name, result in zip(names, results):
        expected = np.array(of_pillow(files[name]))
        assert difference(pixels(result), expected) <= tolerance, name


@pytest.mark.parametrize("isa", ["scalar", None])
def test_resize_is_byte_equal(probe, tmp_path, isa):
    rng = np.random.default_rng(11)
    requests, expected = [], []
    for case in range(500):
        width, height = random_side(rng), random_side(rng)
        to = (random_side(rng), random_side(rng)) if case % 7 else (width, random_side(rng))
        kind = case % 3  # noise, smooth, extremes (where the negative lobes clip)
        array = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        if kind == 1:
            array = make.picture(width, height, seed=case)
        elif kind == 2:
            array = (array > 127).astype(np.uint8) * 255
        source = Image.fromarray(array)
        path = tmp_path / f"{case}.png"
        source.save(path, compress_level=1)
        name = FILTERS[case % 5]
        requests.append({"op": "resize", "file": str(path), "width": to[0], "height": to[1], "filter": name})
        expected.append(np.array(source.resize(to, getattr(Image.Resampling, name.upper()))))
    for request, result, want in zip(requests, probe(requests, isa), expected):
        assert np.array_equal(pixels(result), want), request


def test_resize_of_large_pictures_is_byte_equal(probe, tmp_path):
    path = tmp_path / "large.png"
    source = Image.fromarray(make.picture(1999, 1503, seed=3))
    source.save(path, compress_level=1)
    requests = [
        {"op": "resize", "file": str(path), "width": w, "height": h, "filter": name}
        for name in FILTERS
        for w, h in ((336, 336), (448, 337), (1, 1), (2003, 9))
    ]
    for request, result in zip(requests, probe(requests)):
        want = source.resize((request["width"], request["height"]), getattr(Image.Resampling, request["filter"].upper()))
        assert np.array_equal(pixels(result), np.array(want)), request


def random_png(rng):
    """A PNG of a random form, every colour type, depth, interlacing and transparency the format has."""
    color, depth = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)][
        int(rng.integers(15))
    ]
    width, height = int(rng.integers(1, 40)), int(rng.integers(1, 40))
    samples = rng.integers(0, 1 << depth, (height, width, make.CHANNELS[color]))
    if depth == 16:
        samples >>= rng.integers(0, 16, samples.shape)
    palette = trns = None
    if color == 3:
        entries = 1 << depth
        palette = rng.integers(0, 256, 3 * entries, dtype=np.uint8).tobytes()
        if rng.integers(2):
            trns = rng.integers(0, 256, int(rng.integers(1, entries + 1)), dtype=np.uint8).tobytes()
    elif color in (0, 2) and rng.integers(2):
        trns = samples[0, 0].astype(">u2").tobytes()
    return make.write_png(samples, color, depth, bool(rng.integers(2)), palette, trns)


def test_png_is_byte_equal(probe, tmp_path):
    rng = np.random.default_rng(12)
    files = {f"{case}.png": random_png(rng) for case in range(400)}
    # Encoded by Pillow: other filters, several IDAT chunks.
    for case, mode in enumerate(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"] * 6):
        array = make.picture(int(rng.integers(1, 300)), int(rng.integers(1, 300)), seed=case)
        image = Image.fromarray(array).convert("L").convert("I").point(lambda v: v * 3).convert("I;16") if mode == "I;16" else Image.fromarray(array).convert(mode)
        files[f"pillow{case}.png"] = make.saved(image, "PNG", optimize=case % 3 == 0)
    # Palettes shorter than the indices used.
    files["short.png"] = make.write_png(np.arange(16).reshape(4, 4, 1), 3, 4, palette=bytes(range(30)))
    decode_all(probe, tmp_path, files, tolerance=0)


def random_jpeg(rng, case):
    width, height = int(rng.integers(1, 120)), int(rng.integers(1, 120))
    image = Image.fromarray(make.picture(width, height, seed=case)).convert(["RGB", "L", "CMYK"][int(rng.choice(3, p=[0.6, 0.2, 0.2]))])
    options = {"quality": int(rng.integers(5, 101)), "progressive": bool(rng.integers(2)), "optimize": bool(rng.integers(2))}
    if image.mode == "RGB":
        options["subsampling"] = int(rng.integers(3))
        options["keep_rgb"] = not rng.integers(6)
        if options["keep_rgb"]:
            del options["subsampling"]
    if rng.integers(4) == 0:
        options["restart_marker_blocks"] = int(rng.integers(1, 9))
    if rng.integers(3) == 0:
        options["exif"] = b"Exif\0\0" + make.exif_block(int(rng.integers(0, 10)), bool(rng.integers(2)))
    return make.saved(image, "JPEG", **options)


def test_jpeg_is_within_one_level(probe, tmp_path):
    rng = np.random.default_rng(13)
    decode_all(probe, tmp_path, {f"{case}.jpg": random_jpeg(rng, case) for case in range(300)}, tolerance=1)


def test_webp_is_within_one_level(probe, tmp_path):
    rng = np.random.default_rng(14)
    files = {}
    for case in range(200):
        image = Image.fromarray(make.picture(int(rng.integers(1, 100)), int(rng.integers(1, 100)), seed=case))
        if case % 2:
            image.putalpha(Image.fromarray(rng.integers(0, 256, (image.height, image.width), dtype=np.uint8)))
        options = {"lossless": case % 3 == 0, "quality": int(rng.integers(1, 101)), "exact": case % 4 < 2}
        if case % 5 == 0:
            options |= {"save_all": True, "append_images": [image.rotate(180)]}
        files[f"{case}.webp"] = make.saved(image, "WEBP", **options)
    decode_all(probe, tmp_path, files, tolerance=1)


def test_orientation_is_that_of_exif_transpose(probe, tmp_path):
    rng = np.random.default_rng(15)
    requests, expected = [], []
    for case in range(240):
        width, height = int(rng.integers(1, 90)), int(rng.integers(1, 90))
        block = make.exif_block(case % 11, bool(rng.integers(2)), int(rng.choice([3, 4])))
        image = Image.fromarray(make.picture(width, height, seed=case))
        format = ["PNG", "JPEG", "WEBP"][case % 3]
        data = make.saved(image, format, exif=b"Exif\0\0" + block)
        path = tmp_path / f"{case}.bin"
        path.write_bytes(data)
        requests.append({"op": "decode", "file": str(path), "orientation": True})
        expected.append(np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")))
    for request, result, want in zip(requests, probe(requests), expected):
        assert difference(pixels(result), want) <= (0 if "PNG" in request["file"] else 1), request


def test_default_options_are_exact_arithmetic(probe, tmp_path):
    """White under alpha and 16 bits divided by 257, each rounded to nearest."""
    rng = np.random.default_rng(16)
    requests, expected = [], []
    for case in range(200):
        color, depth = [(0, 16), (2, 16), (4, 8), (4, 16), (6, 8), (6, 16)][case % 6]
        samples = rng.integers(0, 1 << depth, (int(rng.integers(1, 30)), int(rng.integers(1, 30)), make.CHANNELS[color]))
        path = tmp_path / f"{case}.png"
        path.write_bytes(make.write_png(samples, color, depth, bool(rng.integers(2))))
        eight = (samples * 2 + 257) // 514 if depth == 16 else samples
        colors = eight[:, :, : 3 if color & 2 else 1]
        if color & 4:
            alpha = eight[:, :, -1:]
            colors = (2 * (colors * alpha + 255 * (255 - alpha)) + 255) // 510
        expected.append(np.broadcast_to(colors, (*colors.shape[:2], 3)))
        requests.append({"op": "decode", "file": str(path), "pillow": False})
    for request, result, want in zip(requests, probe(requests), expected):
        assert np.array_equal(pixels(result), want), request


def test_crop_and_pad(probe, tmp_path):
    rng = np.random.default_rng(17)
    requests, expected = [], []
    for case in range(200):
        width, height = int(rng.integers(1, 60)), int(rng.integers(1, 60))
        source = Image.fromarray(make.picture(width, height, seed=case))
        path = tmp_path / f"{case}.png"
        source.save(path)
        left, top, w, h = (int(v) for v in (*rng.integers(-70, 70, 2), *rng.integers(1, 80, 2)))
        requests.append({"op": "crop", "file": str(path), "left": left, "top": top, "width": w, "height": h})
        expected.append(np.array(source.crop((left, top, left + w, top + h))))
        left, top, more = (int(v) for v in rng.integers(0, 20, 3))
        w, h = left + width + more, top + height + more
        requests.append({"op": "pad", "file": str(path), "left": left, "top": top, "width": w, "height": h})
        canvas = Image.new("RGB", (w, h), (10, 20, 30))
        canvas.paste(source, (left, top))
        expected.append(np.array(canvas))
    for request, result, want in zip(requests, probe(requests), expected):
        assert np.array_equal(pixels(result), want), request


def test_normalize_is_bit_equal(probe, tmp_path):
    transforms = pytest.importorskip("transformers.image_transforms")
    rng = np.random.default_rng(18)
    requests, expected = [], []
    for case in range(200):
        array = rng.integers(0, 256, (int(rng.integers(1, 40)), int(rng.integers(1, 40)), 3), dtype=np.uint8)
        path = tmp_path / f"{case}.png"
        Image.fromarray(array).save(path)
        mean, std = rng.uniform(0, 1, 3).tolist(), rng.uniform(0.05, 1, 3).tolist()
        scale = float(rng.choice([1 / 255, 0.00392156862745098, 1 / 127.5, 1.0]))
        requests.append({"op": "normalize", "file": str(path), "mean": mean, "std": std, "scale": scale})
        chw = array.transpose(2, 0, 1)
        scaled = transforms.rescale(chw, scale, data_format="channels_first", input_data_format="channels_first")
        expected.append(transforms.normalize(scaled, mean, std, data_format="channels_first", input_data_format="channels_first"))
    for request, (data, width, height), want in zip(requests, probe(requests), expected):
        got = np.frombuffer(data, np.float32).reshape(3, height, width)
        assert want.dtype == np.float32
        assert np.array_equal(got.view(np.uint32), np.ascontiguousarray(want).view(np.uint32)), request


def test_clip_processor_is_bit_equal(probe, tmp_path):
    """The whole path of CLIP's Pillow processor: bicubic to the short side, centre crop, rescale, normalize."""
    pil_clip = pytest.importorskip("transformers.models.clip.image_processing_pil_clip")
    processor = pil_clip.CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56})
    source = Image.fromarray(make.picture(97, 151, seed=5))
    want = processor(source, return_tensors="np")["pixel_values"][0]
    cropped = source.resize((56, int(56 * 151 / 97)), Image.Resampling.BICUBIC)
    top = (cropped.height - 56) // 2
    path = tmp_path / "cropped.png"
    cropped.crop((0, top, 56, top + 56)).save(path)
    request = {"op": "normalize", "file": str(path), "mean": processor.image_mean, "std": processor.image_std, "scale": processor.rescale_factor}
    (data, _, _) = probe([request])[0]
    assert np.array_equal(np.frombuffer(data, np.float32).reshape(3, 56, 56), want)


def test_encoded_png_is_read_by_pillow(probe, tmp_path):
    rng = np.random.default_rng(19)
    requests, expected = [], []
    for case in range(40):
        array = make.picture(int(rng.integers(1, 200)), int(rng.integers(1, 200)), seed=case)
        path = tmp_path / f"{case}.png"
        Image.fromarray(array).save(path)
        requests.append({"op": "encode_png", "file": str(path)})
        expected.append(array)
    for (data, _, _), want in zip(probe(requests), expected):
        assert np.array_equal(np.array(Image.open(io.BytesIO(data))), want)
