"""Continuous batching, with jumps over stages in which nobody comes or goes; it asks what its stages take."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple, TypeAlias

import numpy as np

from simulator.serving.served import Array, Served
from simulator.workload.requests.arrivals import Requests


class Decoding(NamedTuple):
    """Consecutive stages in which so many sequences decode: the tokens cached before each, and the first's number."""

    decoding: int
    context: Array
    stage: int


class Mixed(NamedTuple):
    """A stage that computes the prompts of requests that join, beside the sequences that decode; its number."""

    joining: list[int]
    decoding: int
    context: float
    stage: int


Loop: TypeAlias = Generator[Decoding | Mixed, Array, Served]
"""A run that asks how long its next stages take, again and again."""


def run(
    requests: Requests,
    cap: int,
    steps: Callable[[int, Array, int], Array],
    mixed: Callable[[list[int], int, float, int], float] | None,
    next_arrival: Callable[[int, float], float | None] = lambda request, now: None,
) -> Served:
    """A `loop` alone, of which two functions time the stages; without `mixed`, prompts are computed elsewhere."""

    def answer(asked: Mapping[int, Decoding | Mixed]) -> dict[int, Array]:
        at = asked[0]
        if isinstance(at, Decoding):
            return {0: steps(*at)}
        assert mixed
        return {0: np.array([mixed(*at)])}

    return side_by_side([loop(requests, cap, mixed is not None, next_arrival)], answer)[0]


def side_by_side(
    loops: Sequence[Loop], answer: Callable[[Mapping[int, Decoding | Mixed]], Mapping[int, Array]]
) -> list[Served]:
    """Advance all loops at once: what they ask next, by their place, is answered together, until all are over."""
    served: dict[int, Served] = {}
    answers: Mapping[int, Array | None] = dict.fromkeys(range(len(loops)))
    while answers:
        asked: dict[int, Decoding | Mixed] = {}
        for place, seconds in answers.items():
            try:
                asked[place] = loops[place].send(seconds)  # type: ignore[arg-type]  # None starts a generator
            except StopIteration as end:
                served[place] = end.value
        answers = answer(asked) if asked else {}
    return [served[place] for place in range(len(loops))]


def loop(
    requests: Requests,
    cap: int,
    prompts: bool = True,
    next_arrival: Callable[[int, float], float | None] = lambda request, now: None,
) -> Loop:
    """The loop behind `serve`: stages one after another, or many in a jump.

    Without `prompts`, these were computed elsewhere: requests arrive with their first token, and join at no cost.
    `next_arrival(request, now)` is asked when a request ends: when the next one of its kind arrives, if it brings one
    (a closed loop); the requests that have no time of arrival yet (inf) then arrive in their order, and the run is over
    when there is none left.
    """
    node = _Node(requests, next_arrival)
    gaps: list[tuple[Array, int]] = []  # seconds between two tokens, and the sequences that wait as long for theirs
    while (node.waiting or node.decoding) and not node.over:
        joining = node.join(cap)
        if joining and prompts:
            took = yield Mixed(joining, node.decoding, node.context, node.stage)
            ends = node.now + took
        elif node.decoding or joining:
            node.enter(joining)  # their first token is there
            joining = []
            node.leave()  # those whose first token is their last
            if node.over or not node.decoding:
                continue
            ends, took = yield from _jump(node, node.waiting if node.decoding < cap else [])
        else:
            node.now = node.waiting[0][0]
            continue
        if node.decoding:
            gaps.append((took, node.decoding))
        node.advance(len(took), float(ends[-1]))
        node.first[joining] = node.now
        node.enter(joining)
        node.leave()
    return node.served(gaps, node.first if prompts else node.arrival)


class _Node:
    """The requests of a loop: which wait, which decode, and the sums over these that its stages hang on."""

    def __init__(self, requests: Requests, next_arrival: Callable[[int, float], float | None]) -> None:
        self.input, self.output, self.next_arrival = requests.input.tolist(), requests.output.tolist(), next_arrival
        self.arrival = requests.arrival.astype(np.float64).copy()
        self.joined, self.first, self.done = (np.full(len(requests), np.nan) for _ in range(3))
        self.waiting = [(float(t), i) for i, t in enumerate(self.arrival) if np.isfinite(t)]
        heapify(self.waiting)
        self.fresh = iter([i for i, t in enumerate(self.arrival) if not np.isfinite(t)])
        self.leaving: list[tuple[int, int]] = []  # by the stage after which a sequence has all its tokens
        self.now, self.stage, self.decoding, self.context = 0.0, 0, 0, 0.0
        self.over = False

    def join(self, cap: int) -> list[int]:
        """The requests that have arrived, as many as have room beside those that decode."""
        joining: list[int] = []
        while self.waiting and self.waiting[0][0] <= self.now and self.decoding + len(joining) < cap:
            joining.append(heappop(self.waiting)[1])
        self.joined[joining] = self.now
        return joining

    def advance(self, stages: int, now: float) -> None:
        """Each sequence that decodes has one token more from each stage."""
        self.context += self.decoding * stages
        self.stage += stages
        self.now = now

    def enter(self, requests: list[int]) -> None:
        """Sequences that have their first token before the next stage decode from it on."""
        for request in requests:
            heappush(self.leaving, (self.stage + self.output[request] - 1, request))
            self.context += self.input[request]
        self.decoding += len(requests)

    def leave(self) -> None:
        """Sequences that have all their tokens before the next stage are done."""
        while self.leaving and self.leaving[0][0] <= self.stage:
            request = heappop(self.leaving)[1]
            self.done[request] = self.now
            self.decoding -= 1
            self.context -= self.input[request] + self.output[request] - 1
            following = self.next_arrival(request, self.now)
            if following is not None:
                self._arrive(following)

    def _arrive(self, time: float) -> None:
        """The next request that had no time of arrival has this one; where none is left, the run is over."""
        new = next(self.fresh, None)
        if new is None:
            self.over = True
        else:
            self.arrival[new] = time
            heappush(self.waiting, (time, new))

    def served(self, gaps: list[tuple[Array, int]], first: Array) -> Served:
        """What its requests waited for; `first` is when each had its first token."""
        ended = ~np.isnan(self.done)
        weights = np.concatenate([np.full(len(took), float(often)) for took, often in gaps] or [np.empty(0)])
        start = float(np.min(self.arrival[ended], initial=self.now))
        return Served(
            done=self.done,
            queued=(self.joined - self.arrival)[ended],
            ttft=(first - self.arrival)[ended],
            e2e=(self.done - self.arrival)[ended],
            gaps=np.concatenate([took for took, _ in gaps] or [np.empty(0)]),
            often=weights,
            tokens=float(weights.sum() + ended.sum()),
            seconds=self.now - start,
        )


def _jump(node: _Node, waiting: list[tuple[float, int]]) -> Generator[Decoding | Mixed, Array, tuple[Array, Array]]:
    """When each of the decoding-only stages up to the next arrival or end is over, and what it takes."""
    left = node.leaving[0][0] - node.stage
    first = min(left, 64) if waiting else left  # an arrival mostly cuts the jump: look ahead in growing pieces
    took = np.empty(0)
    while True:
        more = np.arange(len(took), min(first, left), dtype=np.float64)
        following = yield Decoding(node.decoding, node.context + node.decoding * more, node.stage + len(took))
        took = np.concatenate([took, following]) if len(took) else following
        ends = np.empty(len(took) + 1)
        ends[0], ends[1:] = node.now, took
        ends = np.cumsum(ends)[1:]
        if waiting and ends[-1] >= waiting[0][0]:
            cut = int(np.searchsorted(ends, waiting[0][0])) + 1
            return ends[:cut], took[:cut]
        if len(took) == left:
            return ends, took
        first *= 4
