"""Requests that arrive when they will: continuous batching, with jumps over stages in which nobody comes or goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from simulator.mapping.stage import FEATURES
from simulator.serving.arrivals import Requests
from simulator.serving.lengths import Ints
from simulator.serving.served import Array, Served
from simulator.serving.stages import Stages
from simulator.workload.draws import Pool, counts, pool
from simulator.workload.routers import Router

AGREES = 1e-12
Choices = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Chosen:
    """The experts of a run: of each prompt, drawn afresh; of sequences that decode, from a pool used in turn.

    Machines, rates and processes of arrival may share one.
    """

    prompts: Choices | None
    decoding: Pool | None

    def counts(self, decoding: int) -> NDArray[np.integer] | None:
        """Tokens of each expert in each draw of the pool, of so many sequences: (draws, layers, experts)."""
        if self.decoding is None:
            return None
        if decoding not in self._counted:
            counted = self.decoding.counts(decoding)
            self._counted[decoding] = counted.astype(np.min_scalar_type(decoding))  # there may be many sizes
        return self._counted[decoding]

    @cached_property
    def _counted(self) -> dict[int, NDArray[np.integer]]:
        return {}


def chosen(requests: Requests, router: Router | None, layers: int, most: int, seed: int = 0) -> Chosen:
    """Draw the experts of a run in which at most `most` sequences decode at once."""
    if router is None or not layers:
        return Chosen(None, None)
    return Chosen(counts(router, requests.input, layers, seed), pool(router, most, layers, seed=seed))


class StageTimes:
    """Seconds of the stages of a run, one after another; what it has found it keeps, for runs at other rates too."""

    def __init__(self, stages: Stages, drawn: Chosen) -> None:
        self.stages, self.drawn = stages, drawn
        self._lines: dict[int, tuple[float, float] | None] = {}
        self._experts: dict[int, Array] = {}

    def decoding(self, sequences: int, context: Array, stage: int) -> Array:
        """Of consecutive decoding-only stages, by the tokens cached before each; the first is number `stage`."""
        seconds, counts = self._shared(sequences, context), self.drawn.counts(sequences)
        if counts is not None:
            if sequences not in self._experts:
                self._experts[sequences] = self.stages.experts(counts, False)
            experts = self._experts[sequences]
            seconds = seconds + experts[(stage + np.arange(len(context))) % len(experts)]
        return seconds

    def mixed(self, inputs: Ints, joining: list[int], sequences: int, context: float, stage: int) -> float:
        """Of a stage that computes the prompts of the requests `joining`, beside `sequences` that decode."""
        tokens = inputs[joining].astype(np.float64)
        pairs = float((tokens * (tokens + 1) / 2).sum())
        x = spread(self.stages.deployment.nodes, len(joining), float(tokens.sum()), pairs, sequences, context)
        seconds = float(self.stages.shared(x, True)[0])
        if self.drawn.prompts is not None:
            counts = self.drawn.prompts[joining].sum(axis=0, keepdims=True)
            decoding = self.drawn.counts(sequences) if sequences else None
            if decoding is not None:
                counts = counts + decoding[[stage % len(decoding)]]
            seconds += float(self.stages.experts(counts, True)[0])
        return seconds

    def _shared(self, sequences: int, context: Array) -> Array:
        """A line over the context where three points lie on one, as they do unless a kernel changes what binds it.

        An engine that runs a layer as a whole has no line: what it was compiled for bounds the lengths.
        """
        if self.stages.deployment.whole_layers:
            return self._direct(sequences, context)
        if sequences not in self._lines:
            ends = np.array([0.0, 4096.0, 65536.0]) * sequences
            low, middle, high = self._direct(sequences, ends)
            slope = float(high - low) / ends[2]
            straight = abs(low + slope * ends[1] - middle) <= AGREES * middle
            self._lines[sequences] = (float(low), slope) if straight else None
        line = self._lines[sequences]
        return self._direct(sequences, context) if line is None else line[0] + line[1] * context

    def _direct(self, sequences: int, context: Array) -> Array:
        return self.stages.shared(spread(self.stages.deployment.nodes, 0, 0, 0, sequences, context), False)


def spread(nodes: int, prompts: float, tokens: float, pairs: float, decoding: float, context: Array | float) -> Array:
    """Features of stages whose sequences are spread over nodes: shape (stages, nodes, features).

    Decoding sequences are spread evenly, a part of one counting as a part; prompts are on the first node.
    """
    x = np.zeros((np.size(context), nodes, len(FEATURES)))
    x[:, 0, :3] = prompts, tokens, pairs
    x[..., 3] = decoding / nodes
    x[..., 4] = np.reshape(context, (-1, 1)) / nodes
    return x


def serve(times: StageTimes, requests: Requests, cap: int) -> Served:
    """Serve requests in the order of their arrival, at most `cap` in a stage, until all have ended.

    Before each stage those that wait join, as far as there is room; their prompts are computed whole, in one mixed
    stage with all that decode, which gives each its first token. While nobody comes or goes, decoding-only stages
    differ by one token of context a sequence and by their draw: they are timed in one call, added up from the present
    time, and cut at the first stage that ends when the next request has arrived and there is room.
    """

    def mixed(joining: list[int], decoding: int, context: float, stage: int) -> float:
        return times.mixed(requests.input, joining, decoding, context, stage)

    return run(requests, cap, times.decoding, mixed)


Mixed = Callable[[list[int], int, float, int], float]
"""Seconds of a stage in which requests join: these, the sequences that decode, their cached tokens, its number."""


def run(
    requests: Requests,
    cap: int,
    steps: Callable[[int, Array, int], Array],
    mixed: Mixed | None,
    next_arrival: Callable[[int, float], float | None] = lambda request, now: None,
) -> Served:
    """The loop behind `serve`: stages one after another, or many in a jump.

    Without `mixed`, prompts were computed elsewhere: requests arrive with their first token, and join at no cost.
    `next_arrival(request, now)` is asked when a request ends: when the next one of its kind arrives, if it brings one
    (a closed loop); the requests that have no time of arrival yet (inf) then arrive in their order, and the run is over
    when there is none left.
    """
    number = len(requests)
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
            heappush(leaving, (stage + int(requests.output[request]) - 1, request))
        decoding += len(requested)
        context += float(requests.input[requested].sum())

    def leave() -> None:
        """Sequences that have all their tokens before stage number `stage` are done."""
        nonlocal decoding, context, over
        while leaving and leaving[0][0] <= stage:
            request = heappop(leaving)[1]
            done[request] = now
            decoding -= 1
            context -= float(requests.input[request] + requests.output[request] - 1)
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
        if joining and mixed is not None:
            took = np.array([mixed(joining, decoding, context, stage)])
            ends = now + took
            context += decoding
        elif decoding or joining:
            enter(joining)  # their first token is there
            joining = []
            leave()  # those whose first token is their last
            if over or not decoding:
                continue
            ends, took = _jump(now, stage, decoding, context, leaving, waiting if decoding < cap else [], steps)
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
    if mixed is None:
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
    steps: Callable[[int, Array, int], Array],
) -> tuple[Array, Array]:
    """When each of the decoding-only stages up to the next arrival or end is over, and what it takes."""
    left = leaving[0][0] - stage
    first = min(left, 64) if waiting else left  # an arrival mostly cuts the jump: look ahead in growing pieces
    took = np.empty(0)
    while True:
        more = np.arange(len(took), min(first, left), dtype=np.float64)
        took = np.concatenate([took, steps(decoding, context + decoding * more, stage + len(took))])
        ends = np.cumsum(np.concatenate([[now], took]))[1:]
        if waiting and ends[-1] >= waiting[0][0]:
            cut = int(np.searchsorted(ends, waiting[0][0])) + 1
            return ends[:cut], took[:cut]
        if len(took) == left:
            return ends, took
        first *= 4
