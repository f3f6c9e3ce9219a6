"""Points that are each a run of their own: those that say the same are run once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from simulator.errors import TiersimError
from simulator.explore.sweep.columns import Columns
from simulator.explore.sweep.designs import alike


def one_by_one(
    columns: Columns, metrics: Mapping[str, str], run: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> Columns:
    """The `metrics` that `run` gives for what each point says; what it raises is the error of the point."""
    points = len(next(iter(columns.values())))
    found: dict[str, Any] = {
        name: np.full(points, np.nan) if unit else np.full(points, "", dtype=object) for name, unit in metrics.items()
    }
    for rows, said in alike(columns, list(columns), np.arange(points)):
        try:
            done = run(said)
        except TiersimError as error:
            found["error"][rows] = str(error)
            continue
        for name, value in done.items():
            found[name][rows] = value
    return found
