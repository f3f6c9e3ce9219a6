"""Run what is to be measured, point after point, into a table that can be gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from simulator.validation.measure.rows import Point, Row, Sample, append, start
from simulator.validation.measure.sample import Clock

Progress: TypeAlias = Callable[[str, int, int], None]
"""What is told how far a run is: a title, the points done and those in all."""


@dataclass(frozen=True)
class Bench:
    """What can be measured of a device: points, and what measures one; `source` says with what and how."""

    source: str
    points: Sequence[Point]
    sample: Callable[[Point], Sample]


@dataclass(frozen=True)
class Measured:
    """How many points of a bench were measured now, had been before, and are left because the time was up."""

    file: Path
    measured: int
    before: int
    left: int


def run(
    bench: Bench,
    file: Path,
    budget: float | None = None,
    progress: Progress | None = None,
    clock: Clock = time.monotonic,
) -> Measured:
    """Measure the points that a table lacks, and append each to it as it comes. No other file is written.

    Args:
        bench: what is measured.
        file: the table; made where there is none.
        budget: seconds after which no further point is begun.
        progress: told after each point.
        clock: by which the budget is kept.

    Raises:
        ConfigError: the file is no table of measurements, or cannot be written.
    """
    known = {row.point for row in start(file)}
    missing = [point for point in bench.points if point not in known]
    begun, done = clock(), 0
    for point in missing:
        if budget is not None and clock() - begun >= budget:
            break
        append(file, Row(point, bench.sample(point), bench.source))
        done += 1
        if progress:
            progress("points measured", len(bench.points) - len(missing) + done, len(bench.points))
    return Measured(file, done, len(bench.points) - len(missing), len(missing) - done)
