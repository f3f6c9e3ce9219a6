"""What goes in and out of a row buffer, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.core.row_policies import RowPolicy, Step
from simulator.core.rows import Ints, RowBuffer


class RowTraffic(NamedTuple):
    """Counts of each step, arrays of one shape.

    Attributes:
        active: rows that the step needs.
        reads: reads that brought what was missing: as many as `missed`, unless a read brings several rows.
        missed: rows that it needs and that were not in the buffer.
        left: rows that left.
        moved: rows copied into holes, so that those in use stay a dense prefix.
        held: rows in the buffer once all is in.
        passed: rows that found no room: read, used, and not kept.
    """

    active: NDArray[np.int64]
    reads: NDArray[np.int64]
    missed: NDArray[np.int64]
    left: NDArray[np.int64]
    moved: NDArray[np.int64]
    held: NDArray[np.int64]
    passed: NDArray[np.int64]


def row_traffic(
    steps: Iterable[Step],
    buffer: RowBuffer,
    policy: RowPolicy,
    reads: Callable[[Ints], int] = len,
) -> RowTraffic:
    """Run the steps of one layer through its buffer; `reads` says how many reads bring the rows that are missing."""
    counts: list[tuple[int, ...]] = []
    for step in steps:
        before = buffer.used
        moved = buffer.delete(policy.leaving(step, buffer))
        left = before - buffer.used
        missing = buffer.missing(step.active)
        room = buffer.capacity - buffer.used
        buffer.insert(missing[:room])
        passed = max(len(missing) - room, 0)
        counts.append((len(step.active), reads(missing), len(missing), left, moved, buffer.used, passed))
    return RowTraffic(*np.array(counts, dtype=np.int64).reshape(-1, len(RowTraffic._fields)).T)
