"""The tutorial's mixtures as recipes: they load, and what is drawn is what they ask for."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from tiny_run import MODEL

from tests.conftest import ROOT

MIXTURES = sorted((ROOT / "recipes" / "mixtures").glob("*.toml"))

STAGE = """
[train]
precision = "fp32"
batch_size = 2500
max_steps = 8
"""


def write_sources(folder, mixture):
    """A file of 3 to 40 questions for every path the mixture names; sizes by task."""
    sizes = {}
    for source in tomllib.loads(mixture.read_text())["data"]:
        paths = source["path"] if isinstance(source["path"], list) else [source["path"]]
        for number, path in enumerate(paths):
            count = 3 + (7 * number + 11 * len(sizes)) % 38
            sizes[source["name"]] = sizes.get(source["name"], 0) + count
            lines = [
                {"id": f"{path}{i}", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}
                for i in range(count)
            ]
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return sizes


@pytest.mark.parametrize("mixture", MIXTURES, ids=lambda path: path.stem)
def test_what_is_drawn_is_what_the_mixture_asks_for(mixture, run_ocelli, tmp_path):
    (tmp_path / mixture.name).write_text(mixture.read_text())
    sizes = write_sources(tmp_path, mixture)
    (tmp_path / "r.toml").write_text(f'name = "m"\nextends = "{mixture.name}"\n' + MODEL + STAGE)
    run_ocelli(["train", tmp_path / "r.toml", "--out", tmp_path / "run"])
    drawn = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])["drawn"]
    total = sum(drawn.values())
    assert total >= 20000
    asked = {}
    for source in tomllib.loads(mixture.read_text())["data"]:
        share = isinstance(source["weight"], str)
        asked[source["name"]] = float(source["weight"].rstrip("%")) if share else source["weight"] * sizes[source["name"]]
    for name, weight in asked.items():
        assert abs(drawn[name] / total - weight / sum(asked.values())) < 0.005, name


def test_names_and_sizes_are_the_published_ones():
    text = (ROOT / "recipes" / "mixtures" / "llava-1.5-mix665k.toml").read_text()
    assert sum(int(number.replace(",", "")) for number in re.findall(r"# ([\d,]+) samples", text)) == 665298
    first = tomllib.loads((ROOT / "recipes" / "mixtures" / "internvl-1.5-pretraining.toml").read_text())["data"]
    assert sum(float(source["weight"].rstrip("%")) for source in first) == pytest.approx(100)
