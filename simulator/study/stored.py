"""Points that a folder of results has, so that an answer computes none of them again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.study.space.axis import Axis
from simulator.study.space.columns import Columns
from simulator.study.space.space import Space

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Stored:
    """The metrics of points of a space.

    Attributes:
        frame: a row a point, in their order: `point`, which it is, and its metrics.
    """

    space: Space
    frame: pd.DataFrame

    def metrics(self, columns: Columns, compute: Callable[[Columns], Columns]) -> dict[str, Any]:
        """The metrics of points: those of the folder, and of all others what is computed."""
        rows = self.rows(columns)
        if (rows < 0).all():
            return dict(compute(columns))
        metrics = {name: _plain(self.frame[name])[rows] for name in map(str, self.frame) if name != "point"}
        others = rows < 0
        if others.any():
            computed = compute({path: values[others] for path, values in columns.items()})
            for name, values in metrics.items():
                values[others] = computed[name]
        return metrics

    def rows(self, columns: Columns) -> NDArray[np.int64]:
        """The row of each point; -1 of one that is none of the space, or that the folder lacks."""
        steps = {group[0].path: _steps(group[0], columns[group[0].path]) for group in self.space.groups}
        index = np.broadcast_to(self.space.index(steps), len(next(iter(columns.values()))))
        same = np.ones(len(index), dtype=np.bool_)
        for path, values in self.space.at(index).items():
            same &= _equal(values, columns[path])
        points = self.frame["point"].to_numpy()
        rows = np.minimum(np.searchsorted(points, index), len(points) - 1)
        return np.where(same & (points[rows] == index), rows, -1)


def _steps(axis: Axis, values: NDArray[Any]) -> NDArray[np.int64]:
    """Which step of an axis each value is; of none of them, any."""
    places = {value: place for place, value in enumerate(axis.values.tolist())}
    return np.array([places.get(value, 0) for value in values.tolist()], dtype=np.int64)


def _equal(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """Where two columns have the same value, or both none."""
    equal: NDArray[np.bool_] = np.asarray((one == other) | ((one != one) & (other != other)), dtype=np.bool_)
    return equal


def _plain(column: pd.Series) -> NDArray[Any]:
    """A column as an evaluator gives it: a text that is none is empty."""
    values: NDArray[Any] = (
        column.astype(object).where(column.notna(), "").to_numpy() if _is_text(column) else column.to_numpy()
    )
    return values


def _is_text(column: pd.Series) -> bool:
    return column.dtype.kind not in "fiub"
