"""Designs of a sweep at named values of its axes; what is not named is at its middle step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, described, unknown
from simulator.study.problem import Problem
from simulator.study.space.axis import Axis
from simulator.study.space.columns import Columns
from simulator.study.space.space import Space
from simulator.units import parse, show


def axis_named(problem: Problem, name: str, option: str) -> Axis:
    """The axis that expressions call `name`, or of that path; `option` is who names it.

    Raises:
        ConfigError: there is none, with the nearest.
    """
    axes = {axis.name: axis for axis in problem.sweep.axes.values()}
    axis = axes.get(name) or problem.sweep.axes.get(name)
    if axis is None:
        raise unknown(name, axes, "no such axis", path=option)
    return axis


def value_of(axis: Axis, value: Any, option: str) -> Any:
    """A value of an axis, in SI units: one of its steps, or a number from its least to its largest.

    Raises:
        ConfigError: neither; a part of what is counted in whole numbers; another unit.
    """
    if not is_number(axis):
        steps = {_written(step): step for step in axis.values.tolist()}
        if _written(value) not in steps:
            raise unknown(_written(value), steps, path=(option, axis.name), found=described(value))
        return steps[_written(value)]
    unit, low, high = axis.unit or "1", axis.values.min().item(), axis.values.max().item()
    try:
        number = parse(value, unit)
    except ConfigError as error:
        error.path = (option, axis.name)
        raise
    whole = axis.values.dtype.kind == "i"
    if not low <= number <= high or (whole and not number.is_integer()):
        expected = f"{'a whole number ' if whole else ''}from {show(low, unit)} to {show(high, unit)}"
        raise ConfigError(path=(option, axis.name), found=show(number, unit), expected=expected)
    return int(number) if whole else number


def is_number(axis: Axis) -> bool:
    """Whether the values of an axis are numbers: no texts, and no yes and no."""
    return axis.values.dtype.kind in "if"


def named(problem: Problem, at: Mapping[str, Any] | None, option: str = "at") -> dict[str, Any]:
    """Values by path from values by the names of axes.

    Raises:
        ConfigError: no such axis, or not a value of it.
    """
    axes = {name: axis_named(problem, name, option) for name in at or {}}
    return {axis.path: value_of(axis, (at or {})[name], option) for name, axis in axes.items()}


def column(values: Sequence[Any]) -> NDArray[Any]:
    """Values of one axis as a column: text as objects."""
    return np.array(values, dtype=object if isinstance(values[0], str) else None)


def completed(space: Space, chosen: Columns, points: int) -> Columns:
    """Points that have these values of some axes, by path; every other axis is at its middle step.

    An axis that moves together with a chosen one is at the same step; between two steps, as far from one to the other
    (in logarithms where all steps are positive). Where the condition of an axis does not hold, it has its other value.

    Raises:
        ConfigError: a value between steps where an axis that moves along has no values between.
    """
    columns: dict[str, NDArray[Any]] = {}
    known: dict[str, NDArray[Any]] = {}
    for group in space.groups:
        lead = next((axis for axis in group if axis.path in chosen), group[0])
        middle = lead.values[[(len(lead) - 1) // 2]]
        values = np.asarray(chosen[lead.path]) if lead.path in chosen else np.repeat(middle, points)
        holds = None if lead.when is None else np.broadcast_to(np.asarray(lead.when.at(known) != 0), points)
        for axis in group:
            column = np.asarray(chosen[axis.path]) if axis.path in chosen else _along(lead, axis, values)
            columns[axis.path] = known[axis.name] = column if holds is None else _where(holds, column, axis)
    return columns


def varying(space: Space, columns: Columns, row: int = 0) -> list[Axis]:
    """The axes that vary at a point: they have more than one step, and their condition holds."""
    known = {name: columns[path][row : row + 1] for path, name in space.aliases.items()}
    axes = [axis for group in space.groups for axis in group if len(axis) > 1]
    return [axis for axis in axes if axis.when is None or bool(np.all(axis.when.at(known) != 0))]


def check_used(problem: Problem, chosen: Iterable[str], columns: Columns, option: str = "at") -> None:
    """Nothing, where each chosen axis varies at one of the points; else a ConfigError that says when it does."""
    points = len(next(iter(columns.values())))
    varied = {axis.path for row in range(points) for axis in varying(problem.sweep.space, columns, row)}
    for path in chosen:
        axis = problem.sweep.axes[path]
        if path not in varied and axis.when is not None:
            path_of = (option, axis.name)
            raise ConfigError("does not vary in this design", path=path_of, expected=f"a design with {axis.when.text}")


def point_values(columns: Columns, row: int = 0) -> dict[str, Any]:
    """The values of a point by path, of the axes that have one there."""
    values = {path: column[row] for path, column in columns.items()}
    plain = {path: value.item() if isinstance(value, np.generic) else value for path, value in values.items()}
    return {path: value for path, value in plain.items() if value is not None and value == value}


def shown_value(value: Any, unit: str) -> str:
    """A value for a reader: `3.35 TB/s`, `8`, `xpu_only`."""
    if isinstance(value, str | bool | np.bool_) or value is None:
        return _written(value)
    text = show(float(value), unit) if unit else f"{value:,.4g}" if value % 1 else f"{value:,.0f}"
    return f"{value:,.0f} {unit}" if "e+" in text else text


def _along(lead: Axis, axis: Axis, values: NDArray[Any]) -> NDArray[Any]:
    """The values of an axis where one that it moves with has these."""
    if axis is lead:
        return values
    step = {value: place for place, value in enumerate(lead.values.tolist())}
    if all(value in step for value in values.tolist()):
        return axis.values[[step[value] for value in values.tolist()]]
    if lead.values.dtype.kind != "f" or axis.values.dtype.kind != "f":
        raise ConfigError(path=lead.name, found="a value between its steps", expected=f"a step: {axis.name} moves too")
    order = np.argsort(lead.values)
    x, y = lead.values[order], axis.values[order]
    if x[0] > 0 and y.min() > 0:
        return np.asarray(np.exp(np.interp(np.log(values), np.log(x), np.log(y))))
    return np.asarray(np.interp(values, x, y))


def _where(holds: NDArray[np.bool_], column: NDArray[Any], axis: Axis) -> NDArray[Any]:
    if holds.all():
        return column
    other = np.nan if axis.otherwise is None and is_number(axis) else axis.otherwise
    return np.where(holds, column, other if is_number(axis) else np.array(other, dtype=object))


def _written(value: Any) -> str:
    """As YAML writes it."""
    return str(value).lower() if isinstance(value, bool | np.bool_) else str(value)
