"""A buffer of equal rows in a dense prefix, as LLM in a flash keeps the neurons of an FFN (arXiv 2312.11514, 3.3).

The rows in use are the first `used` slots, whatever their order, so that a matrix product reads them in one piece.
Rows that leave are replaced by the last rows in use, which are copied into the holes; rows that come are appended.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]


class RowBuffer:
    """Room for `capacity` of the rows 0 to `rows - 1`.

    Attributes:
        used: rows in it.
        slot: of each row, where it lies; -1 if it is not there.
        row: of each slot in use, which row lies there (the pointers).
    """

    def __init__(self, rows: int, capacity: int) -> None:
        self.capacity, self.used = capacity, 0
        self.slot = np.full(rows, -1, dtype=np.intp)  # as an index has it
        self.row = np.empty(capacity, dtype=np.intp)

    def missing(self, rows: Ints) -> Ints:
        """Those of `rows` that are not in it, in their order."""
        return rows.compress(self.slot[rows] < 0)

    def delete(self, rows: Ints) -> int:
        """Rows leave, as far as they are there; returns how many others are copied into their places.

        The last rows in use fill the holes below the new end: as many copies as holes there, `len(rows)` at most.
        None of `rows` may stand there twice.
        """
        holes = self.slot[rows]
        holes = holes.compress(holes >= 0)
        end = self.used - len(holes)
        holes = holes.compress(holes < end)
        self.slot[rows] = -1
        tail = self.row[end : self.used]
        movers = tail.compress(self.slot[tail] >= 0)
        self.row[holes] = movers
        self.slot[movers] = holes
        self.used = end
        return len(movers)

    def insert(self, rows: Ints) -> None:
        """Rows come in, behind the last one in use. None of them may be there, and each stands once in `rows`.

        Raises:
            ValueError: more than there is room for; nothing has changed then.
        """
        end = self.used + len(rows)
        if end > self.capacity:
            raise ValueError(f"a buffer of {self.capacity} rows: {end} are too many")
        self.row[self.used : end] = rows
        self.slot[rows] = np.arange(self.used, end)
        self.used = end
