"""Percentiles of many numbers in little memory: exact of few, within 0.1 % of many."""

from __future__ import annotations

from array import array
from math import ceil, exp, log

import numpy as np

FEW = 1_000_000
"""Numbers that are kept themselves."""
WIDTH = 0.002
"""Width of a class of many, in the logarithm: its middle is within 0.1 % of all that it counts."""


class Digest:
    """Positive numbers, each counted so many times; percentiles as a histogram over their logarithms tells them.

    The value of a class is its middle, so that a percentile is within 0.1 % of the exact one, as in DDSketch
    (VLDB 2019, vol. 12 no. 12).
    """

    def __init__(self) -> None:
        self.count = 0.0
        self.total = 0.0
        self._classes: dict[int, float] = {}

    def add(self, value: float, often: float = 1) -> None:
        """Count a number `often` times."""
        self.count += often
        self.total += value * often
        place = int(log(value) / WIDTH + 1e6) if value > 0 else -1
        self._classes[place] = self._classes.get(place, 0.0) + often

    def line(self, first: float, last: float, number: int, often: float) -> None:
        """Count `number` values that go evenly from the first to the last, each `often` times."""
        if number == 1 or last - first <= WIDTH / 4 * first:
            self.add((first + last) / 2, often * number)
            return
        pieces = min(number, ceil((log(last) - log(first)) / WIDTH * 2))
        for i in range(pieces):
            self.add(first + (last - first) * (i + 0.5) / pieces, often * number / pieces)

    def merge(self, other: Digest) -> None:
        """Count what another has counted."""
        self.count += other.count
        self.total += other.total
        for place, often in other._classes.items():
            self._classes[place] = self._classes.get(place, 0.0) + often

    def percentile(self, percent: float) -> float:
        """The smallest value that `percent` of all do not exceed; NaN of none."""
        if not self.count:
            return float("nan")
        places = sorted(self._classes)
        upto = np.cumsum([self._classes[place] for place in places])
        place = places[min(int(np.searchsorted(upto, percent / 100 * upto[-1] * (1 - 1e-12))), len(places) - 1)]
        return 0.0 if place < 0 else exp((place + 0.5 - 1e6) * WIDTH)

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else float("nan")


class Percentiles:
    """Numbers as they come: themselves up to a million of them, and then a digest of all."""

    def __init__(self) -> None:
        self._values: array[float] | None = array("d")
        self._digest = Digest()

    def add(self, value: float) -> None:
        if self._values is None:
            self._digest.add(value)
            return
        self._values.append(value)
        if len(self._values) > FEW:
            for each in self._values:
                self._digest.add(each)
            self._values = None

    def percentile(self, percent: float) -> float:
        """Linear between ranks where all are known; NaN of none."""
        if self._values is None:
            return self._digest.percentile(percent)
        return float(np.percentile(self._values, percent)) if self._values else float("nan")

    @property
    def mean(self) -> float:
        if self._values is None:
            return self._digest.mean
        return float(np.mean(self._values)) if self._values else float("nan")
