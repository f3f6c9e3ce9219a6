"""What `check` calls ok can run: a text that is misspelt anywhere in a YAML of ours is told.

But for words for people, and names that a file gives itself and uses nowhere else.
"""

from __future__ import annotations

import copy
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator import data
from simulator.cli.check import _checked

WORDS = {"title", "paper", "source", "note", "name", "description", "label", "what"}
OWN = {
    "arrivals", "benchmarks", "cases", "charts", "crossings", "derived", "fronts", "groups", "heats", "loops",
    "methods", "metrics", "models", "routers", "runs", "sweeps", "systems", "units", "variants",
}  # fmt: skip
"""Tables whose keys are names that the file gives."""
NOTHING = "=null"
"""An override that takes away a key, whether it is there or not."""
SOME = 4  # mistakes a file
FILES = sorted(file for file in data.folder("experiments").glob("*/*.yaml"))

Place = tuple[bool, tuple[Any, ...]]
"""Whether it is a key, and the path of it or of the text."""


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[Place]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield True, (*path, key)
            yield from places(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from places(value, (*path, index))
    elif isinstance(node, str) and path[-1] not in WORDS and not node.endswith(NOTHING):
        yield False, path


def misspelt(tree: Any, place: Place) -> Any:
    is_key, (*above, last) = place
    tree = part = copy.deepcopy(tree)
    for key in above:
        part = part[key]
    if is_key:
        changed = {wrong(str(key)) if key == last else key: value for key, value in part.items()}
        part.clear()
        part.update(changed)
    else:
        part[last] = wrong(part[last])
    return tree


def wrong(text: str) -> str:
    """With a letter too many."""
    middle = len(text) // 2
    return f"{text[:middle]}q{text[middle:]}"


def passing(file: Path, folder: Path, some: int) -> list[Place]:
    """Of some mistakes, those that `check` does not tell."""
    tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    there = list(places(tree))
    drawn = random.Random(file.parent.name).sample(there, min(some, len(there)))
    shutil.copytree(file.parent, folder / file.parent.name)
    copied = folder / file.parent.name / file.name
    lost = []
    for is_key, path in drawn:
        own = is_key and len(path) > 1 and path[-2] in OWN
        copied.write_text(yaml.safe_dump(misspelt(tree, (is_key, path)), sort_keys=False), encoding="utf-8")
        if _checked(str(copied), False).ok and not own:
            lost.append((is_key, path))
    return lost


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_some_mistakes_in_each_experiment_are_told(file: Path, tmp_path: Path) -> None:
    assert passing(file, tmp_path, SOME) == []
