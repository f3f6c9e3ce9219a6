"""Named partial scenarios as the values of an axis, and settings of all points: columns of what evaluators read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.scenario.cases import Columns
from simulator.study.space.axis import column


@dataclass(frozen=True, eq=False)
class Cases:
    """An axis whose values are the names of partial scenarios.

    Attributes:
        names: of the cases, in order.
        columns: by the path of each figure that some case gives, each case's value; None or NaN: the base's.
    """

    names: Sequence[str]
    columns: Mapping[str, NDArray[Any]]

    @classmethod
    def of(cls, values: Mapping[str, Mapping[str, Any]]) -> Cases:
        """Of the values by path that each case gives, by its name."""
        paths = dict.fromkeys(path for each in values.values() for path in each)
        return cls(list(values), {path: column([each.get(path) for each in values.values()]) for path in paths})

    def at(self, names: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The columns of points that have these cases."""
        places = {name: place for place, name in enumerate(self.names)}
        rows = np.array([places[name] for name in names.tolist()], dtype=np.int64)
        return {path: values[rows] for path, values in self.columns.items()}


def scenario_columns(columns: Columns, cases: Mapping[str, Cases], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of points with, for the name of a case, what it gives, and with what is set for all."""
    read: dict[str, NDArray[Any]] = {}
    for path, values in columns.items():
        read |= cases[path].at(values) if path in cases else {path: values}
    points = len(next(iter(columns.values())))
    return {**read, **{path: np.repeat(column([value]), points) for path, value in settings.items()}}
