"""Requests that arrive when they will, and how long the stages take in which they are served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulator.core import Quantity
from simulator.mapping.stage import FEATURES
from simulator.serving.loop import Decoding, Mixed, loop, side_by_side
from simulator.serving.served import Array, Served
from simulator.serving.stages import Stages
from simulator.workload.requests.arrivals import Requests
from simulator.workload.routing.draws import Pool, counts, pool
from simulator.workload.routing.routers import Router

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
            fewer = max((n for n in self._counted if n < decoding), default=0)
            counted = self.decoding.counts(decoding, fewer)
            counted += self._counted.get(fewer, 0)
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
            seconds = seconds + experts.take(np.arange(stage, stage + len(context)), mode="wrap")
        if not self.stages.host_beside:
            return seconds
        return self.stages.driven(seconds, self._decoding(sequences, context[:1]), False)

    def mixed(self, asked: Sequence[tuple[Requests, Mixed]]) -> Array:
        """Of stages that compute prompts, each of a run of its own requests."""
        joining = [requests.input[at.joining] for requests, at in asked]
        tokens = np.array([(len(each), each.sum(), (each * (each + 1)).sum() / 2) for each in joining])
        beside = np.array([(at.decoding, at.context) for _, at in asked])
        x = spread(self.stages.deployment.nodes, *tokens.T, *beside.T)
        seconds = self.stages.shared(x, True)
        if self.drawn.prompts is not None:
            counts = np.stack([self._picked(self.drawn.prompts[at.joining].sum(axis=0), at) for _, at in asked])
            seconds = seconds + self.stages.experts(counts, True)
        return self.stages.driven(seconds, x, True)

    def _picked(self, prompts: NDArray[np.integer], at: Mixed) -> NDArray[np.integer]:
        """Tokens of each expert of the prompts of a stage and of the sequences that decode beside them."""
        decoding = self.drawn.counts(at.decoding) if at.decoding else None
        return prompts if decoding is None else prompts + decoding[at.stage % len(decoding)]

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
        return self.stages.shared(self._decoding(sequences, context), False)

    def _decoding(self, sequences: int, context: Array) -> Array:
        return spread(self.stages.deployment.nodes, 0, 0, 0, sequences, context)


def spread(
    nodes: int, prompts: Quantity, tokens: Quantity, pairs: Quantity, decoding: Quantity, context: Quantity
) -> Array:
    """Features of stages whose sequences are spread over nodes: shape (stages, nodes, features).

    Decoding sequences are spread evenly, a part of one counting as a part; prompts are on the first node.
    """
    x = np.zeros((np.size(context), nodes, len(FEATURES)))
    x[:, 0, 0], x[:, 0, 1], x[:, 0, 2] = prompts, tokens, pairs
    x[..., 3] = np.reshape(decoding, (-1, 1)) / nodes
    x[..., 4] = np.reshape(context, (-1, 1)) / nodes
    return x


def serve(times: StageTimes, requests: Requests, cap: int) -> Served:
    """Serve requests in the order of their arrival, at most `cap` in a stage, until all have ended.

    Before each stage those that wait join, as far as there is room; their prompts are computed whole, in one mixed
    stage with all that decode, which gives each its first token. While nobody comes or goes, decoding-only stages
    differ by one token of context a sequence and by their draw: they are timed in one call, added up from the present
    time, and cut at the first stage that ends when the next request has arrived and there is room.
    """
    return serve_each(times, [requests], cap)[0]


def serve_each(times: StageTimes, runs: Sequence[Requests], cap: int) -> list[Served]:
    """Serve each of several runs of requests for itself, on the same machine and by the same draws.

    They advance side by side, so that the mixed stages which come next in each are timed in one call.
    """

    def answer(asked: Mapping[int, Decoding | Mixed]) -> dict[int, Array]:
        mixed = {run: at for run, at in asked.items() if isinstance(at, Mixed)}
        seconds = times.mixed([(runs[run], at) for run, at in mixed.items()]) if mixed else np.empty(0)
        decoding = {run: times.decoding(*at) for run, at in asked.items() if isinstance(at, Decoding)}
        return {**decoding, **dict(zip(mixed, seconds[:, np.newaxis], strict=True))}

    return side_by_side([loop(requests, cap) for requests in runs], answer)
