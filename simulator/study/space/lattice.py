"""The points of a sweep as a lattice that a search can walk: a level of each group of axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.study.space.columns import Columns
from simulator.study.space.space import Space


class Lattice:
    """A `Space` by steps of its axes; axes that move together are one, and an axis that does not vary is left out.

    Levels of an axis whose condition does not hold are one point.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.paths = [path for path in space.leading if space.sizes[path] > 1]
        self.sizes = tuple(space.sizes[path] for path in self.paths)

    def __len__(self) -> int:
        return len(self.space)

    def levels(self, points: NDArray[np.int64]) -> NDArray[np.int64]:
        """The levels of points by their numbers, of shape (points, axes); of an axis that does not vary there, 0."""
        steps = self.space.steps(points)
        return np.stack([steps[path] for path in self.paths], axis=1) if self.paths else np.empty((len(points), 0), int)

    def points(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of each point, of shape (points,), from its levels, of shape (points, axes)."""
        steps = dict.fromkeys(self.space.leading, np.zeros(len(indices), dtype=np.int64))
        steps |= {path: indices[:, axis] for axis, path in enumerate(self.paths)}
        return np.broadcast_to(self.space.index(steps), len(indices))

    def at(self, indices: NDArray[np.int64]) -> Columns:
        """The values of the axes at points."""
        return self.space.at(self.points(indices))
