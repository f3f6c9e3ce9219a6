"""Designs that do not look at results: random, quasi-random and Latin hypercube."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simulator.registry import register
from simulator.study.search.seen import Indices, Seen


@register("search", "random")
def random(seen: Seen, evaluations: int, batch: int, seed: int) -> Iterator[Indices]:
    """Points at random, all alike."""
    rng = np.random.default_rng(seed)
    while True:
        yield seen.drawn(rng, batch)


@register("search", "sobol")
def sobol(seen: Seen, evaluations: int, batch: int, seed: int) -> Iterator[Indices]:
    """A scrambled Sobol sequence: low discrepancy (Owen 1998, as scipy has it)."""
    from scipy.stats import qmc

    sequence = qmc.Sobol(len(seen.sizes), rng=np.random.default_rng(seed))
    least = 1 << max(evaluations - 1, 0).bit_length()  # a power of two keeps the balance
    while True:
        yield from _batches(_levels(sequence.random(least), seen.sizes), batch)


@register("search", "latin")
def latin(seen: Seen, evaluations: int, batch: int, seed: int) -> Iterator[Indices]:
    """A Latin hypercube: of each axis, every level as often as any other (McKay et al. 1979, as scipy has it)."""
    from scipy.stats import qmc

    cube = qmc.LatinHypercube(len(seen.sizes), rng=np.random.default_rng(seed))
    while True:
        yield from _batches(_levels(cube.random(evaluations), seen.sizes), batch)


def _levels(unit: NDArray[np.float64], sizes: tuple[int, ...]) -> Indices:
    """Points of the unit cube as levels."""
    levels: Indices = np.minimum((unit * sizes).astype(np.int64), np.array(sizes) - 1)
    return levels


def _batches(points: Indices, batch: int) -> Iterator[Indices]:
    for start in range(0, len(points), batch):
        yield points[start : start + batch]
