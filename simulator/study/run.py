"""The points of a run of a study, computed in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.study.problem import FEASIBLE, Problem
from simulator.study.questions.pareto import front

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 1024
FRONT = "front"
"""The column that says whether a point is on the front of the objectives."""


def computed(asked: Problem, rows: NDArray[np.int64], progress: Callable[[int], None]) -> pd.DataFrame:
    """A row a point of these indices: its axes, by path, its metrics, what is derived, and whether it is on the front.

    `progress` is called with how many points more are computed.
    """
    import pandas as pd

    parts = []
    size = min(CHUNK, asked.chunk)
    for start in range(0, len(rows), size):
        columns = asked.sweep.space.at(rows[start : start + size])
        parts.append(pd.DataFrame({**columns, **asked(columns)}))
        progress(len(parts[-1]))
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(asked.sweep.axes))
    frame[FRONT] = _front(asked, frame) if parts else False
    return frame


def _front(asked: Problem, frame: pd.DataFrame) -> NDArray[np.bool_]:
    good = frame[FEASIBLE].to_numpy(dtype=bool)
    if not asked.objectives or not good.any():
        return np.zeros(len(frame), dtype=np.bool_)
    columns = {str(name): frame[name].to_numpy() for name in frame}
    wanted = np.where(good[:, None], asked.wanted(columns, columns), np.nan)
    return front(wanted, list(asked.objectives.values()))
