"""All points of a sweep, in order, without ever holding them: point i is decoded from i where it is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.study.space.axis import Axis

MOST_POINTS = 2**62

MOST_CONDITIONS = 100_000
"""Combinations of the axes that conditions name; each is looked at once, when the space is made."""

Indices: TypeAlias = NDArray[np.int64]


class Space:
    """The points of a sequence of groups of axes; the axes of a group move together, and the last group fastest.

    Where the condition of an axis does not hold, the axis has its one other value, and one point stands for all of
    its steps. So the order is that of `itertools.product` less the points that were there before.

    Attributes:
        groups: the axes, in order.
        names: the paths of the axes, in order.
        leading: the path of the first axis of each group.
        aliases: what expressions call them, by path.
        sizes: the steps of each axis, by path.
    """

    def __init__(self, groups: Sequence[Sequence[Axis]]) -> None:
        """Raise ConfigError for too many points or conditions, and for a condition on what is no axis before it."""
        axes = [axis for group in groups for axis in group]
        self.groups = tuple(tuple(group) for group in groups)
        self.names = tuple(axis.path for axis in axes)
        self.leading = tuple(group[0].path for group in groups)
        self.aliases = {axis.path: axis.name for axis in axes}
        self.sizes = {axis.path: len(axis) for axis in axes}
        self._axes = {axis.path: axis for axis in axes}
        steps = math.prod(len(group[0]) for group in groups)
        if steps > MOST_POINTS:
            raise ConfigError("a space", found=f"{steps:.2g} points", expected=f"at most {MOST_POINTS:.2g}")
        self._levels = _levels(groups)
        self._length = _count(self._levels)

    def __len__(self) -> int:
        return self._length

    def values(self, path: str) -> NDArray[Any]:
        """The steps of an axis."""
        return self._axes[path].values

    def columns(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """The points from `start` to before `stop`, or to the end: a column an axis, by path."""
        return self._decoded(np.arange(max(start, 0), min(stop, len(self)), dtype=np.int64))

    def at(self, indices: Any) -> dict[str, NDArray[Any]]:
        """The points of these indices.

        Raises:
            IndexError: one that is negative, or beyond the end.
        """
        numbers = np.atleast_1d(np.asarray(indices, dtype=np.int64))
        if numbers.size and (numbers.min() < 0 or numbers.max() >= len(self)):
            raise IndexError(f"points {numbers.min()} to {numbers.max()} of {len(self)}")
        return self._decoded(numbers)

    def index(self, steps: Mapping[str, Any]) -> Indices:
        """The indices of the points of these steps of the axes, by path; of a group, those of its first axis count.

        A step of an axis whose condition does not hold counts for nothing.
        """
        state = index = np.zeros((), dtype=np.int64)
        for level in self._levels:
            step = np.asarray(steps[level.axes[0].path], dtype=np.int64)
            if level.holds is not None:
                step = np.where(level.holds[state], step, 0)
            if level.before is None:
                index = index + step * _each(level.below, state)
            else:
                first = state * level.steps
                state = first + step
                index = index + level.before[state] - level.before[first]
        return np.atleast_1d(index)

    def steps(self, indices: Any) -> dict[str, Indices]:
        """The step of each group at the points of these indices, by the path of its first axis; 0 where it has one."""
        index = np.atleast_1d(np.asarray(indices, dtype=np.int64))
        return {level.axes[0].path: np.broadcast_to(step, len(index)) for level, step, _ in self._walk(index)}

    def _decoded(self, index: Indices) -> dict[str, NDArray[Any]]:
        columns: dict[str, NDArray[Any]] = {}
        for level, step, held in self._walk(index):
            for axis, table in zip(level.axes, level.tables, strict=True):
                columns[axis.path] = table[step if held is None else np.where(held, step, len(axis))]
        return columns

    def _walk(self, index: Indices) -> Iterator[tuple[_Level, Indices, Any]]:
        """Each level, its step at the points of these indices, and where its condition holds; None: it has none."""
        state = np.zeros(1, dtype=np.int64)  # which combination of the axes that conditions name
        rest = index
        for level in self._levels:
            held = None if level.holds is None else _each(level.holds, state)
            if level.before is None:
                below = _each(level.below, state)
                step = rest // below
                rest = rest - step * below
            else:
                first = state * level.steps
                start = level.before[first] + rest
                state = np.searchsorted(level.before, start, side="right") - 1
                rest = start - level.before[state]
                step = state - first
            yield level, step, held


@dataclass
class _Level:
    """A group of axes in the order of the points, and for each state of the axes before it:

    `holds`: whether its condition does (None: it has none); `below`: the points under each of its steps. A level
    that conditions name makes states of its own, as many as it has steps from each: `before` are the points before
    each of these, and the sum of all.
    """

    axes: Sequence[Axis]
    steps: int
    tables: list[NDArray[Any]]  # the values of each axis, and behind them its other value
    holds: NDArray[np.bool_] | None
    branches: bool
    below: Indices
    before: Indices | None = None


def _levels(groups: Sequence[Sequence[Axis]]) -> list[_Level]:
    """From the first to the last, with the states that their conditions make."""
    named = {name for group in groups for axis in group if axis.when for name in axis.when.names}
    seen: dict[str, NDArray[Any]] = {}  # name -> value in each state
    states, levels = 1, []
    for group in groups:
        holds = _holds(group, seen, states)
        tables = [_table(axis) for axis in group]
        branches = bool(named & {axis.name for axis in group})
        steps = len(group[0])
        levels.append(_Level(group, steps, tables, holds, branches, np.ones(1, dtype=np.int64)))
        if not branches:
            continue
        if states * steps > MOST_CONDITIONS:
            names = ", ".join(sorted(named & {*seen, *(axis.name for axis in group)}))
            found = f"{states * steps:,} combinations of the axes that they name ({names})"
            raise ConfigError("conditions", found=found, expected=f"at most {MOST_CONDITIONS:,}")
        seen = {name: np.repeat(values, steps) for name, values in seen.items()}
        step = np.tile(np.arange(steps), states)
        if holds is not None:
            step = np.where(np.repeat(holds, steps), step, steps)
        seen |= {axis.name: table[step] for axis, table in zip(group, tables, strict=True)}
        states *= steps
    return levels


def _holds(group: Sequence[Axis], seen: Mapping[str, NDArray[Any]], states: int) -> NDArray[np.bool_] | None:
    condition = group[0].when
    if condition is None:
        return None
    try:
        held = condition.holds(seen)
    except ConfigError as error:
        error.path = (group[0].path, "when")
        raise
    return np.broadcast_to(held, states)


def _table(axis: Axis) -> NDArray[Any]:
    if axis.when is None:
        return axis.values
    other = axis.otherwise
    if other is None and axis.values.dtype.kind in "if":
        other = math.nan
    if axis.values.dtype == object or isinstance(other, str) or (axis.values.dtype == bool and other is None):
        table = np.empty(len(axis) + 1, dtype=object)
        table[:-1], table[-1] = axis.values, other
        return table
    return np.append(axis.values, np.asarray(other))


def _count(levels: list[_Level]) -> int:
    """All points; tells each level, from the last to the first, how many lie below it."""
    points = np.ones(math.prod(level.steps for level in levels if level.branches), dtype=np.int64)
    for level in reversed(levels):
        if not level.branches:
            level.below = _same(points)
            points = points * (level.steps if level.holds is None else np.where(level.holds, level.steps, 1))
            continue
        under = points.reshape(-1, level.steps)
        if level.holds is not None:  # one step stands for all
            under = np.where(level.holds[:, None] | (np.arange(level.steps) == 0), under, 0)
        level.before = np.concatenate([[0], np.cumsum(under)])
        points = under.sum(axis=1)
    return int(points[0])


def _same(values: Indices) -> Indices:
    """One of them where they are all equal: dividing by a number is faster than by many."""
    return values[:1] if (values == values[0]).all() else values


def _each(values: NDArray[Any], state: Any) -> Any:
    """The value of each state."""
    return values[0] if len(values) == 1 else values[state]
