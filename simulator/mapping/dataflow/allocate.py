"""Which of many equal units work on what: compute units on stages, memory units on buffers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

HALVINGS = 14  # of the logarithm of the slowest part's time: what is left to give is a unit or two


def allocate(work: Numbers, units: float, least: Numbers, most: Numbers) -> Numbers:
    """How many of `units` each part of a row gets, so that its slowest part is as fast as can be.

    A part with n units takes `work / n`. To give each next unit to the slowest part is optimal (a min-max); the first
    many are given at once, by halving towards the least time T at which `sum max(least, ceil(work / T))` is no more
    than `units`, for all rows together. `work`, `least` and `most` have the shape (rows, parts), and so has the result;
    no part gets more than `most`, and none gets units that would not make the row faster.

    Where even `least` is more than there is, `least` is given all the same.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.where(most > 0, work / most, 0.0).max(axis=1)  # no faster, whatever there is
        low = np.maximum(bound, work.sum(axis=1) / units)
    enough = least.sum(axis=1) <= units
    counts = np.where(enough[:, None], _counts(work, low, least, most), least)
    tight = np.flatnonzero((counts.sum(axis=1) > units) & enough)
    if tight.size:
        work, least, most, low = work[tight], least[tight], most[tight], low[tight]
        high = np.where(least > 0, work / np.maximum(least, 1), 0.0).max(axis=1)
        for _ in range(HALVINGS):
            middle = np.sqrt(low * high)
            fits = _counts(work, middle, least, most).sum(axis=1) <= units
            low, high = np.where(fits, low, middle), np.where(fits, middle, high)
        counts[tight] = _give(work, units, _counts(work, high, least, most), most)
    return counts


def _counts(work: Numbers, time: Numbers, least: Numbers, most: Numbers) -> Numbers:
    """Units with which no part takes longer than its row's `time`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.where(work > 0, np.ceil(work / time[:, None] * (1 - 1e-14)), 0.0)
    return np.minimum(np.maximum(needed, least), np.maximum(most, least))


def _give(work: Numbers, units: float, counts: Numbers, most: Numbers) -> Numbers:
    """What is left goes to the slowest part of each row, one by one; equally slow ones get one each, or none."""
    rows = np.arange(len(work))
    while rows.size:
        here = work[rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            times = np.where(here > 0, here / counts[rows], 0.0)
        slowest = times >= times.max(axis=1, keepdims=True) * (1 - 1e-14)
        more = counts[rows] + slowest
        better = (more.sum(axis=1) <= units) & ~(slowest & (more > most[rows])).any(axis=1)
        rows = rows[better]
        counts[rows] = more[better]
    return counts
