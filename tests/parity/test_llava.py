"""LLaVA folders of transformers through the binary: ids, pixels, visual tokens, logits and greedy answers are the reference's."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

sys.path.insert(0, str(Path(__file__).parent))
from harness import close, made_once, picture, sentence as any_sentence, train_on_pictures, train_on_text
from llava_models import CONFIGS, Folder, make_llama, make_llava

CASES_PER_CONFIG, ALL_CASES_PER_CONFIG = 3, 17
WORDS = "what colour is the circle in this picture and how many shirts do you see 42 façade 你好 🙂 yes no".split(" ")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """folders(name): the saved model of that row of CONFIGS, made once."""
    return made_once(tmp_path_factory.mktemp("llava"), CONFIGS, make_llava)


def sentence(rng):
    return any_sentence(rng, WORDS)


def compare(out, inputs, reference):
    ours = load_arrays(out)
    assert ours["input_ids"].tolist() == inputs["input_ids"][0].tolist()
    assert ours.keys() == {"input_ids", *reference}
    if "pixel_values" in reference:
        assert ours["pixel_values"].shape == reference["pixel_values"].shape
        assert np.abs(ours["pixel_values"] - reference["pixel_values"]).max() <= 1e-6
        close(ours["visual_tokens"], reference["visual_tokens"], "visual_tokens")
    close(ours["logits"], reference["logits"], "logits")


def run_case(run_ocelli, folder, model_path, tmp_path, rng, form, count, out="out.safetensors"):
    """One prompt of that form with that many pictures, through both."""
    files, pictures = [], []
    for i in range(count):
        files.append(tmp_path / f"{i}.png")
        pictures.append(picture(files[-1], rng))
    arguments = [part for file in files for part in ("--image", file)]
    if form == "chat":
        text = sentence(rng)
        inputs = folder.chat_inputs(text, pictures)
        arguments += ["-p", text]
    else:
        text = "".join(sentence(rng) + " <image>\n" for _ in files) + sentence(rng)
        inputs = folder.raw_inputs(text, pictures)
        if form == "raw":
            arguments += ["--raw", "-p", text]
        else:
            (tmp_path / "ids.json").write_text(json.dumps({"input_ids": folder.tokenizer(text)["input_ids"]}))
            arguments += ["--input-ids", tmp_path / "ids.json"]
    run_ocelli(["logits", model_path, *arguments, "--out", tmp_path / out])
    compare(tmp_path / out, inputs, folder.reference(inputs))
    return arguments, inputs


def cases_of(number, count):
    """(form, pictures): chat with several, raw text, ids, text alone."""
    first = [("chat", 1 + number % 2), ("raw", 2), ("ids", 1)]
    more = [("chat", 0), ("raw", 0), ("ids", 3), ("chat", 3), ("raw", 1), ("ids", 2), ("chat", 1)]
    return (first + more * (count // len(more) + 1))[:count]


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_the_references(name, folders, run_ocelli, tmp_path, full_counts):
    folder, number = folders(name), list(CONFIGS).index(name)
    rng = np.random.default_rng(number)
    for form, count in cases_of(number, ALL_CASES_PER_CONFIG if full_counts else CASES_PER_CONFIG):
        run_case(run_ocelli, folder, folder.path, tmp_path, rng, form, count)


@pytest.mark.parametrize("name", CONFIGS)
def test_greedy_answers_are_the_references(name, folders, run_ocelli, tmp_path):
    folder = folders(name)
    rng = np.random.default_rng(100 + list(CONFIGS).index(name))
    files = [tmp_path / f"{i}.png" for i in range(1 + list(CONFIGS).index(name) % 2)]
    pictures, text = [picture(file, rng) for file in files], sentence(rng)
    answer = run_ocelli(["chat", folder.path, *[part for file in files for part in ("--image", file)], "-p", text, "-n", 16, "--temp", 0,
                         "--precision", "fp32", "--json"]).last_json()
    inputs = folder.chat_inputs(text, pictures)
    expected = folder.generate(inputs, 16)
    assert answer["tokens"] == expected
    assert answer["text"] == folder.tokenizer.decode(expected, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    ids = inputs["input_ids"][0]
    assert answer["usage"] == {"prompt": len(ids), "image": int((ids == folder.model.config.image_token_index).sum()),
                               "completion": len(expected)}


def test_generation_ends_where_generation_config_says(folders, run_ocelli, tmp_path):
    folder = folders("llava15")
    inputs = folder.chat_inputs("how many", [picture(tmp_path / "p.png", np.random.default_rng(3))])
    command = ["--image", tmp_path / "p.png", "-p", "how many", "-n", 16, "--temp", 0, "--precision", "fp32", "--json"]
    free = run_ocelli(["chat", folder.path, *command]).last_json()["tokens"]
    assert len(free) > 3
    other = tmp_path / "model"
    shutil.copytree(folder.path, other)
    generation = json.loads((other / "generation_config.json").read_text())
    generation["eos_token_id"] = [1, free[2]]
    (other / "generation_config.json").write_text(json.dumps(generation))
    expected = Folder(other, AutoModelForImageTextToText.from_pretrained(other), folder.processor).generate(inputs, 16)
    assert run_ocelli(["chat", other, *command]).last_json()["tokens"] == expected
    assert expected == free[:free.index(free[2])]


@pytest.mark.parametrize("name", ["gqa_bias", "siglip_list"])
def test_features_are_the_references(name, folders, run_ocelli, tmp_path):
    folder, rng = folders(name), np.random.default_rng(7)
    pictures = [picture(tmp_path / f"{i}.png", rng) for i in range(2)]
    run_ocelli(["features", folder.path, "--image", tmp_path / "0.png", "--image", tmp_path / "1.png", "--out", tmp_path / "o.safetensors"])
    ours = load_arrays(tmp_path / "o.safetensors")
    inputs = folder.raw_inputs("<image><image>", pictures)
    reference, spec = folder.reference(inputs), CONFIGS[name]
    with torch.no_grad():
        states = folder.model.model.vision_tower(inputs["pixel_values"], output_hidden_states=True).hidden_states
    layers = spec.get("feature", -2)
    taken = [states[layer] for layer in (layers if isinstance(layers, list) else [layers])]
    drop = 1 if spec.get("strategy", "default") == "default" else 0
    close(ours["features"], torch.cat([state[:, drop:] for state in taken], -1).numpy(), "features")
    close(ours["visual_tokens"], reference["visual_tokens"], "visual_tokens")
    assert np.abs(ours["pixel_values"] - reference["pixel_values"]).max() <= 1e-6
    side = spec["image"] // spec["patch"]
    assert ours["grid"].tolist() == [side, side]


def body_name(name):
    """The name inside today's classes, without its leading `model.`, whichever way it was saved."""
    name = name.removeprefix("model.").replace("vision_tower.vision_model.", "vision_tower.")
    return name.replace("language_model.model.", "language_model.").replace("language_model.lm_head.", "lm_head.")


# How transformers wrote the same weights over the years, from today's body names.
GENERATIONS = {
    "before_4_52": lambda n: (
        n.replace("vision_tower.", "vision_tower.vision_model.") if n.startswith("vision_tower.")
        else n.replace("language_model.", "language_model.model.") if n.startswith("language_model.")
        else "language_model.lm_head.weight" if n == "lm_head.weight" else n),
    "from_4_52": lambda n: (
        n if n == "lm_head.weight" else "model." + (n.replace("vision_tower.", "vision_tower.vision_model.")
                                                    if n.startswith("vision_tower.") else n)),
    "version_5": lambda n: n if n == "lm_head.weight" else "model." + n,
}


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("name", ["gqa_bias", "siglip"])
def test_older_weight_names_give_the_same_logits(name, generation, folders, run_ocelli, tmp_path):
    folder = folders(name)
    other = tmp_path / "model"
    shutil.copytree(folder.path, other)
    weights = {body_name(key): value for key, value in load_file(other / "model.safetensors").items()}
    assert "language_model.layers.0.input_layernorm.weight" in weights and "vision_tower.encoder.layers.0.layer_norm1.weight" in weights
    save_file({GENERATIONS[generation](key): value for key, value in weights.items()}, other / "model.safetensors", {"format": "pt"})
    run_case(run_ocelli, folder, other, tmp_path, np.random.default_rng(11), "raw", 1)


def test_config_keys_that_equal_the_defaults_may_be_absent(folders, run_ocelli, tmp_path):
    """Published configs of version 4 leave out most keys, and spell the rope's base beside its type."""
    folder = folders("tied")
    other = tmp_path / "model"
    shutil.copytree(folder.path, other)
    config = json.loads((other / "config.json").read_text())
    text, vision = config["text_config"], config["vision_config"]
    text["rope_theta"] = text.pop("rope_parameters")["rope_theta"]
    for part, keys in ((text, ["attention_bias", "mlp_bias", "head_dim", "hidden_act", "model_type", "attention_dropout"]),
                       (vision, ["hidden_act", "num_channels", "layer_norm_eps", "model_type", "attention_dropout"]),
                       (config, ["projector_hidden_act", "multimodal_projector_bias", "vision_feature_layer", "image_token_id",
                                 "vision_feature_select_strategy", "tie_word_embeddings"])):
        for key in keys:
            part.pop(key, None)
    config["image_token_index"] = folder.model.config.image_token_index
    (other / "config.json").write_text(json.dumps(config))
    theirs = AutoModelForImageTextToText.from_pretrained(other).eval()
    run_case(run_ocelli, Folder(other, theirs, folder.processor), other, tmp_path, np.random.default_rng(12), "chat", 1)


def test_shards_are_read(folders, run_ocelli, tmp_path):
    folder = folders("head_dim")
    folder.model.save_pretrained(tmp_path / "model", max_shard_size="60KB")
    folder.processor.save_pretrained(tmp_path / "model")
    assert len(list((tmp_path / "model").glob("model-*-of-*.safetensors"))) > 2
    run_case(run_ocelli, folder, tmp_path / "model", tmp_path, np.random.default_rng(13), "raw", 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_folders_run_in_fp32(dtype, run_ocelli, tmp_path):
    spec = CONFIGS["gqa_bias"]
    folder = make_llava(tmp_path / "model", spec, seed=5)
    folder.model.to(dtype).save_pretrained(tmp_path / "model")
    # Loaded anew: going back by float() would keep the rotary frequencies rounded.
    folder.model = AutoModelForImageTextToText.from_pretrained(tmp_path / "model", dtype=torch.float32).eval()
    run_case(run_ocelli, folder, tmp_path / "model", tmp_path, np.random.default_rng(14), "chat", 1)


@pytest.mark.parametrize("name", ["gqa_bias", "tied", "head_dim"])
def test_llama_logits_and_answers_are_the_references(name, run_ocelli, tmp_path):
    folder = make_llama(tmp_path / "model", CONFIGS[name], seed=21)
    text = "What colour is the 2nd circle? 你好"
    tokens = AutoTokenizer.from_pretrained(tmp_path / "model")
    inputs = {"input_ids": tokens(text, return_tensors="pt")["input_ids"]}
    run_ocelli(["logits", tmp_path / "model", "--raw", "-p", text, "--out", tmp_path / "o.safetensors"])
    compare(tmp_path / "o.safetensors", inputs, folder.reference(inputs))
    answer = run_ocelli(["chat", tmp_path / "model", "--raw", "-p", text, "-n", 16, "--temp", 0, "--precision", "fp32", "--json"]).last_json()
    assert answer["tokens"] == folder.generate(inputs, 16)


@pytest.mark.parametrize("name", ["gqa_bias", "tied", "siglip_list", "layer_list", "first_state", "cropped"])
def test_what_training_writes_loads_in_transformers(name, folders, run_ocelli, tmp_path):
    folder, rng = folders(name), np.random.default_rng(31)
    written = train_on_pictures(run_ocelli, folder.path, tmp_path, rng, 6, words=WORDS)
    assert json.loads((written / "config.json").read_text())["model_type"] == "llava"
    theirs, loading = AutoModelForImageTextToText.from_pretrained(written, output_loading_info=True)
    assert not loading["unexpected_keys"] and not loading["mismatched_keys"]
    # A tower whose features are taken before its closing norm may leave that norm and the pooling head out.
    assert all("post_layernorm" in key or ".head." in key for key in loading["missing_keys"]), loading["missing_keys"]
    before = dict(folder.model.named_parameters())
    moved = [key for key, value in theirs.named_parameters() if not torch.equal(value, before[key])]
    assert any("language_model" in key for key in moved) and any("multi_modal_projector" in key for key in moved)
    tokens = AutoTokenizer.from_pretrained(written)
    assert tokens("<image> yes")["input_ids"] == folder.tokenizer("<image> yes")["input_ids"]
    assert (tokens.bos_token, tokens.eos_token, tokens.pad_token) == ("<s>", "</s>", "</s>")
    again = Folder(written, theirs.eval(), AutoProcessor.from_pretrained(written))
    run_case(run_ocelli, again, written, tmp_path, rng, "chat", 2)
    run_case(run_ocelli, again, written, tmp_path, rng, "raw", 1)


def test_a_trained_llama_loads_in_transformers(run_ocelli, tmp_path):
    folder = make_llama(tmp_path / "model", CONFIGS["gqa_bias"], seed=22)
    written = train_on_text(run_ocelli, folder.path, tmp_path)
    theirs, loading = AutoModelForCausalLM.from_pretrained(written, output_loading_info=True)
    assert not any(loading[key] for key in ("unexpected_keys", "mismatched_keys", "missing_keys"))
    inputs = {"input_ids": AutoTokenizer.from_pretrained(written)("yes 42", return_tensors="pt")["input_ids"]}
    run_ocelli(["logits", written, "--raw", "-p", "yes 42", "--out", tmp_path / "o.safetensors"])
    compare(tmp_path / "o.safetensors", inputs, Folder(written, theirs.eval()).reference(inputs))
