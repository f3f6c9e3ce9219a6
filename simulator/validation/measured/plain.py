"""A machine that loses nothing: the plain roofline, a yardstick for a model, and a limit that no run beats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simulator.config import load
from simulator.errors import dotted
from simulator.mapping.runtime.form import IDEAL

LOSSES = {"efficiency": 1.0, "launch_overhead": 0.0, "shape_overhead": 0.0, "latency": 0.0, "reserved": 0.0}
"""What a machine loses to programs and to distances, by key, and what it is where nothing is lost."""


def plain(machine: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """A machine, inline, at its peak rates, under no program, in which nothing waits for a launch or a link."""
    config = load(machine, "hwconfigs")
    losses = {dotted(path): LOSSES[path[-1]] for path in _paths(config.data, ())}
    return {**(machine if isinstance(machine, Mapping) else {"extends": str(machine)}), **losses, "runtime": IDEAL}


def _paths(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if path and path[-1] in LOSSES:
        yield path
    elif isinstance(tree, dict):
        for key, inner in tree.items():
            yield from _paths(inner, (*path, key))
