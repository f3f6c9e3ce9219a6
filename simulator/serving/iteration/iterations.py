"""How long iterations take: told in plain floats, and for runs of many at once, by what each kind is compiled to."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

import numpy as np

from simulator.core import Resource
from simulator.errors import ConfigError
from simulator.mapping.stage import Kind
from simulator.mapping.two_engines.expert_costs import Counts
from simulator.serving.iteration.attention import Line
from simulator.serving.iteration.compiled import Compiled, of_decoding
from simulator.serving.routed import Array
from simulator.serving.stages import Stages
from simulator.workload.routing.draws import counts
from simulator.workload.routing.routers import Router

DECODING, PROMPTS, MIXED = Kind(False, True, False), Kind(True, False, True), Kind(True, True, True)
DRAWS = 16
"""Draws of the experts of iterations of as many tokens, used in turn."""


class Run(NamedTuple):
    """Iterations in a row in which nobody comes or goes: how many, seconds of all, of the first and of the last."""

    number: int
    seconds: float
    first: float
    last: float


class Iterations:
    """The iterations of a deployment: what one takes, by the sums over its sequences, to the last digits of a double.

    Routed experts take what draws of a router say, `DRAWS` for each number of tokens, used in turn by the number of the
    iteration.

    Of ranks, they are those of one rank, without the routed experts (`lockstep.py`).

    Raises:
        ConfigError: a mapping under which requests cannot be served; nodes that share the experts.
    """

    def __init__(self, stages: Stages, router: Router | None = None, seed: int = 0) -> None:
        if stages.deployment.nodes > 1 and stages.model.moe and not stages.deployment.ranks:
            found = f"{stages.deployment.nodes}, over which {stages.model.name} is to spread its experts"
            expected = (
                "1, and more replicas (mapping.scheduler.replicas); ranks that share whole ones (mapping.experts); "
                "or a node for each stage (mapping.pipeline)"
            )
            raise ConfigError(path=("hardware", "nodes"), found=found, expected=expected)
        self.stages, self.seed = stages, seed
        self.router = stages.draws(router) if stages.model.moe else None
        self.host, self.layers = stages.deployment.host, stages.deployment.layers
        self.cuts = stages.model.cuts
        self._compiled: dict[Kind, Compiled] = {}
        self._experts: dict[tuple[int, bool], Array] = {}
        self._demands: dict[tuple[int, bool], Mapping[Resource, float]] = {}
        self._indices = np.arange(1024, dtype=np.float64)

    def mixed(
        self, prompts: int, tokens: int, pairs: float, past: int, decoding: int, context: int, number: int = 0,
        seen: tuple[float, ...] = (),
    ) -> float:  # fmt: skip
        """Seconds of iteration `number`, which computes tokens of prompts, and one of each sequence that decodes.

        `pairs`: of a new token of a prompt and a key that it sees, `sum(new past + new (new + 1) / 2)`; `past`: tokens
        of these prompts that were computed before; `context`: tokens cached of all that decode. `seen`: of each of the
        model's `cuts`, pairs and keys of the prompts, and keys that those see that decode.
        """
        compiled = self.of_kind(MIXED if decoding else PROMPTS)
        seconds = compiled.seconds(prompts, tokens, pairs, decoding, context, past, seen)
        if self.router is not None:
            seconds += float(self._routed(tokens + decoding, True)[number % DRAWS])
        return self._driven(seconds, prompts + decoding, True)

    def decoding(self, sequences: int, context: int, number: int = 0, seen: tuple[float, ...] = ()) -> float:
        """Seconds of iteration `number`, in which all sequences decode; `seen`: the keys that they see, by cut."""
        seconds = self.of_kind(DECODING).seconds(0, 0, 0.0, sequences, context, 0, of_decoding(seen))
        if self.router is not None:
            seconds += float(self._routed(sequences, False)[number % DRAWS])
        return self._driven(seconds, sequences, False)

    def run(
        self, sequences: int, context: int, most: int, until: float = inf, number: int = 0,
        seen: tuple[float, ...] = (), rising: tuple[int, ...] = (),
    ) -> Run:  # fmt: skip
        """Iterations that decode, one token of context a sequence more each time: `most`, or fewer.

        They end with the first after which at least `until` seconds are over. By cut, those see so many keys in the
        first, and `rising` more each time.
        """
        compiled = self.of_kind(DECODING)
        if most > 1 and compiled.anew:  # one of them takes as long as all
            return self._summed(Line(sequences, context, most - 1, seen, rising), until, number)
        if most > 1 and compiled.bends and self.router is None and until > (least := compiled.least(sequences)):
            most = min(most, int(until / least) + 2) if until < inf else most
            return self._summed(Line(sequences, context, most - 1, seen, rising), until, number)
        first = self.decoding(sequences, context, number, seen)
        if most == 1 or first >= until:
            return Run(1, first, first, first)
        if self.router is None:
            most = min(most, int(until / first) + 2) if until < inf else most  # none is shorter than the first
            slope = self._slope(Line(sequences, context, most - 1, seen, rising), first)
            if slope is not None:
                return _on_a_line(first, slope, most, until)
        return self._summed(Line(sequences, context, most - 1, seen, rising), until, number)

    def _summed(self, line: Line, until: float, number: int) -> Run:
        """Iterations that are no line, a piece at a time."""
        sequences, most = line.decoding, line.more + 1
        done, total, first = 0, 0.0, 0.0
        while True:
            size = min(most - done, len(self._indices))
            indices = self._indices[:size]
            contexts = (line.context + sequences * done) + sequences * indices
            seen = [(keys + by * done) + by * indices for keys, by in zip(line.seen, line.rising, strict=True)]
            seconds = self.of_kind(DECODING).over(sequences, contexts, seen)
            if self.router is not None:
                turns = (number + done + np.arange(size)) % DRAWS
                seconds = seconds + self._routed(sequences, False)[turns]
            if self.host:
                host = float(self.host.seconds(self.layers, sequences, False))
                seconds = np.maximum(seconds, host) if self.host.overlaps else seconds + host
            first = first or float(seconds[0])
            ends = seconds.cumsum()
            if total + ends[-1] >= until:
                size = int(ends.searchsorted(until - total)) + 1
            total += float(ends[size - 1])
            done += size
            if done == most or total >= until:
                return Run(done, total, first, float(seconds[size - 1]))

    def _slope(self, line: Line, first: float) -> float | None:
        """Seconds that each further iteration takes more, up to the last one; None where that is not always as much."""
        slope = self.of_kind(DECODING).slope(line)
        if slope is None or not (self.host and self.host.overlaps):
            return slope
        host = float(self.host.seconds(self.layers, line.decoding, False))
        if first > host:
            return slope
        return 0.0 if self.of_kind(DECODING).last(line) <= host else None

    def _driven(self, seconds: float, sequences: int, prompts: bool) -> float:
        host = self.host
        if not host:
            return seconds
        busy = float(host.seconds(self.layers, sequences, prompts))
        return max(seconds, busy) if host.overlaps else seconds + busy

    def of_kind(self, kind: Kind) -> Compiled:
        """The iterations of a kind, compiled when it is met."""
        if kind not in self._compiled:
            self._compiled[kind] = Compiled(self.stages, kind)
        return self._compiled[kind]

    def routed_demand(self, tokens: int, mixed: bool) -> Mapping[Resource, float]:
        """Demand of the routed experts in all draws of so many tokens together, as of one device."""
        key = tokens, mixed
        if key not in self._demands:
            self._demands[key] = self.stages.routed(self._drawn(tokens), mixed).whole_demand
        return self._demands[key]

    def _routed(self, tokens: int, mixed: bool) -> Array:
        """Seconds of the routed experts in each draw of so many tokens."""
        key = tokens, mixed
        if key not in self._experts:
            self._experts[key] = self.stages.experts(self._drawn(tokens), mixed)
        return self._experts[key]

    def _drawn(self, tokens: int) -> Counts:
        """Tokens of each expert in the draws of so many tokens."""
        assert self.router is not None
        return counts(self.router, np.full(DRAWS, tokens), self.stages.layers, self.seed)


def _on_a_line(first: float, slope: float, most: int, until: float) -> Run:
    """The first so many iterations of `first + slope i` seconds, i = 0, 1, ..., `most` or until so much is over."""
    half = slope / 2
    number, seconds = most, most * first + half * most * (most - 1)
    if seconds >= until:
        half_step = first - half
        root = 2 * until / (half_step + (half_step * half_step + 4 * half * until) ** 0.5)
        number = min(max(int(root), 1), most)
        while number > 1 and (number - 1) * first + half * (number - 1) * (number - 2) >= until:
            number -= 1
        while (seconds := number * first + half * number * (number - 1)) < until and number < most:
            number += 1
    return Run(number, seconds, first, first + slope * (number - 1))
