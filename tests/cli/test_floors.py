"""Includes go down: a room uses itself and rooms on lower floors, and torch begins at floor 3.

The floors are those of CMakeLists.txt; every #include of every file under ocelli/ is held against them."""

import re

import pytest

FIRST_TORCH_FLOOR = 3
SOURCES = {".h", ".cpp", ".cu", ".cuh", ".inl"}

ROOM = re.compile(r"^\s*ocelli_(?:room|program)\(\s*(\w+)\s+FLOOR\s+(\d+)", re.MULTILINE)
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*[<\"]([^>\"]+)[>\"]", re.MULTILINE)
TORCH = re.compile(r"^(torch|ATen|c10|caffe2)/")


def floors_of(cmake_text):
    return {name: int(floor) for name, floor in ROOM.findall(cmake_text)}


def violations(folder, floors):
    """Every include under `folder` (one subfolder a room) that the floors forbid, as `file:line: why`."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix in SOURCES):
        parts = path.relative_to(folder).parts
        room = parts[0]
        where = "/".join(parts)
        if len(parts) < 2 or room not in floors:
            found.append(f"{where}: stands in no room of CMakeLists.txt")
            continue
        text = path.read_text()
        for match in INCLUDE.finditer(text):
            target = match.group(1)
            line = text.count("\n", 0, match.start()) + 1
            if TORCH.match(target) and floors[room] < FIRST_TORCH_FLOOR:
                found.append(f"{where}:{line}: {room} (floor {floors[room]}) is torch-free but includes {target}")
            if target.startswith("."):
                found.append(f"{where}:{line}: includes {target}; write it as ocelli/<room>/<file>")
            if not target.startswith("ocelli/"):
                continue
            other = target.split("/")[1]
            if other not in floors:
                found.append(f"{where}:{line}: includes {target}, which is in no room")
            elif other != room and floors[other] >= floors[room]:
                found.append(
                    f"{where}:{line}: {room} (floor {floors[room]}) includes {target} (floor {floors[other]}); only lower floors may be used"
                )
    return found


@pytest.fixture(scope="module")
def floors(repo_root):
    return floors_of((repo_root / "CMakeLists.txt").read_text())


def test_every_room_has_a_floor(repo_root, floors):
    assert floors["base"] == 0
    assert len(floors) >= 10
    folders = {p.name for p in (repo_root / "ocelli").iterdir() if p.is_dir() and any(p.rglob("*.cpp"))}
    assert folders <= set(floors), f"rooms without a floor in CMakeLists.txt: {folders - set(floors)}"


def test_includes_go_down(repo_root, floors):
    found = violations(repo_root / "ocelli", floors)
    assert not found, "\n" + "\n".join(found)


def test_rooms_link_lower_floors_only(repo_root, floors):
    text = (repo_root / "CMakeLists.txt").read_text()
    for name, rest in re.findall(r"ocelli_(?:room|program)\(\s*(\w+)([^)]*)\)", text):
        rooms = re.search(r"\bROOMS\s+((?:\w+\s*)+)", rest)
        for other in rooms.group(1).split() if rooms else []:
            if other == "LIBRARIES":
                break
            assert floors[other] < floors[name], f"CMakeLists.txt: {name} links {other}, which is not below it"


@pytest.mark.parametrize(
    ("file", "include", "expected"),
    [
        ("image/a.cpp", '"ocelli/text/t.h"', "image (floor 2) includes ocelli/text/t.h (floor 2)"),
        ("image/a.h", '"ocelli/nn/n.h"', "image (floor 2) includes ocelli/nn/n.h (floor 3)"),
        ("image/deep/a.h", "<ocelli/nn/n.h>", "image (floor 2) includes ocelli/nn/n.h (floor 3)"),
        ("image/a.cpp", "<ATen/ATen.h>", "image (floor 2) is torch-free but includes ATen/ATen.h"),
        ("base/a.h", '"torch/torch.h"', "base (floor 0) is torch-free but includes torch/torch.h"),
        ("image/a.cpp", '"../text/t.h"', "write it as ocelli/<room>/<file>"),
        ("base/a.h", '"ocelli/nowhere/x.h"', "which is in no room"),
        ("attic/a.cpp", "<vector>", "stands in no room"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, file, include, expected):
    floors = {"base": 0, "image": 2, "text": 2, "nn": 3}
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(f'#pragma once\n#include "ocelli/base/error.h"\n  #  include {include}\n')
    found = violations(tmp_path, floors)
    assert any(expected in line for line in found), found
    assert not any("error.h" in line for line in found), found


def test_allowed_includes_are_not_reported(tmp_path):
    floors = {"base": 0, "image": 2, "nn": 3}
    for file, include in [("nn/a.cpp", '"ocelli/image/i.h"'), ("nn/b.cpp", "<torch/torch.h>"), ("image/a.cpp", '"ocelli/image/b.h"')]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(f"#include {include}\n")
    assert violations(tmp_path, floors) == []
