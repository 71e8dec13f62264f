"""Every connector between any tower and any decoder, from a recipe: it is assembled, trains, is written and read again, and makes as many
visual tokens as `explain` says; what can't be a pair is refused by name before anything is read."""

import json

import pytest
from pictures import write_captions

TOWERS = {
    "stem": """
architecture = "ocelli_vision"
image_size = 32
patch_size = 8
stem_channels = [8, 8, 16]
stem_strides = [2, 2, 2]
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 2
num_attention_heads = 2
""",
    "clip": """
architecture = "clip_vision_model"
image_size = 32
patch_size = 8
hidden_size = 24
intermediate_size = 32
num_hidden_layers = 3
num_attention_heads = 2
select_layer = -2
""",
    "siglip": """
architecture = "siglip_vision_model"
image_size = 48
patch_size = 12
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 2
num_attention_heads = 2
""",
}
DECODERS = {
    "llama": """
architecture = "llama"
num_key_value_heads = 1
""",
    "qwen2": """
architecture = "qwen2"
num_key_value_heads = 2
tie_word_embeddings = true
""",
    "gemma": """
architecture = "gemma"
num_key_value_heads = 1
head_dim = 8
""",
    "phi": """
architecture = "phi"
num_key_value_heads = 2
""",
}
# Visual tokens of a picture of 4 x 4 patches.
CONNECTORS = {
    "linear": ('type = "linear"', 16),
    "mlp": ('type = "mlp"\nhidden_width = 20\nprojector_hidden_act = "relu"', 16),
    "normed_mlp": ('type = "normed_mlp"', 16),
    "pixel_shuffle": ('type = "pixel_shuffle"\nscale = 2', 4),
    "pixel_shuffle_whole": ('type = "pixel_shuffle"\nscale = 4', 1),
    "concat_neighbours": ('type = "concat_neighbours"\nneighbours = 4', 4),
    "qformer": ('type = "qformer"\nhidden_size = 12\nnum_hidden_layers = 2\nnum_attention_heads = 2\nintermediate_size = 20\n'
                'cross_attention_frequency = 2\nnum_query_tokens = 5', 5),
    "resampler": ('type = "resampler"\nnum_queries = 9\nnum_heads = 2', 9),
    "resampler_adaptive": ('type = "resampler"\nnum_queries = 4\nnum_heads = 4\nadaptive_positions = true', 4),
    "ldp": ('type = "ldp"', 4),
    "ldp_v2": ('type = "ldp_v2"\npooled_rows = 2\npooled_columns = 3', 6),
    "average_pool": ('type = "average_pool"\npooled_rows = 2\npooled_columns = 2\nnum_layers = 2', 4),
    "token_packer": ('type = "token_packer"\nnum_levels = 1\nscale = 2\nnum_heads = 2', 4),
    "glu": ('type = "glu"\nhidden_width = 24\nposition_table = true\nnum_patches = 16', 18),
    "patch_merger": ('type = "patch_merger"\nscale = 2\nnorm = "rms_norm"', 4),
}
# Each connector behind a tower and before a decoder; each tower and decoder several times.
PAIRS = [(connector, list(TOWERS)[i % len(TOWERS)], list(DECODERS)[i % len(DECODERS)]) for i, connector in enumerate(CONNECTORS)]


def recipe(folder, connector, tower="stem", decoder="llama", more="", second=""):
    path = folder / "recipe.toml"
    path.write_text(f"""
name = "pair"
seed = 5
[model.vision]{TOWERS[tower]}
{second}
[model.connector]
{connector}
[model.decoder]{DECODERS[decoder]}
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 2
num_attention_heads = 2
max_position_embeddings = 128
{more}
[tokenizer]
train = true
vocab_size = 300
[[data]]
name = "captions"
path = "captions.jsonl"
[train]
precision = "fp32"
batch_size = 4
max_length = 64
learning_rate = 2e-3
[[stage]]
name = "all"
max_steps = 2
""")
    return path


# With a second tower: of the first one's grid, and of a finer one whose cells lie within its patches.
TWO_TOWERS = {
    "hybrid": ('type = "hybrid"', TOWERS["siglip"], 16),
    "patch_mining": ('type = "patch_mining"\nmining_scale = 2', TOWERS["stem"].replace("image_size = 32", "image_size = 64"), 16),
}


@pytest.mark.parametrize("connector", TWO_TOWERS)
def test_two_towers(connector, run_ocelli, tmp_path):
    keys, tower, tokens = TWO_TOWERS[connector]
    check_pair(recipe(tmp_path, keys, "clip", "llama", second="[model.aux_vision]" + tower), tokens, run_ocelli, tmp_path)


@pytest.mark.parametrize("connector, tower, decoder", PAIRS)
def test_it_trains_between_a_tower_and_a_decoder(connector, tower, decoder, run_ocelli, tmp_path):
    keys, tokens = CONNECTORS[connector]
    check_pair(recipe(tmp_path, keys, tower, decoder), tokens, run_ocelli, tmp_path)


def check_pair(path, tokens, run_ocelli, tmp_path):
    write_captions(tmp_path, size=32)
    before = run_ocelli(["explain", path, "--image", "40x30", "--json"]).last_json()
    assert before["visual_tokens"] == tokens and before["parts"]["connector"]["parameters"] > 0
    run_ocelli(["train", path, "--dry-run"])
    run_ocelli(["train", path, "--out", tmp_path / "run"])
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == 2 and all(0 < loss < 20 for loss in losses)
    after = run_ocelli(["explain", tmp_path / "run" / "model", "--image", "40x30", "--json"]).last_json()
    assert after["pictures"] == before["pictures"]
    assert after["parts"]["connector"]["parameters"] == before["parts"]["connector"]["parameters"]
    picture = next(tmp_path.glob("*.png"))
    answer = run_ocelli(["chat", tmp_path / "run" / "model", "--image", picture, "-p", "What is this?", "-n", 4, "--temp", 0,
                         "--json"]).last_json()
    assert answer["usage"]["image"] == tokens


@pytest.mark.parametrize("connector, named", [
    ('type = "perceiver"', ["model.connector", "perceiver", "pixel_shuffle", "token_packer"]),
    ('type = "pixel_shuffle"\nscale = 3', ["pixel_shuffle", "4 x 4", "3"]),
    ('type = "concat_neighbours"\nneighbours = 3', ["4 x 4", "3"]),
    ('type = "resampler"\nnum_queries = 8\nnum_heads = 2', ["8", "square"]),
    ('type = "resampler"\nnum_queries = 9\nnum_heads = 3', ["16", "3 heads"]),
    ('type = "token_packer"\nnum_levels = 3\nnum_heads = 2', ["16", "3 levels"]),
    ('type = "glu"\nposition_table = true\nnum_patches = 9', ["16 patches", "9"]),
    ('type = "window_resampler"\nnum_queries = 4\nnum_heads = 2\nnum_windows = 2', ["window_resampler", "4 x 4", "3 views"]),
    ('type = "hybrid"', ["hybrid", "second tower"]),
    ('type = "patch_mining"', ["patch mining", "second tower"]),
    ('type = "mlp"\nneighbours = 2', ["model.connector.neighbours"]),
])
def test_what_can_not_be_a_pair_is_refused_by_name(connector, named, run_ocelli, tmp_path):
    path = recipe(tmp_path, connector)
    for command in (["train", path, "--out", tmp_path / "run", "--dry-run"], ["explain", path]):
        message = run_ocelli(command, code=2).stderr
        assert all(piece in message for piece in named) and "recipe.toml" in message, message
    assert not (tmp_path / "run").exists()
