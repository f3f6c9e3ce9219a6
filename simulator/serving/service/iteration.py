"""How long the iterations of a deployment take: compiled once, then told in plain floats, and for runs of many at once.

What hangs on the number of tokens alone (products with weights, kernels over rows, collectives, experts whose kernel is
modelled) is a table over that number; so is what hangs on another (`numbers.py`), as the head on that of sequences.
Attention is a closed form over the sums of `FEATURES`: the largest of a few affine demands, each over its rate, which
may bend with the size of the demand, or what a model of its kernel says of the mean sequence. Of an engine that runs
whole layers it is the fastest of a few programs (`serving/programmed.py`). What is none of these is lowered anew for
each iteration: as exact, and slow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from typing import NamedTuple

import numpy as np

from simulator.core import Activity, Plan, Quantity, Resource, closed_form
from simulator.core.affine import affine, probes
from simulator.core.closed_form import alone
from simulator.errors import ConfigError
from simulator.mapping.gpu.modelled import Attended
from simulator.mapping.stage import FEATURES, Kind, attended, stage, typical
from simulator.mapping.two_engines.expert_costs import Counts
from simulator.serving.programmed import Programmed
from simulator.serving.routed import Array
from simulator.serving.service.attention import Line, ModelledTerm, Term, term
from simulator.serving.service.numbers import NUMBERS, at, directions
from simulator.serving.stages import Stages
from simulator.workload.routing.draws import counts
from simulator.workload.routing.routers import Router

DECODING, PROMPTS, MIXED = Kind(False, True, False), Kind(True, False, True), Kind(True, True, True)
AGREES = 1e-11
DRAWS = 16
"""Draws of the experts of iterations of as many tokens, used in turn."""
SCALES = (0.13, 1.0, 7.7)
"""Of typical features: sizes at which it is looked what a demand hangs on."""


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

    Raises:
        ConfigError: a mapping under which requests cannot be served; nodes that share the experts.
    """

    def __init__(self, stages: Stages, router: Router | None = None, seed: int = 0) -> None:
        if stages.deployment.nodes > 1 and stages.model.moe:
            found = f"{stages.deployment.nodes}, over which {stages.model.name} is to spread its experts"
            expected = "1, and more replicas (mapping.scheduler.replicas); or a node for each stage (mapping.pipeline)"
            raise ConfigError(path=("hardware", "nodes"), found=found, expected=expected)
        self.stages, self.seed = stages, seed
        self.router = stages.draws(router) if stages.model.moe else None
        self.host, self.layers = stages.deployment.host, stages.deployment.layers
        self.cuts = stages.model.cuts
        self._compiled: dict[Kind, _Compiled] = {}
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
        compiled = self._of(MIXED if decoding else PROMPTS)
        seconds = compiled.seconds(prompts, tokens, pairs, decoding, context, past, seen)
        if self.router is not None:
            seconds += float(self._routed(tokens + decoding, True)[number % DRAWS])
        return self._driven(seconds, prompts + decoding, True)

    def decoding(self, sequences: int, context: int, number: int = 0, seen: tuple[float, ...] = ()) -> float:
        """Seconds of iteration `number`, in which all sequences decode; `seen`: the keys that they see, by cut."""
        seconds = self._of(DECODING).seconds(0, 0, 0.0, sequences, context, 0, of_decoding(seen))
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
        compiled = self._of(DECODING)
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
            seconds = self._of(DECODING).over(sequences, contexts, seen)
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
        slope = self._of(DECODING).slope(line)
        if slope is None or not (self.host and self.host.overlaps):
            return slope
        host = float(self.host.seconds(self.layers, line.decoding, False))
        if first > host:
            return slope
        return 0.0 if self._of(DECODING).last(line) <= host else None

    def _driven(self, seconds: float, sequences: int, prompts: bool) -> float:
        host = self.host
        if not host:
            return seconds
        busy = float(host.seconds(self.layers, sequences, prompts))
        return max(seconds, busy) if host.overlaps else seconds + busy

    def _of(self, kind: Kind) -> _Compiled:
        if kind not in self._compiled:
            self._compiled[kind] = _Compiled(self.stages, kind)
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


class _Table:
    """Seconds by a whole number, filled in one call up to a power of two when a number is met, and when a larger is."""

    def __init__(self, fill: Callable[[int, int], list[float]]) -> None:
        self._fill = fill
        self._values: list[float] = []

    def __getitem__(self, number: int) -> float:
        if number >= len(self._values):
            self._values += self._fill(len(self._values), _beyond(number))
        return self._values[number]


def _beyond(number: int) -> int:
    """Where a table ends that has a number: behind a power of two, 256 or more."""
    return (1 << max(number - 1, 255).bit_length()) + 1


class _Compiled:
    """The iterations of one kind: what hangs on tokens or on sequences alone, terms of attention, and what is lowered.

    Of an engine that runs layers as a whole the programs that it was compiled to (`Declared`) are the one term, or all
    is lowered. Activities are told by their places in the plan of the kind, which is of one shape whatever the sizes.
    `anew`: whether something is lowered anew for each iteration, or for a run of them; `bends`: whether no run is a
    straight line, for a model of its kernel times attention.
    """

    def __init__(self, stages: Stages, kind: Kind) -> None:
        self.stages, self.kind = stages, kind
        self.tabled: dict[str, set[int]] = {name: set() for name in NUMBERS}
        self.lowered: set[int] = set()
        self.terms: list[Term | ModelledTerm | Programmed] = []
        self.typical = typical(stages.model)
        self.features = len(self.typical)
        if stages.deployment.whole_layers:
            programs = stages.programs(kind, self.features)
            self.terms += [programs] if programs else []
        else:
            points, alike = directions(kind, self.typical)
            scaled = np.concatenate([points * [scale] for scale in SCALES])
            self._classify(list(self._works(scaled)), alike, len(points))
        self.constant = sum(each.latency for each in self.terms)
        self._by_tokens: list[float] = []
        self._by_sequences: list[float] = []
        self._by_decoding, self._by_keys = (_Table(partial(self._filled, name)) for name in ("decoding", "keys"))
        self.anew = bool(self.lowered) or (stages.deployment.whole_layers and not self.terms)
        self.bends = any(isinstance(each, ModelledTerm) for each in self.terms)
        self._further = bool(self.tabled["decoding"] or self.tabled["keys"])

    def seconds(
        self, prompts: float, tokens: float, pairs: float, decoding: float, context: float, past: float,
        cuts: tuple[float, ...] = (),
    ) -> float:  # fmt: skip
        """Of one iteration, by its features, without what hangs on draws or on the host."""
        total = self._tabled(int(tokens + decoding), int(prompts + decoding))
        if self._further:
            total += self._by_decoding[int(decoding)] + self._by_keys[int(tokens + past)]
        for each in self.terms:
            total += each.seconds(prompts, tokens, pairs, decoding, context, past, cuts)
        if self.anew:
            x = np.array([[prompts, tokens, pairs, decoding, context, past, *cuts]], dtype=np.float64)
            total += float(self._anew(x)[0])
        return total

    def least(self, sequences: int) -> float:
        """No more than any iteration takes in which as many decode: what hangs on them alone, and latencies."""
        return self._tabled(sequences, sequences)

    def last(self, line: Line) -> float:
        """Of the last iteration of a line."""
        seen = tuple(keys + by * line.more for keys, by in zip(line.seen, line.rising, strict=True))
        context = line.context + line.decoding * line.more
        return self.seconds(0, 0, 0.0, line.decoding, context, 0, of_decoding(seen))

    def over(self, decoding: int, contexts: Array, seen: Sequence[Array] = ()) -> Array:
        """Of iterations in which as many sequences decode, over the tokens that they have cached, and see by cut."""
        total: float | Array = self._tabled(decoding, decoding)
        for each in self.terms:
            total = total + each.over(decoding, contexts, seen)
        if self.anew:
            x = np.zeros((len(contexts), self.features))
            x[:, 3], x[:, 4] = decoding, contexts
            for place, keys in enumerate(seen):
                x[:, len(FEATURES) + 3 * place + 2] = keys
            total = total + self._anew(x)
        return total if isinstance(total, np.ndarray) else np.full(len(contexts), total)

    def slope(self, line: Line) -> float | None:
        """Seconds that each iteration of a line takes more, where that is always as much."""
        if self.anew:
            return None
        total = 0.0
        for each in self.terms:
            slope = each.slope(line)
            if slope is None:
                return None
            total += slope
        return total

    def _works(self, x: Array) -> Iterator[tuple[int, Activity | Plan]]:
        """What iterations do one after another, each with how often; a plan with branches as a whole."""
        for part in stage(self.stages.deployment, x, self.kind):
            yield from _chained(part.plan, part.repeat)

    def _classify(
        self,
        scaled: list[tuple[int, Activity | Plan]],
        alike: dict[str, list[int]],
        each: int,
    ) -> None:
        """Tell of each work what it hangs on, by whether its demands stay as they are from probe to probe."""
        for place, ((times, work), (known, attention)) in enumerate(zip(scaled, self._known(), strict=True)):
            figures = [np.broadcast_to(q, each * len(SCALES)).reshape(-1, each) for q in _figures(work)]

            def same(rows: list[int], figures: Sequence[Array] = figures) -> bool:
                return all(np.allclose(f[:, rows], f[:, :1], rtol=AGREES, atol=0) for f in figures)

            number = next((name for name, rows in alike.items() if same(rows)), None)
            if number is not None:
                self.tabled[number].add(place)
            elif (affine_ := self._term(known, times, attention)) is not None:
                self.terms.append(affine_)
            else:
                self.lowered.add(place)

    def _known(self) -> Iterator[tuple[Activity | Plan, Attended | None]]:
        """Each work at the probes, and its attention where a model times it in plain floats."""
        deployment = self.stages.deployment
        parts = stage(deployment, probes(self.typical), self.kind)
        for part, of_block in zip(parts, attended(deployment, self.kind), strict=True):
            for _, work in _chained(part.plan, part.repeat):
                yield work, of_block.get(work.name)

    def _term(self, work: Activity | Plan, times: int, attended: Attended | None) -> Term | ModelledTerm | None:
        """An activity known at the probes as a term; None of a plan, or of demands that are not affine."""
        if isinstance(work, Plan):
            return None
        if attended is None:
            return _term(work, times, self.typical)
        limit = self.stages.deployment.high.limit(attended.kind)
        known = replace(work, demand={r: d for r, d in work.demand.items() if r is not limit})
        least = _term(known, times, self.typical)
        return least and ModelledTerm(attended.once, attended.decode, least)

    def _tabled(self, tokens: int, sequences: int) -> float:
        """Seconds of what hangs on tokens or on sequences alone, which are no more, and of latencies."""
        if tokens >= len(self._by_tokens):
            first, most = len(self._by_tokens), _beyond(tokens)
            hanging = self.tabled["tokens"] or self.tabled["sequences"]
            works = list(self._works(at(self.kind, "tokens", first, most, self.features))) if hanging else []
            self._by_tokens += self._added(works, "tokens", most - first)
            self._by_sequences += self._added(works, "sequences", most - first)
        return self._by_tokens[tokens] + self._by_sequences[sequences] + self.constant

    def _filled(self, name: str, first: int, most: int) -> list[float]:
        """Seconds of the works that hang on a number alone, of `first` to before `most`."""
        works = self._works(at(self.kind, name, first, most, self.features)) if self.tabled[name] else ()
        return self._added(works, name, most - first)

    def _added(self, works: Iterable[tuple[int, Activity | Plan]], name: str, most: int) -> list[float]:
        """Seconds of those that hang on a number alone, of as many of it."""
        total = np.zeros(most)
        for place, (times, work) in enumerate(works):
            if place in self.tabled[name]:
                total += times * np.asarray(_time(work))
        return [float(each) for each in total]

    def _anew(self, x: Array) -> Array:
        if self.stages.deployment.whole_layers:
            return self.stages.seconds(x, self.kind)
        total = np.zeros(len(x))
        for place, (times, work) in enumerate(self._works(x)):
            if place in self.lowered:
                total += times * np.asarray(_time(work))
        return total


def of_decoding(seen: tuple[float, ...]) -> tuple[float, ...]:
    """Features of cuts where no prompt is computed."""
    return tuple(each for keys in seen for each in (0.0, 0.0, keys))


def _chained(plan: Plan, times: int) -> Iterator[tuple[int, Activity | Plan]]:
    if any(step.after != tuple(range(max(i - 1, 0), i)) for i, step in enumerate(plan.steps)):
        yield times, plan
        return
    for work, _, repeat in plan.steps:
        if isinstance(work, Plan):
            yield from _chained(work, times * repeat)
        else:
            yield times * repeat, work


def _figures(work: Activity | Plan) -> list[Quantity]:
    activities = [a for a, _ in work.activities()] if isinstance(work, Plan) else [work]
    return [figure for each in activities for figure in (each.latency, *each.demand.values())]


def _time(work: Activity | Plan) -> Quantity:
    return closed_form(work).time if isinstance(work, Plan) else alone(work)


def _term(work: Activity, times: int, typical: tuple[float, ...]) -> Term | None:
    """An activity known at the probes as a term; None of demands that are not affine."""
    plan = Plan(work.name)
    plan.add(work)
    try:
        demands, latency = affine(plan, probes(typical)).coefficients[id(work)]
    except ValueError:
        return None
    return term(demands, latency, times)
