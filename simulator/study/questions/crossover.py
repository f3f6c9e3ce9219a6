"""Where does one design stop being the better one? The points of an axis at which a difference changes its sign."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import ConfigError
from simulator.study.space.columns import Columns, Evaluate

SCAN = 129  # points of the first scan: two crossings closer than that are not seen
CUT = 17  # points of each bracket in each later call


def crossover(
    evaluate: Evaluate,
    path: str,
    low: float,
    high: float,
    difference: Callable[[Columns], ArrayLike],
    log: bool = True,
    tol: float = 1e-6,
) -> list[float]:
    """Every value of `path` from `low` to `high` where the sign of `difference` (of metrics) changes, in order.

    A scan finds the brackets, evenly spaced (in the logarithm with `log`); then all are cut together, 16-fold a call of
    `evaluate`, until they are as narrow as `tol`, relative to the value with `log`, else to the range. Steps count as
    crossings. Where the difference is zero over a stretch, the crossing is where that begins, and counts only if the
    signs before and after it differ. A point without a difference (NaN: it failed) ends a bracket.

    Raises:
        ConfigError: no crossing (says which sign there is everywhere), no point that works, or a wrong range.
    """
    if not (-np.inf < low < high < np.inf) or (log and low <= 0):
        expected = "above 0, and low below high" if log else "finite, and low below high"
        raise ConfigError("range", path=path, found=f"{low:g} to {high:g}", expected=expected)
    start, stop = (float(np.log(low)), float(np.log(high))) if log else (low, high)
    narrow = max(tol * (1.0 if log else high - low), 4 * np.finfo(float).eps * max(abs(start), abs(stop)))

    def signs(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.sign(np.asarray(difference(evaluate({path: np.exp(x) if log else x})), dtype=np.float64))

    x = np.linspace(start, stop, SCAN)
    sign = signs(x)
    brackets = _brackets(x, sign)
    while brackets and max(b - a for a, b in brackets) > narrow:
        cuts = np.array([np.linspace(a, b, CUT) for a, b in brackets])
        values = signs(cuts.ravel()).reshape(cuts.shape)
        brackets = [cut for row, each in zip(cuts, values, strict=True) for cut in _first(row, each)]
    if not brackets:
        raise ConfigError("no crossing", path=path, found=_everywhere(sign, low, high), expected="a change of sign")
    middle = np.array(brackets).mean(axis=1)
    return [float(value) for value in (np.exp(middle) if log else middle)]


def _brackets(x: NDArray[np.float64], sign: NDArray[np.float64]) -> list[tuple[float, float]]:
    """From where a sign was last seen to where the next, other one is; zeros lie between."""
    seen = np.flatnonzero(sign != 0)
    return [(float(x[i]), float(x[j])) for i, j in pairwise(seen) if sign[i] * sign[j] < 0]


def _first(x: NDArray[np.float64], sign: NDArray[np.float64]) -> list[tuple[float, float]]:
    """The part of a bracket in which the sign of its start first goes; none where that is at a point that failed."""
    crossed = int(np.argmax(sign != sign[0]))
    return [] if np.isnan(sign[crossed]) else [(float(x[crossed - 1]), float(x[crossed]))]


def _everywhere(sign: NDArray[np.float64], low: float, high: float) -> str:
    """What the scan saw instead of a crossing."""
    known = set(sign[~np.isnan(sign)].tolist())
    if not known:
        return f"no point that works from {low:g} to {high:g}"
    if known == {0.0}:
        return f"no difference from {low:g} to {high:g}"
    if {1.0, -1.0} <= known:
        return "points that failed between one sign and the other"
    return f"a difference that is {'above' if 1.0 in known else 'below'} zero from {low:g} to {high:g}"
