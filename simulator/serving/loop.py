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
    number, input, output = len(requests), requests.input.tolist(), requests.output.tolist()
    arrival = requests.arrival.astype(np.float64).copy()
    waiting = [(float(t), i) for i, t in enumerate(arrival) if np.isfinite(t)]
    heapify(waiting)
    fresh = iter([i for i, t in enumerate(arrival) if not np.isfinite(t)])
    joined, first, done = (np.full(number, np.nan) for _ in range(3))
    leaving: list[tuple[int, int]] = []  # by the stage after which a sequence has all its tokens
    now, stage, decoding, context = 0.0, 0, 0, 0.0
    gaps: list[Array] = []
    often: list[Array] = []
    over = False

    def enter(requested: list[int]) -> None:
        """Sequences that have their first token before stage number `stage` decode from it on."""
        nonlocal decoding, context
        for request in requested:
            heappush(leaving, (stage + output[request] - 1, request))
            context += input[request]
        decoding += len(requested)

    def leave() -> None:
        """Sequences that have all their tokens before stage number `stage` are done."""
        nonlocal decoding, context, over
        while leaving and leaving[0][0] <= stage:
            request = heappop(leaving)[1]
            done[request] = now
            decoding -= 1
            context -= input[request] + output[request] - 1
            following = next_arrival(request, now)
            if following is not None:
                new = next(fresh, None)
                over = over or new is None
                if new is not None:
                    arrival[new] = following
                    heappush(waiting, (following, new))

    while (waiting or decoding) and not over:
        joining: list[int] = []
        while waiting and waiting[0][0] <= now and decoding + len(joining) < cap:
            joining.append(heappop(waiting)[1])
        joined[joining] = now
        if joining and prompts:
            took = yield Mixed(joining, decoding, context, stage)
            ends = now + took
            context += decoding
        elif decoding or joining:
            enter(joining)  # their first token is there
            joining = []
            leave()  # those whose first token is their last
            if over or not decoding:
                continue
            arriving = waiting if decoding < cap else []
            ends, took = yield from _jump(now, stage, decoding, context, leaving, arriving)
            context += decoding * len(took)
        else:
            now = waiting[0][0]
            continue
        if decoding:
            gaps.append(took)
            often.append(np.full(len(took), float(decoding)))
        now, stage = float(ends[-1]), stage + len(took)
        first[joining] = now
        enter(joining)
        leave()
    if not prompts:
        first = arrival
    ended = ~np.isnan(done)
    whole = np.concatenate(gaps) if gaps else np.empty(0)
    weights = np.concatenate(often) if often else np.empty(0)
    start = float(np.min(arrival[ended], initial=now))
    return Served(
        done=done,
        queued=(joined - arrival)[ended],
        ttft=(first - arrival)[ended],
        e2e=(done - arrival)[ended],
        gaps=whole,
        often=weights,
        tokens=float(weights.sum() + ended.sum()),
        seconds=now - start,
    )


def _jump(
    now: float,
    stage: int,
    decoding: int,
    context: float,
    leaving: list[tuple[int, int]],
    waiting: list[tuple[float, int]],
) -> Generator[Decoding | Mixed, Array, tuple[Array, Array]]:
    """When each of the decoding-only stages up to the next arrival or end is over, and what it takes."""
    left = leaving[0][0] - stage
    first = min(left, 64) if waiting else left  # an arrival mostly cuts the jump: look ahead in growing pieces
    took = np.empty(0)
    while True:
        more = np.arange(len(took), min(first, left), dtype=np.float64)
        following = yield Decoding(decoding, context + decoding * more, stage + len(took))
        took = np.concatenate([took, following])
        ends = np.empty(len(took) + 1)
        ends[0], ends[1:] = now, took
        ends = np.cumsum(ends)[1:]
        if waiting and ends[-1] >= waiting[0][0]:
            cut = int(np.searchsorted(ends, waiting[0][0])) + 1
            return ends[:cut], took[:cut]
        if len(took) == left:
            return ends, took
        first *= 4
