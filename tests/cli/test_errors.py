"""What goes wrong is named: exit code 1 and the thing on stderr; a command that can't be understood ends with 2."""

import json
import shutil
import struct
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image
from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from plain_models import IMAGE_TOKEN, write_llama, write_llava, write_weights


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    folder = tmp_path_factory.mktemp("errors") / "llava"
    shapes = write_llava(folder)
    Image.new("RGB", (31, 45), (200, 30, 60)).save(folder.parent / "p.png")
    return folder, shapes


@pytest.fixture
def model(llava, tmp_path):
    """A copy of its own to break."""
    shutil.copytree(llava[0], tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def fails(run_ocelli, llava, tmp_path):
    """fails(model, *arguments, code=1): stderr of `logits` with that prompt (by default text alone), which must fail, cleanly."""

    def run(folder, *arguments, code=1):
        result = run_ocelli(["logits", folder, *(arguments or ("--raw", "-p", "hello")), "--out", tmp_path / "o.safetensors"], code=code)
        assert result.stdout == "" and not (tmp_path / "o.safetensors").exists()
        assert "terminate" not in result.stderr and "Exception raised from" not in result.stderr  # no stack trace, C++ or LibTorch
        return result.stderr

    return run


def edit(model, change):
    config = json.loads((model / "config.json").read_text())
    change(config)
    (model / "config.json").write_text(json.dumps(config))


def write_plain_png(path, width, height):
    """Black, one bit a pixel, so that the largest is written in a moment."""
    rows = zlib.compress(bytes(((width + 7) // 8 + 1) * height), 1)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks))


def test_what_fits_runs(run_ocelli, llava, tmp_path):
    folder, _ = llava
    run_ocelli(["logits", folder, "--image", folder.parent / "p.png", "-p", "hello", "--out", tmp_path / "o.safetensors"])
    assert (tmp_path / "o.safetensors").exists()


def test_weights_that_do_not_fit_the_config_are_listed_by_name(llava, model, fails):
    shapes = dict(llava[1])
    del shapes["model.language_model.layers.1.mlp.up_proj.weight"]
    del shapes["model.vision_tower.encoder.layers.0.self_attn.k_proj.bias"]
    shapes["model.multi_modal_projector.linear_1.weight"] = [32, 25]
    shapes["model.language_model.layers.7.mlp.up_proj.weight"] = [64, 32]
    write_weights(model / "model.safetensors", shapes)
    message = fails(model)
    assert "layers.1.mlp.up_proj.weight [64, 32]" in message and "encoder.layers.0.self_attn.k_proj.bias [24]" in message
    assert "multi_modal_projector.linear_1.weight is [32, 25], expected [32, 24]" in message
    assert "layers.7.mlp.up_proj.weight" in message
    assert "2 weights are missing" in message and "1 weights are unknown" in message and "1 weights have another shape" in message


def test_a_config_that_contradicts_the_weights_names_both_shapes(model, fails):
    edit(model, lambda config: config["text_config"].update(intermediate_size=72))
    message = fails(model)
    assert "mlp.down_proj.weight is [32, 64], expected [32, 72]" in message


@pytest.mark.parametrize("part, key, value, expected", [
    (None, "model_type", "llavanext", ["model_type", "llavanext", "known layouts are", "llava"]),
    ("text_config", "model_type", "mamba", ["text_config.model_type", "mamba"]),
    ("vision_config", "model_type", "resnet", ["vision_config.model_type", "resnet", "clip_vision_model"]),
    ("text_config", "hidden_size", "wide", ["text_config.hidden_size", "wide", "integer"]),
    ("text_config", "num_key_value_heads", 3, ["num_attention_heads 4", "num_key_value_heads 3"]),
    ("text_config", "rope_parameters", {"rope_type": "yarn", "factor": 4.0}, ["rope_type", "yarn"]),
    ("text_config", "hidden_act", "mish", ["mish", "silu"]),
    (None, "vision_feature_layer", 9, ["9", "3"]),
    (None, "vision_feature_select_strategy", "cls", ["vision_feature_select_strategy", "cls"]),
    (None, "image_token_index", 260, ["image_token_index", "260"]),
])
def test_a_wrong_config_value_is_named(part, key, value, expected, model, fails):
    edit(model, lambda config: (config[part] if part else config).update({key: value}))
    message = fails(model)
    assert all(piece in message for piece in expected), message


@pytest.mark.parametrize("marks, pictures", [(2, 1), (0, 1), (1, 0), (1, 3)])
def test_placeholders_and_pictures_must_be_as_many(marks, pictures, llava, fails):
    folder, _ = llava
    message = fails(folder, *["--image", folder.parent / "p.png"] * pictures, "--raw", "-p", "see <image>" * marks + " this")
    assert f"{marks} <image>" in message and f"{pictures} pictures" in message


@pytest.mark.parametrize("id", [260, -1, 1 << 40])
def test_an_id_outside_the_vocabulary_is_named(id, llava, fails, tmp_path):
    (tmp_path / "ids.json").write_text(json.dumps({"input_ids": [5, id, 6]}))
    message = fails(llava[0], "--input-ids", tmp_path / "ids.json")
    assert f"id {id} " in message and "260" in message


@pytest.mark.parametrize("text", ["[1, 2]", '{"ids": [1]}', '{"input_ids": [1, "a"]}', '{"input_ids": [1.5]}', "{", '{"input_ids": []}'])
def test_broken_ids_are_refused(text, llava, fails, tmp_path):
    (tmp_path / "ids.json").write_text(text)
    assert fails(llava[0], "--input-ids", tmp_path / "ids.json").startswith("ocelli: ")


def test_without_a_tokenizer_only_ids_are_taken(model, fails, run_ocelli, tmp_path):
    (model / "tokenizer.json").unlink()
    assert "tokenizer.json" in fails(model)
    (tmp_path / "ids.json").write_text(json.dumps({"input_ids": [5, IMAGE_TOKEN, 6]}))
    Image.new("RGB", (31, 45)).save(tmp_path / "p.png")
    run_ocelli(["logits", model, "--image", tmp_path / "p.png", "--input-ids", tmp_path / "ids.json", "--out", tmp_path / "o.safetensors"])


def test_a_missing_template_says_what_to_do(model, fails):
    (model / "chat_template.jinja").unlink()
    message = fails(model, "-p", "hello")
    assert "chat template" in message and "--raw" in message


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, -1])
def test_truncated_weights_are_refused(keep, model, fails):
    file = model / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:int(keep * len(data)) if isinstance(keep, float) else keep])
    assert "model.safetensors" in fails(model)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_a_missing_file_is_named(file, model, fails):
    (model / file).unlink()
    assert file in fails(model)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "preprocessor_config.json", "tokenizer_config.json"])
def test_broken_json_is_named(file, model, fails):
    (model / file).write_text((model / file).read_text()[:-20])
    assert file in fails(model)


def test_a_broken_picture_is_named(llava, fails, tmp_path):
    whole = (llava[0].parent / "p.png").read_bytes()
    for name, data in (("cut.png", whole[:40]), ("text.png", b"no picture at all"), ("empty.png", b"")):
        (tmp_path / name).write_bytes(data)
        assert name in fails(llava[0], "--image", tmp_path / name, "-p", "hello")
    assert "nowhere.png" in fails(llava[0], "--image", tmp_path / "nowhere.png", "-p", "hello")


@pytest.mark.parametrize("size, taken", [((1, 1), True), ((1, 10000), True), ((10000, 1), True), ((20000, 20000), False)])
def test_extreme_pictures_are_taken_or_refused_before_they_are_unpacked(size, taken, llava, run_ocelli, tmp_path):
    """20000 x 20000 would be 1.2 GB; its PNG is a few hundred thousand bytes."""
    write_plain_png(tmp_path / "p.png", *size)
    result = run_ocelli(["features", llava[0], "--image", tmp_path / "p.png", "--out", tmp_path / "o.safetensors"],
                        code=0 if taken else 1)
    told = run_ocelli(["explain", llava[0], "--image", f"{size[0]}x{size[1]}", "--json"]).last_json()
    assert told["visual_tokens"] == 16
    if taken:
        assert load_file(tmp_path / "o.safetensors")["visual_tokens"].shape[0] == 16
    else:
        assert "p.png: 20000 x 20000 pixels" in result.stderr and "max_pixels" in result.stderr


def test_a_picture_that_would_grow_too_long_is_refused_by_features_and_explain_alike(model, run_ocelli, tmp_path):
    """The shorter side becomes the tower's: 1 x 10000 would be 336 x 3360000."""
    edit(model, lambda config: config["vision_config"].update(image_size=336, patch_size=14))
    images = json.loads((model / "preprocessor_config.json").read_text())
    images.update(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})
    (model / "preprocessor_config.json").write_text(json.dumps(images))
    message = run_ocelli(["explain", model, "--image", "1x10000"], code=1).stderr
    assert "picture 1 x 10000" in message and "3360000 pixels" in message


@pytest.mark.parametrize("rows", [100, 256])
def test_a_tokenizer_with_ids_outside_the_embedding_is_named(rows, model, run_ocelli):
    """Also by what needs no weights."""
    edit(model, lambda config: (config["text_config"].update(vocab_size=rows), config.update(image_token_index=5)))
    for command in (["explain", model], ["chat", model, "-p", "hello", "--json"]):
        message = run_ocelli(command, code=1).stderr
        assert f"the embedding {rows} rows" in message or f"expected [{rows}," in message, message


def test_a_model_that_is_nowhere(fails, tmp_path):
    assert str(tmp_path / "nowhere") in fails(tmp_path / "nowhere")
    assert "hf download org/name" in fails("org/name")


def test_pictures_for_a_text_model_are_refused(fails, llava, tmp_path):
    write_llama(tmp_path / "text")
    message = fails(tmp_path / "text", "--image", llava[0].parent / "p.png", "--raw", "-p", "hello")
    assert "picture" in message


def test_an_output_that_cannot_be_written_is_named(run_ocelli, llava, tmp_path):
    result = run_ocelli(["logits", llava[0], "--raw", "-p", "hello", "--out", tmp_path / "no" / "folder" / "o.safetensors"], code=None)
    assert result.code == 1 and "o.safetensors" in result.stderr or (tmp_path / "no" / "folder" / "o.safetensors").exists()


@pytest.mark.parametrize("arguments, named", [
    ([], "subcommand"),
    (["paint"], "paint"),
    (["logits"], "model"),
    (["logits", "MODEL", "-p", "x"], "--out"),
    (["logits", "MODEL", "--out", "o"], "-p"),
    (["logits", "MODEL", "-p", "x", "--prompt-file", "y", "--out", "o"], "prompt"),
    (["logits", "MODEL", "-p", "x", "--out", "o", "--precision", "fp8"], "fp8"),
    (["logits", "MODEL", "-p", "x", "--out", "o", "--device", "cuda"], "cuda"),
    (["logits", "MODEL", "-p", "x", "--out", "o", "--device", "tpu"], "tpu"),
    (["chat", "MODEL", "--json"], "-p"),
    (["chat", "MODEL", "-p", "x", "-n", "many"], "many"),
    (["features", "MODEL", "--out", "o"], "--image"),
    (["eval", "MODEL", "--task", "beauty", "--data", "d", "--out", "o"], "beauty"),
    (["explain", "MODEL", "--image", "wide"], "wide"),
    (["tokenize"], "--train"),
    (["tokenize", "--train", "a.txt"], "--out"),
    (["tokenize", "MODEL", "--decode", "--chat"], "--decode"),
])
def test_usage_errors_exit_2(arguments, named, run_ocelli, llava):
    result = run_ocelli([llava[0] if argument == "MODEL" else argument for argument in arguments], code=2)
    assert named in result.stderr and result.stdout == ""
