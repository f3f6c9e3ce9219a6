"""Keys that sequences see as they decode, where a token sees so many at most: sums, and until when they are a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from heapq import heappop, heappush
from math import floor, inf


class Seen:
    """The sums of `min(context + 1, limit)` over those that decode, of each limit, by the step of their pool.

    A sequence is known by its context at step 0, its base. It reaches a limit once; until the next one does, each sum
    grows by as much a step, by one key for each sequence that has not.
    """

    def __init__(self, limits: Sequence[float]) -> None:
        self._of = [_Limit(limit) for limit in limits]

    def add(self, base: int, step: int, sequences: int = 1) -> None:
        """So many sequences more (or fewer) with this base decode from a step on."""
        for each in self._of:
            each.add(base, step, sequences)

    def at(self, step: int) -> tuple[float, ...]:
        """The sum of each limit in a step."""
        return tuple(each.at(step) for each in self._of)

    def rising(self, step: int) -> tuple[int, ...]:
        """By how much each sum grows a step."""
        return tuple(each.below(step) for each in self._of)

    def lasting(self, step: int) -> float:
        """Steps from one on in which nobody reaches a limit."""
        return min((each.lasting(step) for each in self._of), default=inf)


class _Limit:
    """The sum of one limit.

    Of those below it, it holds how many are at it after which step, which is `limit - base`.
    """

    def __init__(self, limit: float) -> None:
        self._limit, self._whole = limit, floor(limit)
        self._count = self._below = self._bases = 0
        self._reach = Counter[int]()
        self._steps: list[int] = []  # of `_reach`, as a heap; some no more there

    def add(self, base: int, step: int, sequences: int) -> None:
        self._settle(step)
        self._count += sequences
        reaches = self._whole - base
        if reaches <= step:
            return
        self._below += sequences
        self._bases += sequences * base
        if reaches not in self._reach:
            heappush(self._steps, reaches)
        self._reach[reaches] += sequences
        if not self._reach[reaches]:
            del self._reach[reaches]

    def below(self, step: int) -> int:
        self._settle(step)
        return self._below

    def at(self, step: int) -> float:
        self._settle(step)
        return self._bases + self._below * (step + 1) + self._limit * (self._count - self._below)

    def lasting(self, step: int) -> float:
        self._settle(step)
        return self._steps[0] - step if self._steps else inf

    def _settle(self, step: int) -> None:
        """Those that have reached the limit are below it no more."""
        steps = self._steps
        while steps and (steps[0] <= step or steps[0] not in self._reach):
            reached = heappop(steps)
            sequences = self._reach.pop(reached, 0)
            self._below -= sequences
            self._bases -= sequences * (self._whole - reached)
