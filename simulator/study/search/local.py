"""A local search for many objectives: from a quasi-random design, on to the neighbours of the best trade-offs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from simulator.registry import register
from simulator.study.questions.pareto import contributions, front
from simulator.study.search.design import sobol
from simulator.study.search.seen import Indices, Seen

START = 0.2  # of the evaluations, those of the design that it starts from
REACH = 4  # levels that one axis moves, at most
WORTH = 4.0  # a move of one level more is worth it from a point that contributes so many times as much
PARENTS = 500  # points of the front that have neighbours, at most


@register("search", "local")
def local(seen: Seen, evaluations: int, batch: int, seed: int) -> Iterator[Indices]:
    """Batch after batch, the neighbours of the front that promise most.

    A neighbour is up to 4 levels away on one axis, or one level on each of two: to trade one part for another, both
    move. It promises the hypervolume that its point of the front alone adds, over `4^(levels moved - 1)`. The front is
    taken from 0 at its best to 1 at its worst, and the reference is 1.1. Once every neighbour is seen, or as long as
    nothing is feasible, the design goes on.
    """
    rng = np.random.default_rng([seed, 1])
    design = sobol(seen, evaluations, batch, seed)
    moves = _moves(len(seen.sizes))
    while len(seen) < START * evaluations:
        yield next(design)
    while True:
        promising = seen.fresh(_neighbours(seen, moves, rng), batch)
        yield promising if len(promising) else next(design)


def _neighbours(seen: Seen, moves: Indices, rng: np.random.Generator) -> Indices:
    """The neighbours of the front, the most promising first; equals in random order."""
    usable = seen.usable
    costs = seen.costs[usable]
    best = np.flatnonzero(front(costs, ["min"] * costs.shape[1]))
    best = best if len(best) <= PARENTS else rng.choice(best, PARENTS, replace=False)
    parents, levels = seen.indices[usable][best], np.abs(moves).sum(axis=1)
    inside = np.ones((len(parents), len(moves)), dtype=np.bool_)
    for of_axis, steps, size in zip(parents.T, moves.T, seen.sizes, strict=True):
        level = of_axis[:, None] + steps
        inside &= (level >= 0) & (level < size)
    parent, move = np.nonzero(inside)
    promise = alone(costs[best])[parent] / WORTH ** (levels[move] - 1)
    order = np.lexsort((rng.random(len(parent)), -promise))
    neighbours: Indices = parents[parent[order]] + moves[move[order]]
    return neighbours


def alone(costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each point of a front alone adds to the hypervolume; never quite nothing, as equal points seem to."""
    if len(costs) == 0 or costs.shape[1] == 1:
        return np.ones(len(costs))
    low, high = costs.min(axis=0), costs.max(axis=0)
    scaled = (costs - low) / np.where(high > low, high - low, 1.0)
    added: NDArray[np.float64] = np.maximum(contributions(scaled, np.full(costs.shape[1], 1.1)), 1e-12)
    return added


def _moves(axes: int) -> Indices:
    """Steps to the neighbours of a point, of shape (moves, axes)."""
    unit = np.eye(axes, dtype=np.int64)
    single = [way * levels * unit[axis] for axis in range(axes) for levels in range(1, REACH + 1) for way in (1, -1)]
    double = [a * unit[i] + b * unit[j] for i, j in combinations(range(axes), 2) for a in (1, -1) for b in (1, -1)]
    return np.array(single + double, dtype=np.int64).reshape(-1, axes)
