"""The points of a run of a study, computed in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.scenario.evaluator import evaluator
from simulator.study.problem import FEASIBLE, Problem
from simulator.study.questions.pareto import front

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 1024
FRONT = "front"
"""The column that says whether a point is on the front of the objectives."""


def computed(problem: Problem, rows: NDArray[np.int64], progress: Callable[[int], None]) -> pd.DataFrame:
    """A row a point of these indices: its axes, by path, its metrics, what is derived, and whether it is on the front.

    `progress` is called with how many points more are computed.
    """
    import pandas as pd

    parts = []
    for batch in filter(len, _together(problem, rows)):
        columns = problem.sweep.space.at(batch)
        parts.append(pd.DataFrame({**columns, **problem(columns)}))
        progress(len(parts[-1]))
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(problem.sweep.axes))
    frame[FRONT] = _front(problem, frame) if parts else False
    return frame


def _together(problem: Problem, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The points that one call evaluates: a chunk, or of a slow kind the neighbours that differ in what it batches."""
    kind, columns = evaluator(problem.sweep.base), problem.sweep.space.at(rows)
    if kind.vectorised:
        return np.split(rows, range(CHUNK, len(rows), CHUNK))
    batched = kind.batched(problem.sweep.base, list(columns))
    apart = [values[1:] != values[:-1] for path, values in columns.items() if path not in batched]
    return np.split(rows, 1 + np.flatnonzero(np.logical_or.reduce(apart))) if apart else [rows]


def _front(problem: Problem, frame: pd.DataFrame) -> NDArray[np.bool_]:
    good = frame[FEASIBLE].to_numpy(dtype=bool)
    if not problem.objectives or not good.any():
        return np.zeros(len(frame), dtype=np.bool_)
    columns = {str(name): frame[name].to_numpy() for name in frame}
    objectives = np.where(good[:, None], problem.objective_values(columns, columns), np.nan)
    return front(objectives, list(problem.objectives.values()))
