"""A replica that is a pipeline: stages one behind another, and as many pools whose iterations are in flight.

That is pipeline parallelism as vLLM has it since 0.5 (its engine V0): a `virtual engine` for each stage, with a
scheduler, a queue and an equal part of the blocks of its own. A request goes to the one with the fewest that have not
ended, and stays there; so it is in one iteration at a time. An engine whose iteration has ended chooses the next one at
once, which waits for the first stage; each stage serves one iteration at a time, in the order in which these were
chosen, and sends what it made before it takes the next one.

Iterations of several engines wait for one another in ways that are no straight line, so each is stepped by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from math import inf, nextafter

from simulator.serving.iteration.flow_shop import FlowShop
from simulator.serving.service.pool import Pool
from simulator.serving.service.sequence import Sequence as Served


class Pipeline:
    """The pools that share the stages of a flow shop, seen as one replica."""

    def __init__(self, shop: FlowShop, pools: Sequence[Pool]) -> None:
        self.shop, self.pools = shop, pools
        self.ended: Callable[[Served], None] = lambda served: None
        self._arriving: list[tuple[float, int, Served]] = []
        self._ending: list[list[float]] = [[] for _ in pools]  # last tokens of those that a pool has let go ahead
        for place, pool in enumerate(pools):
            pool.ended = partial(self._let_go, place)

    @property
    def now(self) -> float:
        return max(pool.now for pool in self.pools)

    @property
    def outstanding(self) -> int:
        """Sequences that have come, or will, and have not ended."""
        return len(self._arriving) + sum(pool.outstanding for pool in self.pools)

    @property
    def begins(self) -> float:
        """The time before which no pool of it chooses an iteration."""
        return min(self._first()[0], self._arriving[0][0] if self._arriving else inf)

    joins_from = begins

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
                self.shop.now = begins
                self.pools[place].advance(nextafter(begins, inf))
            else:
                break
        if limit == inf:
            for pool in self.pools:
                pool.advance()  # which has nothing left to do, or tells who never joins

    def _first(self) -> tuple[float, int]:
        """When the next iteration is chosen, and by which pool."""
        return min((pool.begins, place) for place, pool in enumerate(self.pools))

    def _least(self, now: float) -> Pool:
        """The pool with the fewest sequences that have not ended; those end with the iteration that is in flight."""
        for times in self._ending:
            times[:] = [last for last in times if last > now]
        place = min(range(len(self.pools)), key=lambda p: (self.pools[p].outstanding + len(self._ending[p]), p))
        return self.pools[place]

    def _let_go(self, place: int, served: Served) -> None:
        self._ending[place].append(served.last)
        self.ended(served)


Replica = Pool | Pipeline


def pools_of(replicas: Sequence[Replica]) -> list[Pool]:
    """All pools of replicas."""
    return [pool for each in replicas for pool in (each.pools if isinstance(each, Pipeline) else (each,))]
