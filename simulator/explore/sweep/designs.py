"""What a point of a sweep says of its machine and its model, and points that say the same."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.config.choose import check_name
from simulator.config.resolve import OPTION
from simulator.errors import ConfigError, unwarned
from simulator.explore.sweep.columns import Columns
from simulator.hardware import System, load_system
from simulator.mapping.deployment import Deployment, by_nodes, resolve
from simulator.mapping.form import MappingForm
from simulator.workload import Model, load_model

RUNNER = ("mapping.devices", "mapping.device", "mapping.engine", "mapping.dtype", "mapping.kv", "mapping.fusion")
"""What `deployed` reads of the mapping in every kind."""
PARTS = ("hardware", "model", "mapping")


def machine(said: Mapping[str, Any], overrides: tuple[str, ...] = ()) -> System:
    """The machine of a point: its file, with what is set in all points and in this one.

    Raises:
        ConfigError: no such machine or figure; none is said.
    """
    with _of_point("hardware"):
        return _machine((str(required(said, "hardware")), *overrides, *_own(said, "hardware.")))


def deployed(
    said: Mapping[str, Any],
    overrides: tuple[str, ...] = (),
    rates: Mapping[str, Any] | None = None,
    requests: bool = False,
) -> Deployment:
    """The mapping of a point on its machine, of which some `rates` may be arrays; of `requests` node by node.

    Raises:
        ConfigError: a name that there is not; keys that do not compose.
    """
    if not (rates or requests):
        return _deployed(frozenset(item for item in said.items() if item[0].partition(".")[0] in PARTS), overrides)
    system, form = machine(said, overrides), _mapping(said)
    form = by_nodes(form, system) if requests else form
    return resolve(form, system.at(rates) if rates else system, model(said))


def model(said: Mapping[str, Any]) -> Model:
    """The model of a point, in its own formats.

    Raises:
        ConfigError: no such model or figure; none is said.
    """
    with _of_point("model"):
        return _model((str(required(said, "model")), *_own(said, "model.")))


def _mapping(said: Mapping[str, Any]) -> MappingForm:
    """What a point says of its mapping, in the words of the form."""
    device, engine, dispatch = (said.get(f"mapping.{key}") for key in ("device", "engine", "dispatch"))
    name = device if engine is None or dispatch is not None else f"{device}.{engine}" if device else engine
    read = {key: said.get(f"mapping.{key}") for key in ("dtype", "kv", "fusion", "memory", "dispatch")}
    devices = said.get("mapping.devices")
    form = {
        **{key: value for key, value in read.items() if value is not None},
        "engines": (name,) if name else (),
        "devices": None if devices is None else int(devices),
        "together": bool(said.get("mapping.together", False)),
    }
    return MappingForm.model_construct(**form)


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


@lru_cache(maxsize=4096)
def _machine(key: tuple[str, ...]) -> System:
    with unwarned():
        return load_system(key[0], key[1:])


@lru_cache(maxsize=16)
def _deployed(items: frozenset[tuple[str, Any]], overrides: tuple[str, ...]) -> Deployment:
    said = dict(items)
    return resolve(_mapping(said), machine(said, overrides), model(said))


@lru_cache(maxsize=256)
def _model(key: tuple[str, ...]) -> Model:
    with unwarned():
        return load_model(key[0], key[1:])


def _own(said: Mapping[str, Any], root: str) -> Iterator[str]:
    """What a point says of its machine or its model, as overrides."""
    own = ((path.removeprefix(root), value) for path, value in said.items() if path.startswith(root))
    return (f"{path}={override_text(value)}" for path, value in own)


def override_text(value: Any) -> str:
    """A value as an override has it; a count is a double where its column lacks one elsewhere."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if not isinstance(value, float | np.floating):
        return str(value)
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


@contextmanager
def _of_point(root: str) -> Iterator[None]:
    """Name what a point says of its machine or model by the path of its axis, where that is wrong."""
    try:
        yield
    except ConfigError as error:
        if error.file == OPTION and error.path is not None and not isinstance(error.path, str):
            error.file, error.path = None, (root, *error.path)
        raise
