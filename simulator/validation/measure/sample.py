"""Repeats of a call, and what of their times is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import ceil
from typing import TypeAlias

import numpy as np

from simulator.validation.measure.rows import Sample

Clock: TypeAlias = Callable[[], float]
"""Seconds, from any start."""

TICK = 50e-6
"""Seconds that a repeat takes at least: a shorter call is done several times, so that reading the clock is nothing."""
FEWEST, MOST = 5, 1000
"""Repeats of a call."""


def sampled(call: Callable[[], object], seconds: float, clock: Clock = time.perf_counter) -> Sample:
    """Time a call again and again for so many seconds; the first two are not counted.

    Where the operating system took the core away in the middle of a repeat, that repeat is not counted either, unless
    fewer than `FEWEST` are left then.
    """
    call()
    before = clock()
    call()
    once = max(clock() - before, 1e-9)
    calls = max(1, ceil(TICK / once))
    times: list[float] = []
    undisturbed: list[float] = []
    end = clock() + seconds
    while len(times) < FEWEST or (clock() < end and len(times) < MOST):
        switches, before = _switches(), clock()
        for _ in range(calls):
            call()
        times.append((clock() - before) / calls)
        if _switches() == switches:
            undisturbed.append(times[-1])
    return summary(undisturbed if len(undisturbed) >= FEWEST else times)


def summary(times: Sequence[float]) -> Sample:
    """The median of some times, the least, and the distance between the quartiles over the median."""
    low, median, high = (float(each) for each in np.percentile(times, [25, 50, 75]))
    return Sample(median, float(min(times)), (high - low) / median if median else 0.0, len(times))


def _switches() -> int:
    """How often the operating system has taken a core from this process; 0 where it does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
