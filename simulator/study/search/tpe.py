"""Tree-structured Parzen estimators on a lattice: ask for points where good ones lie dense and others do not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from simulator.registry import register
from simulator.study.search.local import alone
from simulator.study.search.seen import Indices, Seen

START = 32  # points at random, before there is something to learn from
GOOD = 0.2  # of the points seen, those that are good, at most
CANDIDATES = 24  # drawn for each point of a batch
NARROW = 0.25  # levels: the least width of a kernel
ROWS = 256  # points whose density is added up at once
EVEN = 0.2  # of a kernel, what is even over all levels of an axis: kinds of machines have levels, too, and no order


@register("search", "tpe")
def tpe(seen: Seen, evaluations: int, batch: int, seed: int) -> Iterator[Indices]:
    """Of candidates drawn where good points are dense, those where they are densest relative to the others.

    Good are the first of all points by non-dominated sorting, as far as they are usable, and within the front that does
    not go in whole, those that add most hypervolume (Bergstra et al. 2011; Ozaki et al. 2022 for many objectives).
    """
    rng = np.random.default_rng(seed)
    while True:
        if len(seen) < START or not seen.usable.any():
            yield seen.drawn(rng, batch)
            continue
        good = _good(seen)
        dense, sparse = _Density(seen.indices[good], seen.sizes), _Density(seen.indices[~good], seen.sizes)
        candidates = dense.drawn(rng, CANDIDATES * batch)
        promise = (dense.log(candidates) - sparse.log(candidates)).reshape(CANDIDATES, batch)
        order = np.argsort(-promise, axis=0, kind="stable")  # of each point of the batch, its candidates
        yield seen.fresh(candidates[order * batch + np.arange(batch)].reshape(-1, len(seen.sizes)), batch)


def _good(seen: Seen) -> NDArray[np.bool_]:
    """The points of those seen that are good."""
    import moocore

    usable = np.flatnonzero(seen.usable)
    costs = seen.costs[usable]
    ranks = moocore.pareto_rank(costs)
    most = min(int(np.ceil(GOOD * len(seen))), len(usable))
    last = np.sort(ranks)[most - 1]
    cut = ranks == last
    added = np.zeros(len(usable))
    added[cut] = alone(costs[cut])
    good = np.zeros(len(seen), dtype=np.bool_)
    good[usable[np.lexsort((-added, ranks))[:most]]] = True
    return good


class _Density:
    """A mixture of kernels, one a point and one that is even over the space; that of a point is a product over axes.

    On an axis it is normal on the levels, as wide as the normal reference rule has it for all points together,
    `1.06 sd n^(-1/(axes + 4))` (Falkner et al. 2018), and for a part even.
    """

    def __init__(self, points: Indices, sizes: tuple[int, ...]) -> None:
        self.points, self.sizes = points, np.array(sizes)
        rule = 1.06 * points.std(axis=0) * len(points) ** (-1 / (len(sizes) + 4)) if len(points) else 0.0
        self.widths = np.broadcast_to(np.maximum(rule, NARROW), len(sizes))

    def drawn(self, rng: np.random.Generator, number: int) -> Indices:
        """So many points of the density."""
        even = rng.integers(0, self.sizes, (number, len(self.sizes)))
        of = rng.integers(0, len(self.points) + 1, number)
        near = (of < len(self.points))[:, None] & (rng.random(even.shape) >= EVEN)
        centres = self.points[np.minimum(of, len(self.points) - 1)]
        low, high = ndtr((-0.5 - centres) / self.widths), ndtr((self.sizes - 0.5 - centres) / self.widths)
        levels = np.rint(centres + self.widths * ndtri(low + (high - low) * rng.random(even.shape)))
        drawn: Indices = np.where(near, np.clip(levels, 0, self.sizes - 1).astype(np.int64), even)
        return drawn

    def log(self, points: Indices) -> NDArray[np.float64]:
        """The logarithm of the density at points, so many at once that what is added up stays in the cache."""
        return np.concatenate([self._log(points[first : first + ROWS]) for first in range(0, len(points), ROWS)])

    def _log(self, points: Indices) -> NDArray[np.float64]:
        logs = np.full((len(points), len(self.points) + 1), -np.sum(np.log(self.sizes)))
        logs[:, :-1] = 0.0
        for axis, (size, width) in enumerate(zip(self.sizes, self.widths, strict=True)):
            levels, point = np.unique(points[:, axis], return_inverse=True)
            centres, kernel = np.unique(self.points[:, axis], return_inverse=True)
            apart = levels[:, None] - centres
            normal = ndtr((apart + 0.5) / width) - ndtr((apart - 0.5) / width)
            normal /= ndtr((size - 0.5 - centres) / width) - ndtr((-0.5 - centres) / width)
            logs[:, :-1] += np.log((1 - EVEN) * normal + EVEN / size)[:, kernel][point]
        most = logs.max(axis=1)
        density: NDArray[np.float64] = most + np.log(np.exp(logs - most[:, None]).mean(axis=1))
        return density
