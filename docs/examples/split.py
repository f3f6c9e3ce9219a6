"""A split of experts: the longest first, each where it ends sooner (Graham, SIAM J. Appl. Math. 17(2), 1969)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.plugin import register


@register("split", "longest_first")
def longest_first(
    counts: NDArray[np.integer], one: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether each expert goes to the other engine: arrays of shape (..., experts), all draws at once."""
    chosen = np.zeros(counts.shape, dtype=np.bool_)
    ends = np.zeros((2, *counts.shape[:-1]))
    order = np.argsort(-np.maximum(one, other), axis=-1, kind="stable")
    for expert in np.moveaxis(order, -1, 0)[..., np.newaxis]:
        times = np.stack([np.take_along_axis(each, expert, axis=-1)[..., 0] for each in (one, other)])
        moves = ends[1] + times[1] < ends[0] + times[0]
        ends += np.where(np.stack([~moves, moves]), times, 0.0)
        np.put_along_axis(chosen, expert, moves[..., np.newaxis], axis=-1)
    return chosen
