"""What a search has seen so far, and what it may ask for next."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from simulator.study.space.columns import Columns

Indices: TypeAlias = NDArray[np.int64]
"""Points of a space: the level of each axis, of shape (points, axes)."""

ENUMERABLE = 1 << 20  # points of a space that are listed where draws at random find too few new ones

AT_ONCE = 4096  # points that are looked at together


class Space(Protocol):
    """Points on a lattice: `sizes` has the number of levels of each axis."""

    @property
    def sizes(self) -> tuple[int, ...]: ...

    def at(self, indices: Indices) -> Columns:
        """The values of the axes at points, one row each."""


@runtime_checkable
class Numbered(Protocol):
    """A space in which several levels may be one point: it numbers them."""

    def __len__(self) -> int: ...

    def points(self, indices: Indices) -> Indices:
        """The number of each point."""

    def levels(self, points: Indices) -> Indices:
        """The levels that stand for points, by their numbers."""


class Seen:
    """Every point evaluated, in order: its levels, its costs (less is better in all), and whether it is usable.

    Usable is a point that is feasible and has every objective. Levels that are one point are seen together.
    """

    def __init__(self, sizes: tuple[int, ...], objectives: int, numbered: Numbered | None = None) -> None:
        self.sizes = sizes
        self._numbered = numbered
        self._place: dict[tuple[int, ...], int] = {}
        self._indices: list[Indices] = [np.empty((0, len(sizes)), dtype=np.int64)]
        self._costs: list[NDArray[np.float64]] = [np.empty((0, objectives))]
        self._usable: list[NDArray[np.bool_]] = [np.empty(0, dtype=np.bool_)]

    def __len__(self) -> int:
        return len(self._place)

    @property
    def left(self) -> int:
        """How many points of the space are not seen."""
        return self._total - len(self)

    @property
    def _total(self) -> int:
        return prod(self.sizes) if self._numbered is None else len(self._numbered)

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
        if self._numbered is None or point in self._place:
            return self._place.get(point)
        (same,) = self._same(np.array([point], dtype=np.int64)).tolist()
        return self._place.get(tuple(same))

    def _same(self, indices: Indices) -> Indices:
        """The levels that stand for these."""
        return indices if self._numbered is None else self._numbered.levels(self._numbered.points(indices))

    def fresh(self, indices: Indices, most: int) -> Indices:
        """The first `most` different points among these that are not seen."""
        points: dict[tuple[int, ...], None] = {}
        for start in range(0, len(indices), AT_ONCE):
            if len(points) == most:
                break
            for point in map(tuple, self._same(indices[start : start + AT_ONCE]).tolist()):
                if len(points) == most:
                    break
                if point not in self._place:
                    points[point] = None
        return np.array(list(points), dtype=np.int64).reshape(-1, len(self.sizes))

    def drawn(self, rng: np.random.Generator, most: int) -> Indices:
        """Up to `most` points at random, none seen before; fewer where no more are left."""
        points = self.fresh(rng.integers(0, self.sizes, (2 * most + 16, len(self.sizes))), most)
        if len(points) < most and self._total <= ENUMERABLE:
            order = rng.permutation(self._total)
            if self._numbered is not None:
                return self.fresh(self._numbered.levels(order), most)
            return self.fresh(np.stack(np.unravel_index(order, self.sizes), axis=1), most)
        return points


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
