"""How pictures are cut: sizes for thousands of pictures and the views' pixels, against the Pillow processors of `transformers`,
the plain versions in reference/tiling.py, and the golden models. The C++ side is TilingProbe in
ocelli/image/tiling_probe_test.cpp, called once a test with all its requests."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

sys.path.insert(0, str(Path(__file__).parent))
from reference import tiling as plain

ROOT = Path(__file__).resolve().parents[2]
EXTREMES = [(1, 1), (1, 10000), (10000, 1), (20000, 20000), (1, 2), (2, 1), (3, 4000), (4000, 3)]  # (height, width)
# Where round(x, 7) and int(x) differ when padding is taken off, and smart_resize's two quotients one after the other and at once.
CORNERS = [(88, 55), (176, 55), (55, 88), (99, 88), (88, 99), (352, 110), (6032, 1885), (2565, 912), (1053, 5265)]
NONE, FIRST, LAST = 0, 1, 2
CLIP = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711], "scale": 1 / 255}
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3, "scale": 1 / 255}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "scale": 1 / 255}
PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]

spec = importlib.util.spec_from_file_location("make_testdata", ROOT / "ocelli/image/testdata/make_testdata.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


@pytest.fixture
def probe(build_dir, tmp_path):
    program = build_dir / "image_test"
    if not program.is_file():
        pytest.fail(f"{program} is not there: build the target image_test, or set OCELLI_BUILD")

    def call(requests):
        """Of each request: rows of numbers (an error's text in place of a row), or views as arrays, or an error's text."""
        lines = tmp_path / "requests.jsonl"
        lines.write_text("".join(json.dumps(request) + "\n" for request in requests))
        env = dict(os.environ, OCELLI_PROBE=str(lines), OCELLI_TEST_OUT=str(tmp_path))
        done = subprocess.run([str(program), "--gtest_filter=TilingProbe.*"], env=env, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        blob = (tmp_path / "results.bin").read_bytes()
        answers = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
        assert len(answers) == len(requests)
        out = []
        for request, answer in zip(requests, answers):
            if "views" not in answer:
                out.append(answer.get("results", answer.get("error")))
                continue
            views = []
            for view in answer["views"]:
                shape = (3, view["height"], view["width"]) if "mean" in request else (view["height"], view["width"], 3)
                dtype = np.float32 if "mean" in request else np.uint8
                views.append(np.frombuffer(blob, dtype, math.prod(shape), view["offset"]).reshape(shape))
            out.append(views)
        return out

    return call


@pytest.fixture
def sizes(full_counts):
    """Pictures' (height, width): every order of magnitude and aspect, near multiples of tiles, extremes."""
    rng = np.random.default_rng(21)
    out = EXTREMES + CORNERS
    while len(out) < (10_000 if full_counts else 400):
        kind = len(out) % 4
        if kind == 0:
            out.append(tuple(int(v) for v in rng.integers(1, 700, 2)))
        elif kind == 1:
            out.append(tuple(int(v) for v in np.exp(rng.uniform(0, math.log(8000), 2))))
        elif kind == 2:
            out.append(tuple(int(v) for v in rng.integers(200, 4000, 2)))
        else:  # where ties and exact ratios are
            unit = int(rng.choice([14, 28, 56, 112, 168, 224, 336, 384, 448]))
            out.append(tuple(int(max(1, v)) for v in rng.integers(1, 9, 2) * unit + rng.integers(-1, 2, 2)))
    return [(max(h, 1), max(w, 1)) for h, w in out]


@pytest.fixture
def pictures(tmp_path, full_counts):
    """PNG files with their PIL images; small, so that every system's tiles are many."""
    rng = np.random.default_rng(22)
    shapes = [(1, 1), (1, 300), (300, 1), (56, 56), (112, 57), (57, 112), (200, 60), (61, 199)]
    shapes += [tuple(int(v) for v in np.exp(rng.uniform(0, math.log(400), 2)) + 1) for _ in range(400 if full_counts else 24)]
    out = []
    for case, (width, height) in enumerate(shapes):
        array = make.picture(width, height, seed=case) if case % 2 else rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        path = tmp_path / f"picture{case}.png"
        Image.fromarray(array).save(path, compress_level=1)
        out.append((str(path), Image.fromarray(array)))
    return out


def flat(sizes):
    return [side for size in sizes for side in size]


def check_rows(rows, sizes, expected):
    assert len(rows) == len(sizes)
    for size, row in zip(sizes, rows):
        want = expected(size)
        assert row == want, f"picture (height, width) {size}: {row}, expected {want}"


def check_views(answers, pictures, expected):
    """Views byte for byte; expected(picture) gives PIL images or uint8 arrays [height, width, 3]."""
    for (path, picture), views in zip(pictures, answers):
        want = [np.asarray(view) for view in expected(picture)]
        assert isinstance(views, list), (picture.size, views)
        assert [view.shape for view in views] == [view.shape for view in want], picture.size
        for i, (view, other) in enumerate(zip(views, want)):
            assert np.array_equal(view, other), f"picture {picture.size}, view {i}"


def untouched(processor_class, **options):
    """A processor of `transformers` that gives pixels as they are cut, before rescaling and normalising."""
    return processor_class(do_rescale=False, do_normalize=False, **options)


def images_of(batch):
    """Views as [height, width, 3] bytes."""
    return [np.asarray(view).transpose(1, 2, 0).astype(np.uint8) for view in batch]


# LLaVA-NeXT and LLaVA-OneVision


def hf_anyres_row(size, pinpoints, tile, features):
    """What `transformers` chooses: canvas, resized size, features kept, features of anyres_max_9."""
    utils = pytest.importorskip("transformers.image_processing_utils")
    next_processing = pytest.importorskip("transformers.models.llava_next.processing_llava_next")
    height, width = utils.select_best_resolution(size, pinpoints)
    resized = utils.get_patch_output_size(np.broadcast_to(np.uint8(0), (3, *size)), (height, width), "channels_first")
    kept = next_processing.LlavaNextProcessor._get_unpadded_features(None, *size, features, features, height // tile, width // tile)
    return (height // tile, width // tile), list(resized), kept


@pytest.mark.parametrize("candidates", ["next", "onevision"])
def test_anyres_sizes_are_those_of_transformers(probe, sizes, candidates):
    tile, features, pinpoints = 336, 24, PINPOINTS
    if candidates == "onevision":
        tile, features = 384, 27
        pinpoints = [[384 * a, 384 * b] for a in range(1, 7) for b in range(1, 7)]
    one = pytest.importorskip("transformers.models.llava_onevision.processing_llava_onevision").LlavaOnevisionProcessor
    settings = SimpleNamespace(vision_aspect_ratio="anyres_max_9")
    request = {"system": "anyres", "pinpoints": flat(pinpoints), "tile": tile, "features": features, "sizes": flat(sizes)}
    (rows,) = probe([request])
    for size, row in zip(sizes, rows):
        grid, resized, (kept, newlines) = hf_anyres_row(size, pinpoints, tile, features)
        assert row[:9] == [*grid, FIRST, tile, tile, tile, tile, *size], size
        assert row[9:11] == resized, size
        # rows and columns with transformers' rounding, then limited to nine tiles
        assert (row[15] * row[16], row[15]) == (kept, newlines), size
        limited = one._get_unpadded_features(settings, *size, features, features, *grid)
        assert (row[17] * row[18], row[17]) == limited, size


def test_anyres_sizes_are_those_of_the_original(probe, sizes):
    request = {"system": "anyres", "pinpoints": flat(PINPOINTS), "tile": 336, "width_first": True, "features": 24, "sizes": flat(sizes)}

    def expected(size):
        height, width = size
        canvas = plain.best_canvas((width, height), PINPOINTS)
        resized = plain.size_on_canvas((width, height), canvas)
        kept = plain.unpadded((canvas[0] // 14, canvas[1] // 14), (width, height))
        return [canvas[1] // 336, canvas[0] // 336, FIRST, 336, 336, 336, 336, *size, *resized[::-1], *kept[::-1]]

    (rows,) = probe([request])
    check_rows([row[:13] for row in rows], sizes, expected)


def test_unpad_is_that_of_the_model(probe):
    """The processor counts and the model cuts; both are held to the same numbers."""
    model = pytest.importorskip("transformers.models.llava_next.modeling_llava_next")
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(23)
    sizes = [(82, 205), (75, 131)] + [tuple(int(v) for v in rng.integers(1, 300, 2)) for _ in range(300)]
    pinpoints = [[60 * a, 60 * b] for a in range(1, 4) for b in range(1, 4)]
    (rows,) = probe([{"system": "anyres", "pinpoints": flat(pinpoints), "tile": 60, "features": 6, "sizes": flat(sizes)}])
    for size, row in zip(sizes, rows):
        kept = model.unpad_image(torch.empty(1, row[0] * 6, row[1] * 6), size).shape[1:]
        assert row[15:17] == list(kept), size


def test_anyres_views_are_those_of_transformers(probe, pictures):
    module = pytest.importorskip("transformers.models.llava_next.image_processing_pil_llava_next")
    pinpoints = [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168]]
    processor = untouched(
        module.LlavaNextImageProcessorPil,
        size={"shortest_edge": 56},
        crop_size={"height": 56, "width": 56},
        image_grid_pinpoints=pinpoints,
    )
    answers = probe([{"system": "anyres", "pinpoints": flat(pinpoints), "tile": 56, "file": path} for path, _ in pictures])
    check_views(answers, pictures, lambda picture: images_of(processor(picture, return_tensors="np")["pixel_values"][0]))


def test_onevision_views_are_those_of_transformers(probe, pictures):
    module = pytest.importorskip("transformers.models.llava_onevision.image_processing_pil_llava_onevision")
    pinpoints = [[48 * a, 48 * b] for a in range(1, 4) for b in range(1, 4)]
    processor = untouched(module.LlavaOnevisionImageProcessorPil, size={"height": 48, "width": 48}, image_grid_pinpoints=pinpoints)
    answers = probe([{"system": "anyres", "pinpoints": flat(pinpoints), "tile": 48, "file": path} for path, _ in pictures])
    check_views(answers, pictures, lambda picture: images_of(processor(picture, return_tensors="np")["pixel_values"][0]))


def test_onevision_pads_one_of_several_pictures_to_a_square(probe, pictures):
    module = pytest.importorskip("transformers.models.llava_onevision.image_processing_pil_llava_onevision")
    processor = untouched(module.LlavaOnevisionImageProcessorPil, size={"height": 48, "width": 48})
    answers = probe([{"system": "pad", "side": 48, "colour": [122, 116, 104], "file": path} for path, _ in pictures])

    def expected(picture):
        batch = processor([[picture, picture]], return_tensors="np")["pixel_values"]
        return images_of(batch[0])

    check_views(answers, pictures, expected)


def test_anyres_views_are_those_of_the_original(probe, pictures):
    pinpoints = [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168]]
    request = {"system": "anyres", "pinpoints": flat(pinpoints), "tile": 56, "width_first": True}
    answers = probe([dict(request, file=path) for path, _ in pictures])
    check_views(answers, pictures, lambda picture: plain.anyres(picture, pinpoints, 56))


# InternVL


@pytest.mark.parametrize("tile, least, most", [((448, 448), 1, 12), ((448, 448), 1, 40), ((448, 448), 1, 6), ((384, 200), 2, 9)])
def test_internvl_grids_are_those_of_transformers(probe, sizes, tile, least, most):
    module = pytest.importorskip("transformers.models.got_ocr2.image_processing_pil_got_ocr2")
    request = {"system": "internvl", "tile_height": tile[0], "tile_width": tile[1], "min": least, "max": most, "sizes": flat(sizes)}
    (rows,) = probe([request])

    def expected(size):
        columns, rows = module.get_optimal_tiled_canvas(size, tile, least, most)
        return [rows, columns, *([LAST, *tile, *tile] if rows * columns > 1 else [NONE, *tile, 0, 0]), *size]

    check_rows(rows, sizes, expected)


def test_internvl_grids_are_those_of_the_original(probe, sizes):
    (rows,) = probe([{"system": "internvl", "tile_height": 448, "tile_width": 448, "min": 1, "max": 12, "sizes": flat(sizes)}])
    check_rows([row[1::-1] for row in rows], sizes, lambda size: list(plain.internvl_grid(size[::-1], 1, 12, 448)))


def test_internvl_views_are_those_of_transformers(probe, pictures):
    module = pytest.importorskip("transformers.models.got_ocr2.image_processing_pil_got_ocr2")
    processor = untouched(module.GotOcr2ImageProcessorPil, size={"height": 56, "width": 56}, crop_to_patches=True, max_patches=7)
    request = {"system": "internvl", "tile_height": 56, "tile_width": 56, "min": 1, "max": 7}
    answers = probe([dict(request, file=path) for path, _ in pictures])
    check_views(answers, pictures, lambda picture: images_of(processor(picture, return_tensors="np")["pixel_values"]))


# MiniCPM-V 2


@pytest.mark.parametrize("most, scale, patch", [(9, 448, 14), (2, 448, 14), (16, 84, 14), (9, 100, 7)])
def test_uhd_sizes_are_those_of_the_original(probe, sizes, most, scale, patch):
    (rows,) = probe([{"system": "uhd", "max": most, "scale_resolution": scale, "patch": patch, "sizes": flat(sizes)}])

    def expected(size):
        overview, grid, cell = plain.uhd_sizes(size[::-1], most, scale, patch)
        if grid is None:
            return [1, 1, NONE, *overview[::-1], 0, 0, *size]
        return [*grid[::-1], FIRST, *cell[::-1], *overview[::-1], *size]

    check_rows(rows, sizes, expected)


def test_uhd_views_are_those_of_the_original(probe, pictures):
    answers = probe([{"system": "uhd", "max": 9, "scale_resolution": 84, "patch": 14, "file": path} for path, _ in pictures])
    check_views(answers, pictures, lambda picture: plain.uhd(picture, 9, 84, 14))


# Idefics3 and SmolVLM


@pytest.mark.parametrize("longest, tile", [(4 * 364, 364), (4 * 512, 512), (1536, 384), (5000, 364)])
def test_idefics3_grids_are_those_of_transformers(probe, sizes, longest, tile, monkeypatch):
    module = pytest.importorskip("transformers.models.idefics3.image_processing_pil_idefics3")
    backends = pytest.importorskip("transformers.image_processing_backends")
    processor = module.Idefics3ImageProcessorPil()

    def blank(height, width):
        return np.broadcast_to(np.uint8(0), (3, height, width))  # shape without memory

    monkeypatch.setattr(backends.PilBackend, "resize", lambda self, image, size, **_: blank(size.height, size.width))

    def expected(size):
        image = processor.resize(blank(*size), backends.SizeDict(longest_edge=longest))
        image = processor.resize_for_vision_encoder(image, tile)
        frames, rows, columns = processor.split_images(image, {"longest_edge": tile})
        assert {frame.shape for frame in frames} == {(3, tile, tile)}
        return [rows, columns, LAST, *[tile] * 4, *size] if rows else [1, 1, NONE, tile, tile, 0, 0, *size]

    (rows,) = probe([{"system": "idefics3", "longest_edge": longest, "tile": tile, "sizes": flat(sizes)}])
    check_rows(rows, sizes, expected)


@pytest.mark.parametrize("family, name", [("idefics3", "Idefics3ImageProcessorPil"), ("smolvlm", "SmolVLMImageProcessorPil")])
@pytest.mark.parametrize("split", [True, False])
def test_idefics3_views_are_those_of_transformers(probe, pictures, family, name, split):
    module = pytest.importorskip(f"transformers.models.{family}.image_processing_pil_{family}")
    sizes = {"size": {"longest_edge": 200}, "max_image_size": {"longest_edge": 56}}
    processor = untouched(getattr(module, name), do_image_splitting=split, **sizes)
    request = {"system": "idefics3", "longest_edge": 200, "tile": 56, "split": split, "filter": "lanczos"}
    answers = probe([dict(request, file=path) for path, _ in pictures])
    check_views(answers, pictures, lambda picture: images_of(processor(picture, return_tensors="np")["pixel_values"][0]))


# Qwen2-VL


@pytest.mark.parametrize("factor, least, most", [(28, 56 * 56, 14 * 14 * 4 * 1280), (28, 256 * 784, 1280 * 784), (32, 65536, 16777216)])
def test_smart_resize_is_that_of_transformers(probe, sizes, factor, least, most):
    module = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl")
    request = {"system": "smart_resize", "factor": factor, "min_pixels": least, "max_pixels": most, "sizes": flat(sizes)}
    (rows,) = probe([request])
    for size, row in zip(sizes, rows):
        try:
            want = list(module.smart_resize(*size, factor, least, most))
        except ValueError:
            assert "one side must not be more than 200 times the other" in row, size
        else:
            assert row == want, size


# DeepSeek-VL


@pytest.mark.parametrize("side", [384, 1024])
def test_deepseek_sizes(probe, sizes, side, monkeypatch):
    """Of transformers by round(), of the original by int()."""
    module = pytest.importorskip("transformers.models.deepseek_vl.image_processing_pil_deepseek_vl")
    processor = module.DeepseekVLImageProcessorPil()
    request = {"system": "longest_side", "side": side, "min_side": 14, "sizes": flat(sizes)}
    rounded, truncated = probe([dict(request, rounding="round"), dict(request, rounding="truncate")])
    monkeypatch.setattr(module, "np_resize", lambda image, size, **_: size)
    square = module.SizeDict(height=side, width=side)
    check_rows(rounded, sizes, lambda size: list(processor.resize(np.broadcast_to(np.uint8(0), (3, *size)), square, 14)))
    check_rows(truncated, sizes, lambda size: list(plain.deepseek_size(size[::-1], side, 14)[::-1]))


def test_deepseek_views(probe, pictures):
    module = pytest.importorskip("transformers.models.deepseek_vl.image_processing_pil_deepseek_vl")
    processor = untouched(module.DeepseekVLImageProcessorPil, size={"height": 96, "width": 96}, image_mean=[0.5] * 3)
    request = {"system": "longest_side", "side": 96, "min_side": 14, "colour": [127] * 3}
    answers = probe([dict(request, rounding="round", file=path) for path, _ in pictures])
    check_views(answers, pictures, lambda picture: images_of(processor(picture, return_tensors="np")["pixel_values"]))
    answers = probe([dict(request, rounding="truncate", file=path) for path, _ in pictures])
    check_views(answers, pictures, lambda picture: [plain.deepseek(picture, 96, (127,) * 3)])


# Pad, squash, SAM


@pytest.mark.parametrize("name", ["bicubic", "bilinear", "lanczos"])
def test_pad_square_is_pad_then_resize(probe, pictures, name):
    for side in (48, 230):
        request = {"system": "pad", "side": side, "colour": [122, 116, 104], "filter": name}
        answers = probe([dict(request, file=path) for path, _ in pictures])
        filter = getattr(Image.Resampling, name.upper())
        check_views(answers, pictures, lambda picture: [plain.expand_to_square(picture, (122, 116, 104)).resize((side, side), filter)])


def test_squash_is_resize(probe, pictures):
    answers = probe([{"system": "squash", "side": 70, "file": path} for path, _ in pictures])
    check_views(answers, pictures, lambda picture: [picture.resize((70, 70), Image.Resampling.BICUBIC)])


def test_sam_sizes(probe, sizes):
    (rows,) = probe([{"system": "longest_side", "side": 1024, "min_side": 0, "rounding": "half_up", "sizes": flat(sizes)}])
    for size, row in zip(sizes, rows):
        want = list(plain.sam_size(size[::-1], 1024)[::-1])
        if 0 in want:
            assert "each side must be at least 1" in row, size
        else:
            assert row == want, size


# Golden models: the original code's pixels


def golden(goldens, name):
    """(folder, pictures' paths, expected tensors) of one golden model."""
    numpy = pytest.importorskip("safetensors.numpy")
    folder = goldens / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there; OCELLI_GOLDENS names another place")
    return folder, sorted(folder.glob("image_*.png")), numpy.load_file(folder / "expected.safetensors")


def check_golden(probe, request, pictures, expected):
    """Views of all pictures in order against a list of [3, height, width]; original code divides by 255, we multiply."""
    answers = probe([dict(request, file=str(path)) for path in pictures])
    assert all(isinstance(views, list) for views in answers), answers
    views = [view for views in answers for view in views]
    assert [view.shape for view in views] == [view.shape for view in expected]
    for view, want in zip(views, expected):
        assert np.abs(view - want).max() <= 2e-6


PADDED, SQUASHED = {"system": "pad", "colour": [122, 116, 104]}, {"system": "squash"}
ONE_VIEW = {  # systems of one square view: its request and tensor; yi-vl-2 is neither padded nor squashed
    "llava-1.5-original": (PADDED | CLIP, "pixel_values"),
    "mobilevlm-v1": (PADDED | CLIP, "pixel_values"),
    "mobilevlm-v2": (PADDED | CLIP, "pixel_values"),
    "yi-vl": (PADDED | CLIP, "pixel_values"),
    "mini-gemini": (PADDED | CLIP, "pixel_values_aux"),
    "next-chat": (PADDED | CLIP | {"colour": [255] * 3}, "pixel_values"),
    "qwen-vl": (SQUASHED | CLIP, "pixel_values"),
    "textmonkey": (SQUASHED | CLIP, "pixel_values"),
    "cogvlm": (SQUASHED | CLIP, "pixel_values"),
    "cogagent": (SQUASHED | CLIP, "pixel_values cross_pixel_values"),
    "minigpt-v2": (SQUASHED | CLIP, "pixel_values"),
    "vl-vicuna": (SQUASHED | CLIP, "pixel_values"),
    "minicpm-v-1": (SQUASHED | HALF, "pixel_values"),
}


@pytest.mark.parametrize("name", [f"{system}-{case}" for system in ONE_VIEW for case in (1, 2) if (system, case) != ("yi-vl", 2)])
def test_golden_pixels_of_one_view(probe, goldens, name):
    request, keys = ONE_VIEW[name[:-2]]
    if name == "vl-vicuna-2":
        request = request | {"system": "rows_first"}  # made with a Pillow before 13
    _, pictures, expected = golden(goldens, name)
    for key in keys.split():
        check_golden(probe, request | {"side": expected[key].shape[-1]}, pictures, list(expected[key]))


@pytest.mark.parametrize("case", ["1", "2"])
def test_golden_pixels_of_llava_16(probe, goldens, case):
    folder, pictures, expected = golden(goldens, f"llava-1.6-original-{case}")
    pinpoints = json.loads((folder / "model/config.json").read_text())["image_grid_pinpoints"]
    tile = expected["pixel_values"].shape[-1]
    request = {"system": "anyres", "width_first": True, "pinpoints": flat(pinpoints), "tile": tile} | CLIP
    check_golden(probe, request, pictures, list(expected["pixel_values"]))


@pytest.mark.parametrize("case", ["1", "2"])
def test_golden_pixels_of_internvl(probe, goldens, case):
    folder, pictures, expected = golden(goldens, f"internvl-1.5-{case}")
    config = json.loads((folder / "model/config.json").read_text())
    tile = config["force_image_size"]
    request = {"system": "internvl", "tile_height": tile, "tile_width": tile} | IMAGENET
    request |= {"min": config["min_dynamic_patch"], "max": config["max_dynamic_patch"], "thumbnail": config["use_thumbnail"]}
    check_golden(probe, request, pictures, list(expected["pixel_values"]))


@pytest.mark.parametrize("case", ["1", "2"])
def test_golden_pixels_of_minicpm_v2(probe, goldens, case):
    folder, pictures, expected = golden(goldens, f"minicpm-v-2-{case}")
    config = json.loads((folder / "model/config.json").read_text())
    request = {"system": "uhd", "max": config["max_slice_nums"], "scale_resolution": config["scale_resolution"], "patch": config["patch_size"]}
    views = [expected[f"pixel_values_{i}"] for i in range(len(expected["view_sizes"]))]
    check_golden(probe, request | HALF, pictures, views)


@pytest.mark.parametrize("name", ["deepseek-vl-1", "deepseek-vl-hybrid-1"])
def test_golden_pixels_of_deepseek(probe, goldens, name):
    folder, pictures, expected = golden(goldens, name)
    config = json.loads((folder / "model/preprocessor_config.json").read_text())
    request = {"system": "longest_side", "rounding": "truncate", "side": config["image_size"], "min_side": config["min_size"]}
    normal = HALF if config.get("do_normalize", True) else {"mean": [0] * 3, "std": [1] * 3, "scale": 1 / 255}
    check_golden(probe, request | {"colour": config["background_color"]} | normal, pictures, list(expected["pixel_values"]))


@pytest.mark.parametrize("case", ["1", "2"])
def test_golden_pixels_of_sam(probe, goldens, case):
    _, pictures, expected = golden(goldens, f"next-chat-{case}")
    want = expected["pixel_values_sam"]
    request = {"system": "sam", "rounding": "half_up", "min_side": 0, "side": want.shape[-1], "filter": "bilinear"}
    request |= {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "scale": 1.0}
    check_golden(probe, request, pictures, list(want))


# Bounds


def test_what_would_be_too_large_is_a_named_error(probe, tmp_path):
    path = tmp_path / "needle.png"
    Image.new("RGB", (10000, 1), (10, 200, 30)).save(path)
    (fits, refused) = probe([{"system": "pad", "colour": [0] * 3, "side": side, "file": str(path)} for side in (64, 14000)])
    want = plain.pad(Image.open(path).convert("RGB"), 64, (0, 0, 0))
    assert np.array_equal(fits[0], np.asarray(want))
    assert "sides must be at least 1, 10000 times 14000 at most" in refused
    rows = probe([{"system": "uhd", "max": 9, "scale_resolution": 20000, "patch": 14, "sizes": [30000, 30000]}])[0]
    assert rows[0].startswith("uhd_slices: a picture of 30000 x 30000 pixels becomes views of ")
