"""The iterations of one kind, compiled once for a deployment: what they hang on, in tables and closed forms.

What hangs on the number of tokens alone (products with weights, kernels over rows, collectives, experts whose kernel is
modelled) is a table over that number; so is what hangs on another (`numbers.py`), as the head on that of sequences.
Attention is a closed form over the sums of `FEATURES`: the largest of a few affine demands, each over its rate, which
may bend with the size of the demand, or what a model of its kernel says of the mean sequence. Of an engine that runs
whole layers it is the fastest of a few programs (`serving/programmed.py`). What is none of these is lowered anew for
each iteration: as exact, and slow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from simulator.core import Activity, Plan, Quantity, closed_form
from simulator.core.affine import affine, probes
from simulator.core.closed_form import alone
from simulator.mapping.gpu.modelled import Attended
from simulator.mapping.stage import Kind, attended, decoding_at, stage, typical
from simulator.serving.iteration.attention import Line, ModelledTerm, Term, term
from simulator.serving.iteration.numbers import NUMBERS, at, directions
from simulator.serving.programmed import Programmed
from simulator.serving.routed import Array
from simulator.serving.stages import EXPERTS, Stages, is_shared

AGREES = 1e-11
SCALES = (0.13, 1.0, 7.7)
"""Of typical features: sizes at which it is looked what a demand hangs on."""


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


class Compiled:
    """The iterations of one kind: what hangs on tokens or on sequences alone, terms of attention, and what is lowered.

    Of an engine that runs layers as a whole the programs that it was compiled to (`Declared`) are the one term, or all
    is lowered. Activities are told by their places in the plan of the kind, which is of one shape whatever the sizes.
    `experts`: seconds of those that ranks share, by the tokens of all ranks; of no other deployment. `anew`: whether
    something is lowered anew for each iteration, or for a run of them; `bends`: whether no run is a straight line, for
    a model of its kernel times attention.
    """

    def __init__(self, stages: Stages, kind: Kind) -> None:
        self.stages, self.kind = stages, kind
        self.tabled: dict[str, set[int]] = {name: set() for name in (*NUMBERS, EXPERTS)}
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
        self.experts = _Table(self._shared)
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
            total = total + self._anew(decoding_at(self.features, decoding, contexts, seen))
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
            if self.stages.deployment.ranks and is_shared(work.name):
                self.tabled[EXPERTS].add(place)
            elif number is not None:
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

    def _shared(self, first: int, most: int) -> list[float]:
        """Seconds of the experts that ranks share, of `first` to before `most` tokens of all of them."""
        x = at(self.kind, "tokens", first, most, self.features)
        x[:, 3] /= self.stages.deployment.nodes
        return self._added(self._works(x), EXPERTS, most - first)

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
