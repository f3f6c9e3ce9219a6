"""The best trade-offs: which points no other point beats, and how much of the space they cover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import ConfigError, described, unknown

Sense: TypeAlias = Literal["min", "max"]
Mask: TypeAlias = NDArray[np.bool_]
Array: TypeAlias = NDArray[np.float64]
HUGE = 1e300


def front(values: ArrayLike, senses: Sequence[Sense]) -> Mask:
    """Which rows of `values`, of shape (points, objectives), no other row dominates; of shape (points,).

    A row dominates another if it is as good in every objective and better in one. Equal rows are all kept, so that the
    front does not depend on the order of the points. A row with a NaN is never on it and dominates none. Exact:
    `O(n log n)` up to three objectives, `O(n log^(k-2) n)` for k more (Kung, Luccio and Preparata, JACM 1975, as
    moocore has it).

    Raises:
        ConfigError: a sense that is neither `min` nor `max`, or not one an objective.
    """
    costs = _costs(values, senses)
    known = ~np.isnan(costs).any(axis=1)
    mask: Mask = np.zeros(len(costs), dtype=np.bool_)
    if known.any():
        comparable = costs[known]
        mask[known] = _staircase(comparable) if comparable.shape[1] <= 2 else _library(comparable)
    return mask


def merge(kept: ArrayLike, more: ArrayLike, senses: Sequence[Sense]) -> tuple[Mask, Mask]:
    """Which rows of each of two sets are on the front of both together: a front of a stream, a chunk at a time.

    The front of all points is that of the front so far and the next chunk.
    """
    one, other = _costs(kept, senses), _costs(more, senses)
    mask = front(np.concatenate([one, other]), ["min"] * len(senses))
    return mask[: len(one)], mask[len(one) :]


def normalised(
    values: ArrayLike, senses: Sequence[Sense], best: ArrayLike | None = None, worst: ArrayLike | None = None
) -> Array:
    """Each objective from 0 at its best to 1 at its worst, so that less is better in all; of the shape of `values`.

    `best` and `worst`, of shape (objectives,), are those of the finite rows unless given. An objective that is the same
    everywhere is 0.
    """
    costs = _costs(values, senses)
    finite = costs[np.isfinite(costs).all(axis=1)]
    if (best is None or worst is None) and not len(finite):
        raise ConfigError("no point has all objectives", found="none that is finite", expected="one or more")
    low = finite.min(axis=0) if best is None else _costs(np.atleast_2d(best), senses)[0]
    high = finite.max(axis=0) if worst is None else _costs(np.atleast_2d(worst), senses)[0]
    span = high - low
    scaled: Array = np.where(span > 0, (costs - low) / np.where(span > 0, span, 1.0), costs - low)
    return scaled


def hypervolume(values: ArrayLike, senses: Sequence[Sense], reference: ArrayLike) -> float:
    """The volume that the rows of `values` dominate, up to the point `reference`, of shape (objectives,).

    A row that is not better than the reference in every objective adds nothing; nor does one with a NaN.

    Raises:
        ConfigError: as `front`.
    """
    costs, corner = _costs(values, senses), _costs(np.atleast_2d(reference), senses)[0]
    inside = costs[np.all(costs < corner, axis=1)]
    reach = corner - inside
    if len(inside) == 0 or len(corner) == 1 or np.isinf(reach).any():
        return float(np.max(reach, initial=0.0))
    import moocore

    return float(moocore.hypervolume(inside, ref=corner))


def contributions(costs: Array, corner: Array) -> Array:
    """The volume that each row alone adds to the hypervolume; less is better in all objectives."""
    import moocore

    alone: Array = np.asarray(moocore.hv_contributions(costs, ref=corner))
    return alone


def _costs(values: ArrayLike, senses: Sequence[Sense]) -> Array:
    """The values with the sign turned where more is better."""
    wrong: Any = next((sense for sense in senses if sense not in ("min", "max")), None)
    if wrong is not None or not senses:
        found = described(wrong) if senses else "no objective"
        raise unknown(str(wrong), ("min", "max"), path="objectives", found=found, expected="min or max")
    costs: Array = np.asarray(values, dtype=np.float64)
    if costs.ndim != 2 or costs.shape[1] != len(senses):
        expected = f"a column for each of {len(senses)} objectives"
        raise ConfigError("values of objectives", found=f"an array of shape {costs.shape}", expected=expected)
    return costs * np.where([sense == "max" for sense in senses], -1.0, 1.0)


def _library(costs: Array) -> Mask:
    """By moocore, which infinities crash: where there are any, by the rank of each value in its column."""
    import moocore

    if np.abs(costs).max() > HUGE:
        costs = np.stack([np.unique(column, return_inverse=True)[1] for column in costs.T], axis=1).astype(np.float64)
    mask: Mask = moocore.is_nondominated(costs, keep_weakly=True)
    return mask


def _staircase(costs: Array) -> Mask:
    """The front of one or two objectives: in order of the first, each point that is below all before it."""
    order = np.lexsort(costs.T[::-1])
    ordered = costs[order]
    new = np.r_[True, np.any(ordered[1:] != ordered[:-1], axis=1)]
    least = np.minimum.accumulate(ordered[:, -1])
    lower = np.r_[True, ordered[1:, -1] < least[:-1]]
    if costs.shape[1] == 1:
        lower[1:] = False
    mask: Mask = np.empty(len(costs), dtype=np.bool_)
    mask[order] = lower[new][np.cumsum(new) - 1]
    return mask
