"""What a point of a sweep says of its machine and its model, and points that say the same."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.config.choose import check_name
from simulator.config.path import replaced
from simulator.config.resolve import OPTION
from simulator.errors import ConfigError, unwarned
from simulator.explore.sweep.columns import Columns
from simulator.hardware import System, load_system
from simulator.mapping.target import target
from simulator.serving.loaded import in_formats, with_only
from simulator.workload import Model, load_model

RUNNER = ("mapping.devices", "mapping.device", "mapping.engine", "mapping.dtype", "mapping.kv", "mapping.fusion")
"""What `machine` and `model` read of the mapping, and what runs the model."""


def machine(said: Mapping[str, Any], overrides: tuple[str, ...] = ()) -> System:
    """The machine of a point: its file, what is set in all points and in this one, its devices, how kernels are fused.

    Raises:
        ConfigError: no such machine, figure or fusion; none is said.
    """
    with _of_point("hardware"):
        return _machine(_structure(said, overrides))


def model(said: Mapping[str, Any]) -> Model:
    """The model of a point, in its formats of weights and KV cache.

    Raises:
        ConfigError: no such model, figure or format; none is said.
    """
    with _of_point("model"):
        named = _model(str(required(said, "model")), _own(said, "model."))
        return in_formats(named, said.get("mapping.dtype"), said.get("mapping.kv"))


def required(said: Mapping[str, Any], key: str) -> Any:
    """What a point says there.

    Raises:
        ConfigError: nothing.
    """
    if said.get(key) is None:
        raise ConfigError(path=f"base.{key}", found="nothing", expected="a name, or an axis of names")
    return said[key]


def part(said: Mapping[str, Any], key: str, known: Collection[str]) -> str:
    """The full name that a point says there, of one of the parts of its machine.

    Raises:
        ConfigError: it says nothing, or a name that no part has.
    """
    return check_name(str(required(said, key)), known, key)


def alike(
    columns: Columns, paths: Sequence[str], rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], dict[str, Any]]]:
    """Rows that agree in these columns, and what they say there; in the order of their first.

    NaN and None say nothing: what the base has there holds.
    """
    if not paths:
        yield rows, {}
        return
    kinds: dict[tuple[Any, ...], list[int]] = {}
    lists = [[None if each != each else each for each in columns[path][rows].tolist()] for path in paths]
    for row, said in zip(rows.tolist(), zip(*lists, strict=True), strict=True):
        kinds.setdefault(said, []).append(row)
    for said, members in kinds.items():
        there = {path: value for path, value in zip(paths, said, strict=True) if value is not None}
        yield np.array(members, dtype=np.int64), there


def _structure(said: Mapping[str, Any], overrides: tuple[str, ...]) -> tuple[Any, ...]:
    """What tells one machine from another: its file and overrides, its figures, devices, and how kernels are fused."""
    where = tuple(said.get(f"mapping.{key}") for key in ("device", "engine", "fusion"))
    return str(required(said, "hardware")), overrides, _own(said, "hardware."), said.get("mapping.devices"), where


@lru_cache(maxsize=4096)
def _machine(structure: tuple[Any, ...]) -> System:
    name, overrides, figures, devices, (device, engine, fusion) = structure
    with unwarned():
        system = _loaded(name, overrides)
        if figures:
            system = system.replaced(dict(figures))
        if fusion is not None:
            runner = target(system, device, engine)
            key = "fabric.fusion" if runner.description.kind == "dataflow" else "fusion"
            system = system.replaced({f"devices.{runner.device}.engines.{runner.engine}.{key}": fusion})
        return with_only(system, None if devices is None else int(devices))


@lru_cache(maxsize=256)
def _loaded(name: str, overrides: tuple[str, ...]) -> System:
    return load_system(name, overrides)


@lru_cache(maxsize=256)
def _model(name: str, figures: tuple[tuple[str, Any], ...] = ()) -> Model:
    if figures:
        return replaced(_model(name), dict(figures))
    with unwarned():
        return load_model(name)


def _own(said: Mapping[str, Any], root: str) -> tuple[tuple[str, Any], ...]:
    """The figures that a point says of its machine or its model, by their paths."""
    return tuple((path.removeprefix(root), _whole(value)) for path, value in said.items() if path.startswith(root))


def _whole(value: Any) -> Any:
    """A figure as a file would have it; a count is a double where its column lacks one elsewhere."""
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def override_text(value: Any) -> str:
    """A figure as an override has it."""
    return str(value).lower() if isinstance(value, bool) else str(_whole(value))


@contextmanager
def _of_point(root: str) -> Iterator[None]:
    """Name what a point says of its machine or model by the path of its axis, where that is wrong."""
    try:
        yield
    except ConfigError as error:
        if error.file in (OPTION, None) and error.path is not None and not isinstance(error.path, str):
            error.file, error.path = None, (root, *error.path)
        raise
