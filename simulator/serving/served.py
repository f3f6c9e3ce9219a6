"""What the requests of a run saw: when their tokens came, and how many the machine made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Served:
    """Times of requests, seconds, one element each of those that ended; and of all tokens that came in the run.

    Attributes:
        done: when each request of the run got its last token, those that did not end as NaN.
        queued: from its arrival until a request joins a stage.
        ttft: from its arrival to its first token.
        e2e: from its arrival to its last token.
        gaps: seconds between one token of a request and the next (TBT), each distinct one once.
        often: how many tokens came after each of these gaps.
        tokens: all tokens that came.
        seconds: of the run.
    """

    done: Array
    queued: Array
    ttft: Array
    e2e: Array
    gaps: Array
    often: Array
    tokens: float
    seconds: float

    @property
    def throughput(self) -> float:
        """Tokens a second; NaN of a run of no requests."""
        return self.tokens / self.seconds if self.seconds else float("nan")

    def tbt(self, percent: float) -> float:
        """A percentile of the time between tokens, over all tokens of all requests."""
        return weighted_percentile(*self._ranked, percent)

    @cached_property
    def _ranked(self) -> tuple[Array, Array]:
        return ranked(self.gaps, self.often)


def percentile(values: Array, percent: float) -> float:
    """A percentile of values, linear between ranks; NaN of none."""
    return float(np.percentile(values, percent)) if values.size else float("nan")


def ranked(values: Array, often: Array) -> tuple[Array, Array]:
    """Values in rising order, and how many there are up to each where it is counted `often` times."""
    order = np.argsort(values)
    return values[order], np.cumsum(often[order])


def weighted_percentile(values: Array, upto: Array, percent: float) -> float:
    """The smallest of `ranked` values that `percent` of all do not exceed; NaN of none."""
    if not upto.size or upto[-1] <= 0:
        return float("nan")
    return float(values[np.searchsorted(upto, percent / 100 * upto[-1])])
