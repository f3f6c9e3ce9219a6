"""Where no design holds every constraint: which of them stand in the way, and by how much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


def infeasibility(masks: Mapping[str, NDArray[np.bool_]]) -> pd.DataFrame:
    """How much each constraint rules out, from where it holds, of shape (points,).

    Columns: `constraint`; `rules_out`, the points at which it does not hold; `alone_rules_out`, those at which all
    others do, which would be feasible without it. What rules out most comes first.

    Raises:
        ConfigError: no constraint, or masks of different lengths.
    """
    import pandas as pd

    lengths = {len(mask) for mask in masks.values()}
    if len(lengths) != 1:
        found = f"masks of lengths {sorted(lengths)}" if lengths else "none"
        raise ConfigError(path="constraints", found=found, expected="one or more, of one length")
    broken = ~np.stack([np.asarray(mask, dtype=np.bool_) for mask in masks.values()])
    only = broken & (broken.sum(axis=0) == 1)
    rows = pd.DataFrame(
        {"constraint": list(masks), "rules_out": broken.sum(axis=1), "alone_rules_out": only.sum(axis=1)}
    )
    return rows.sort_values(["rules_out", "alone_rules_out"], ascending=False, kind="stable", ignore_index=True)


def excess(values: ArrayLike, limit: ArrayLike) -> NDArray[np.float64]:
    """How far values lie beyond an upper limit, as a fraction of it: `max(0, (value - limit) / |limit|)`.

    Of a limit of 0, in its own unit. For a lower limit, `excess(-values, -limit)`. A NaN is endless excess.
    """
    value, bound = np.asarray(values, dtype=np.float64), np.asarray(limit, dtype=np.float64)
    beyond = np.maximum(value - bound, 0.0) / np.where(bound == 0, 1.0, np.abs(bound))
    return np.where(np.isnan(beyond), np.inf, beyond)


def nearest_miss(excesses: Mapping[str, NDArray[np.float64]]) -> tuple[int, dict[str, float]]:
    """The point that violates least, and by how much it violates each constraint that it does.

    From the excess of each constraint, of shape (points,), 0 where it holds. Least is the smallest of the largest
    excesses, then the smallest sum, then the first point.

    Raises:
        ConfigError: no constraint, or none of the points has numbers for all of them.
    """
    if not excesses:
        raise ConfigError(path="constraints", found="none", expected="one or more")
    all_of = np.stack([np.where(np.isnan(each), np.inf, each) for each in excesses.values()])
    worst, total = all_of.max(axis=0, initial=0.0), all_of.sum(axis=0)
    if not np.isfinite(worst).any():
        raise ConfigError("no point works", found=f"none of {len(worst):,}", expected="numbers for every constraint")
    point = int(np.lexsort((total, worst))[0])
    return point, {name: float(each[point]) for name, each in excesses.items() if each[point] > 0}
