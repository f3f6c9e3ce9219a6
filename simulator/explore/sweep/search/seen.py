"""What a search has seen so far, and what it may ask for next."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.explore.sweep.columns import Columns

Indices: TypeAlias = NDArray[np.int64]
"""Points of a space: the level of each axis, of shape (points, axes)."""

ENUMERABLE = 1 << 20  # points of a space that are listed where draws at random find too few new ones


class Space(Protocol):
    """Points on a lattice: `sizes` has the number of levels of each axis."""

    @property
    def sizes(self) -> tuple[int, ...]: ...

    def at(self, indices: Indices) -> Columns:
        """The values of the axes at points, one row each."""


class Seen:
    """Every point evaluated, in order: its levels, its costs (less is better in all), and whether it is usable.

    Usable is a point that is feasible and has every objective.
    """

    def __init__(self, sizes: tuple[int, ...], objectives: int) -> None:
        self.sizes = sizes
        self._place: dict[tuple[int, ...], int] = {}
        self._indices: list[Indices] = [np.empty((0, len(sizes)), dtype=np.int64)]
        self._costs: list[NDArray[np.float64]] = [np.empty((0, objectives))]
        self._usable: list[NDArray[np.bool_]] = [np.empty(0, dtype=np.bool_)]

    def __len__(self) -> int:
        return len(self._place)

    @property
    def left(self) -> int:
        """How many points of the space are not seen."""
        return prod(self.sizes) - len(self)

    @property
    def indices(self) -> Indices:
        indices: Indices = _joined(self._indices)
        return indices

    @property
    def costs(self) -> NDArray[np.float64]:
        """Of shape (points, objectives)."""
        costs: NDArray[np.float64] = _joined(self._costs)
        return costs

    @property
    def usable(self) -> NDArray[np.bool_]:
        usable: NDArray[np.bool_] = _joined(self._usable)
        return usable

    def add(self, indices: Indices, costs: NDArray[np.float64], usable: NDArray[np.bool_]) -> None:
        """Points that were evaluated; none was seen before."""
        for point in map(tuple, indices.tolist()):
            self._place[point] = len(self._place)
        self._indices.append(indices)
        self._costs.append(costs)
        self._usable.append(usable)

    def place(self, point: tuple[int, ...]) -> int | None:
        """Which of the points seen this is; None: it is new."""
        return self._place.get(point)

    def fresh(self, indices: Indices, most: int) -> Indices:
        """The first `most` different points among these that are not seen."""
        found: dict[tuple[int, ...], None] = {}
        for point in map(tuple, indices.tolist()):
            if len(found) == most:
                break
            if point not in self._place:
                found[point] = None
        return np.array(list(found), dtype=np.int64).reshape(-1, len(self.sizes))

    def drawn(self, rng: np.random.Generator, most: int) -> Indices:
        """Up to `most` points at random, none seen before; fewer where no more are left."""
        found = self.fresh(rng.integers(0, self.sizes, (2 * most + 16, len(self.sizes))), most)
        if len(found) < most and prod(self.sizes) <= ENUMERABLE:
            order = rng.permutation(prod(self.sizes))
            return self.fresh(np.stack(np.unravel_index(order, self.sizes), axis=1), most)
        return found


class Method(Protocol):
    """A way to search, registered under the kind `search`.

    Gives points to evaluate, up to `batch` at a time; by the next turn they are in `seen`. It may give points seen
    before, or none: those are not evaluated again, and random ones are if nothing else is asked. The same arguments
    and the same results give the same points.
    """

    def __call__(self, seen: Seen, evaluations: int, batch: int, seed: int) -> Iterator[Indices]: ...


def _joined(parts: list[Any]) -> Any:
    """The parts as one array, which takes their place."""
    if len(parts) > 1:
        parts[:] = [np.concatenate(parts)]
    return parts[0]
