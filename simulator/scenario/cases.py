"""Cases as columns: a scenario, and arrays by dotted path of what differs from it; no object is made a point."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from simulator.config.path import replaced
from simulator.errors import ConfigError
from simulator.hardware import Machine, System
from simulator.scenario.form import Scenario
from simulator.workload import Model

Columns: TypeAlias = Mapping[str, NDArray[Any]]
"""One array a column, all of one length, an element a case: float64, int64, bool, or object for text."""
Rows: TypeAlias = NDArray[np.int64]

ROOTS = ("hardware", "model", "sized", "mapping", "workload", "costs")
"""What the paths of a scenario begin with; a column of another name is a key that nothing evaluates."""
KIND = "workload.kind"
SECTIONS = ("sized", "mapping", "workload")
FORMS: Mapping[str, type[BaseModel]] = {"hardware": Machine, "model": Model}
"""The parts of a scenario that have files, and their forms."""


def alike(columns: Columns, paths: Sequence[str], rows: Rows) -> Iterator[tuple[Rows, dict[str, Any]]]:
    """Rows that agree in these columns, and their values there; in the order of their first.

    NaN and None are no value: what the scenario has there holds.
    """
    if not paths:
        yield rows, {}
        return
    kinds: dict[Any, tuple[list[int], tuple[Any, ...]]] = {}
    lists = [[None if each != each else each for each in columns[path][rows].tolist()] for path in paths]
    for row, values in zip(rows.tolist(), zip(*lists, strict=True), strict=True):
        key = values if all(map(_is_scalar, values)) else repr(values)
        kinds.setdefault(key, ([], values))[0].append(row)
    for members, values in kinds.values():
        common = {path: value for path, value in zip(paths, values, strict=True) if value is not None}
        yield np.array(members, dtype=np.int64), common


def present(columns: Columns, paths: Sequence[str], rows: Rows) -> Iterator[tuple[Rows, list[str]]]:
    """Rows that have values in the same of these columns, and those columns."""
    missing = {path: columns[path][rows] != columns[path][rows] for path in paths if columns[path].dtype.kind == "f"}
    missing = {path: mask for path, mask in missing.items() if mask.any()}
    for some, absent in alike(missing, list(missing), np.arange(len(rows))):
        yield rows[some], [path for path in paths if not absent.get(path, False)]


def with_values(scenario: Scenario, values: Mapping[str, Any]) -> Scenario:
    """The scenario with these values at their paths; figures of the machine and the model become an inline part of it.

    Raises:
        ConfigError: values that do not go together.
    """
    changes: dict[str, Any] = {path: value for path, value in values.items() if path.partition(".")[0] in SECTIONS}
    if "workload" not in values and changes.get(KIND, scenario.workload.kind) != scenario.workload.kind:
        changes = {path: value for path, value in changes.items() if not path.startswith("workload.")}
        changes["workload"] = _of_another_kind(scenario, values)
    for root in FORMS:
        part = getattr(scenario, root)
        if root in values:
            part = part_over(part, values[root], root)
        figures = {p.partition(".")[2]: _plain(value) for p, value in values.items() if p.startswith(f"{root}.")}
        if figures:
            if isinstance(part, System | Model):
                path, expected = f"{root}.{next(iter(figures))}", "a name, or it when that was loaded"
                raise ConfigError(
                    "the override comes too late", path=path, found="one that is loaded", expected=expected
                )
            part = {**(part if isinstance(part, dict) else {"extends": part}), **figures}
        if figures or root in values:
            changes[root] = part
    if "costs" in values:
        changes["costs"] = values["costs"]
    return replaced(scenario, changes) if changes else scenario


def _of_another_kind(scenario: Scenario, values: Mapping[str, Any]) -> Any:
    """The workload of another kind, as a file would say it: its keys are not those of the present kind."""
    work = scenario.workload
    section: Any = {key: getattr(work, key) for key in work.model_fields_set}
    for path, value in values.items():
        if path.startswith("workload."):
            for key in reversed(path.split(".")[1:]):
                value = {key: value}
            section = over(section, value)
    return section


def text_of(scenario: Scenario, values: Mapping[str, Any]) -> str:
    """A scenario with these values as JSON: equal for equal scenarios."""
    return json.dumps(with_values(scenario, values).written(), sort_keys=True)


def part_over(below: Any, part: Any, root: str) -> Any:
    """A part of a scenario over another: figures alone are of the machine or model that is named before or after."""
    if is_figures(part, root):
        return over({"extends": below} if isinstance(below, str) else below, part)
    if is_figures(below, root):
        return over(below, {"extends": part} if isinstance(part, str) else part)
    return part if root in FORMS else over(below, part)


def over(below: Any, value: Any) -> Any:
    """A value over another: mappings key by key, a null takes a key away, all else replaces."""
    if not (isinstance(below, dict) and isinstance(value, dict)):
        return value
    merged = {**below, **{key: over(below.get(key), inner) for key, inner in value.items()}}
    return {key: inner for key, inner in merged.items() if inner is not None}


def is_figures(part: Any, root: str) -> bool:
    """Whether a part of a scenario is figures alone, of the machine or model named elsewhere: it lacks others."""
    if root not in FORMS or not isinstance(part, dict) or "extends" in part:
        return False
    try:
        FORMS[root].model_validate(part)
    except ValidationError as error:
        return any(each["type"] == "missing" for each in error.errors(include_url=False))
    return False


def _plain(value: Any) -> Any:
    """A figure as a YAML has it; a count is a double where its column lacks one elsewhere."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)
