"""A service: requests as they come, spread over replicas, until all have ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from heapq import nsmallest
from math import inf, nextafter

from simulator.errors import ConfigError
from simulator.serving.service.balance import BALANCES
from simulator.serving.service.engines import Replica, pools_of
from simulator.serving.service.pool import Pool
from simulator.serving.service.sequence import Link
from simulator.serving.service.sequence import Sequence as Served
from simulator.workload.requests.request import Request

AHEAD = 1024
"""Requests that are read before the pools go on, where nobody looks at their load."""


class Service:
    """Replicas that serve a stream of requests, each by a pool of its own.

    Who goes where is said by a balance (`balance.py`) when a request arrives. One that follows on the end of another,
    in its session or in a closed loop, goes where that one was. `ended` is shown each request with its replica.

    With pools for `prompts`, each with a link to all others, these compute prompts alone and give the first token; then
    keys and values go over the link, one request after another, once there is room for them where it decodes.
    """

    def __init__(
        self, pools: Sequence[Replica], longest: int, balance: str = "round_robin",
        ended: Callable[[Served, int], None] = lambda served, replica: None,
        prompts: Sequence[tuple[Pool, Link]] = (),
    ) -> None:  # fmt: skip
        self.pools, self.longest, self.shown = pools, longest, ended
        self.balance = BALANCES[balance]
        self.number = self.handed = 0
        self._held: dict[str, deque[Request]] = {}  # turns of sessions that wait for the answer before them
        self._latest: tuple[str | None, float | None] = (None, None)  # session that was read last, when it was answered
        self._following: Iterator[Request] | None = None  # what comes when one ends, in a closed loop
        for place, pool in enumerate(pools):
            pool.ended = partial(self._ended, place)
        self.first: Sequence[Replica] = [pool for pool, _ in prompts] or pools
        for pool, link in prompts:
            pool.ended = partial(self._hand_over, pool, link)

    @property
    def replicas(self) -> list[Pool]:
        """All pools, those that compute prompts alone too."""
        return pools_of(list(dict.fromkeys([*self.pools, *self.first])))

    @property
    def now(self) -> float:
        return max(pool.now for pool in self.pools)

    def run(self, requests: Iterable[Request], in_flight: int | None = None) -> None:
        """Serve all requests; in a closed loop, the next one whenever fewer than `in_flight` are being served.

        Raises:
            ConfigError: a request that is longer than the context of the model.
            CapacityError: a request for which there never is room.
        """
        stream = iter(requests)
        looks = self.balance.looks and len(self.first) > 1
        if in_flight is not None and self.first is not self.pools:
            expected = "requests that arrive when they will: prompts are computed elsewhere"
            raise ConfigError(path=("workload", "loop"), found="a closed loop", expected=expected)
        if in_flight is not None:
            self._following = stream
            for _, request in zip(range(in_flight), stream, strict=False):
                self._arrive(request, request.arrival_s)
        else:
            for request in stream:
                if self._waits(request):
                    continue
                if looks or self.number % AHEAD == AHEAD - 1:
                    self._advance(request.arrival_s)
                self._arrive(request, request.arrival_s)
        self._advance(inf)

    def _advance(self, limit: float) -> None:
        """All pools go on; those of prompts first, which know nothing of the others."""
        if self.first is not self.pools:
            for pool in self.first:
                pool.advance(limit)
            self._in_order(limit, lambda pool: pool.joins_from)
        elif self._following is not None:
            self._in_order(limit, lambda pool: pool.begins)
        for pool in self.pools:
            pool.advance(limit)

    def _in_order(self, limit: float, next_of: Callable[[Replica], float]) -> None:
        """Where several take from what all share, in the order of time: that which may be the first goes on until
        another may be. They share the links of those that compute prompts, and the requests of a closed loop.
        """
        while len(self.pools) > 1:
            (first, place), (then, _) = nsmallest(2, ((next_of(pool), at) for at, pool in enumerate(self.pools)))
            if first >= limit:
                return
            self.pools[place].advance(min(limit, max(then, nextafter(first, inf))))

    def _hand_over(self, pool: Pool, link: Link, served: Served) -> None:
        """A prompt is computed: its request goes on where it decodes, each replica in turn."""
        served.output = served.request.output_tokens
        if served.output == 1:
            served.last = pool.now
            self.shown(served, 0)
            return
        self.pools[self.handed % len(self.pools)].arrive(served.handed_over(pool.now, link))
        self.handed += 1

    def _waits(self, request: Request) -> bool:
        """Whether a request comes only after an answer; then it is held, or comes at its time."""
        session, before = request.session_id, self._latest
        if session != before[0]:
            self._latest = (session, None)
        if request.think_s is None or session is None or session != before[0]:
            return False
        if before[1] is None:
            self._held.setdefault(session, deque()).append(request)
        else:
            self._latest = (session, None)
            self._arrive(request, max(request.arrival_s, before[1] + request.think_s))
        return True

    def _arrive(self, request: Request, arrival: float, place: int | None = None) -> None:
        if request.input_tokens + request.output_tokens > self.longest:
            found = f"{request.input_tokens:,} + {request.output_tokens:,} tokens"
            where = f"request {request.request_id}"
            raise ConfigError(where, found=found, expected=f"at most the {self.longest:,} of the model's context")
        served = Served(request, self.number, arrival, self.longest)
        self.number += 1
        if self.first is not self.pools:
            served.output = 1
            if request.think_s is not None:
                expected = "requests that wait for no answer: prompts are computed elsewhere"
                raise ConfigError(f"request {request.request_id}", found="a think time", expected=expected)
        at = place if place is not None else self.balance.choose(self.first, served)
        self.first[at].arrive(served)

    def _ended(self, place: int, served: Served) -> None:
        self.shown(served, place)
        session = served.request.session_id
        now = served.last
        if session is not None:
            if session in self._held:
                following = self._held[session].popleft()
                if not self._held[session]:
                    del self._held[session]
                self._arrive(following, max(following.arrival_s, now + (following.think_s or 0.0)), place)
            elif session == self._latest[0]:
                self._latest = (session, now)
        if self._following is not None:
            another = next(self._following, None)
            if another is not None:
                self._arrive(another, max(another.arrival_s, now), place)
