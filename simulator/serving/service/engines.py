"""Pools that are one replica: each with a scheduler, a queue and blocks of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from heapq import heappop, heappush
from math import inf

from simulator.serving.service.pool import Pool
from simulator.serving.service.sequence import Sequence as Served


class Engines(ABC):
    """The pools of a replica; a request goes to the one with the fewest that have not ended, and stays there.

    Their iterations hang on one another, so each is stepped by itself.
    """

    def __init__(self, pools: Sequence[Pool]) -> None:
        self.pools = pools
        self.ended: Callable[[Served], None] = lambda served: None
        self._arriving: list[tuple[float, int, Served]] = []
        self._ending: list[list[float]] = [[] for _ in pools]  # last tokens of those that a pool has let go ahead
        for place, pool in enumerate(pools):
            pool.ended = partial(self._let_go, place)

    @abstractmethod
    def _step(self, now: float, first: Pool) -> None:
        """Serve the next iteration, which is chosen now, by one pool first or by it alone."""

    @property
    def now(self) -> float:
        return max(pool.now for pool in self.pools)

    @property
    def outstanding(self) -> int:
        """Sequences that have come, or will, and have not ended."""
        return len(self._arriving) + sum(pool.outstanding for pool in self.pools)

    @property
    def queued(self) -> Iterator[Served]:
        """Sequences that wait, or will come."""
        yield from (sequence for _, _, sequence in self._arriving)
        for pool in self.pools:
            yield from pool.queued

    @property
    def begins(self) -> float:
        """The time before which no pool of it chooses an iteration."""
        return min(self._first()[0], self._arriving[0][0] if self._arriving else inf)

    joins_from = begins

    def _first(self) -> tuple[float, int]:
        """When the next iteration is chosen, and by which pool."""
        return min((pool.begins, place) for place, pool in enumerate(self.pools))

    def arrive(self, sequence: Served) -> None:
        """A sequence will come at its time of arrival."""
        heappush(self._arriving, (sequence.arrival, sequence.number, sequence))

    def advance(self, limit: float = inf) -> None:
        """Serve, iteration by iteration in the order in which they are chosen, those that are chosen before `limit`."""
        arriving = self._arriving
        while True:
            begins, place = self._first()
            if arriving and arriving[0][0] <= begins and arriving[0][0] < limit:
                now, _, sequence = heappop(arriving)
                self._least(now).arrive(sequence)
            elif begins < limit:
                self._step(begins, self.pools[place])
            else:
                break
        if limit == inf:
            for pool in self.pools:
                pool.advance()  # which has nothing left to do, or tells who never joins

    def _least(self, now: float) -> Pool:
        """The pool with the fewest sequences that have not ended; those end with the iteration that is in flight."""
        for times in self._ending:
            times[:] = [last for last in times if last > now]
        place = min(range(len(self.pools)), key=lambda p: (self.pools[p].outstanding + len(self._ending[p]), p))
        return self.pools[place]

    def _let_go(self, place: int, served: Served) -> None:
        self._ending[place].append(served.last)
        self.ended(served)


Replica = Pool | Engines


def pools_of(replicas: Sequence[Replica]) -> list[Pool]:
    """All pools of replicas."""
    return [pool for each in replicas for pool in (each.pools if isinstance(each, Engines) else (each,))]
