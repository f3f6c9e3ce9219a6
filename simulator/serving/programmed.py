"""Stages of an engine that runs whole layers: what its programs take, by rows of coefficients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.core import Resource, closed_form
from simulator.core.affine import probes, undominated
from simulator.core.resource import Curve
from simulator.mapping.dataflow.bounds import Bounds, Step, bounds
from simulator.mapping.deployment import Deployment
from simulator.mapping.lowerings.dataflow import dataflow
from simulator.mapping.stage import Kind, alike, blocks, decoding_at, stage, typical, whole_layers_engine
from simulator.mapping.target import program_key
from simulator.registry import registered
from simulator.serving.iteration.attention import Line
from simulator.serving.routed import Array
from simulator.workload import Routing
from simulator.workload.routing.distinct import uniform

Places: TypeAlias = NDArray[np.int64]
AGREES = 1e-11
"""How near what rows say must be to what is lowered, where it is looked at both."""


def programmed(deployment: Deployment, kind: Kind, features: int) -> Programmed | None:
    """The programs that a deployment has compiled for stages of a kind, with so many features; None: lower each stage.

    These are lowered whose demands are not affine in the features, and whose programs are compiled for each call anew.
    """
    model = deployment.model
    target = whole_layers_engine(deployment, kind)
    if registered("lowering", target.description.kind) is not dataflow or not target.programs:
        return None
    moe = model.moe
    scale = typical(model)[:features]
    at = probes((*scale, moe.experts / 2) if moe else scale)
    routed = (lambda tokens: at[:, -1]) if moe else None
    try:
        of_blocks = [
            [bounds(target, block, program, at) for program in target.programs[program_key(block)]]
            for block in blocks(deployment, at[:, :features], kind, routed)
        ]
    except ValueError:
        return None
    made = Programmed(of_blocks, features, uniform(moe.experts, moe.top_k) if moe else None)
    x = _looked_at(deployment, kind)[:, :features]
    lowered = sum(part.repeat * np.asarray(closed_form(part.plan).time) for part in stage(deployment, x, kind))
    return made if np.allclose(made.at(x), lowered, rtol=AGREES, atol=0) else None


class Programmed:
    """The blocks of a stage, each on the fastest of its programs that hold it: of an iteration, a term without latency.

    A program takes `sum_steps (latency + max_rows c x)`, where x are a 1, the features of a stage and, of a model
    with routed experts, the distinct ones that its tokens touch. It holds what needs no more than the room of each of
    its buffers; what none of a block holds, its last does (`mapping/lowerings/dataflow.py`).
    """

    latency = 0.0

    def __init__(self, of_blocks: Sequence[Sequence[Bounds]], features: int, distinct: Routing | None) -> None:
        programs = [program for block in of_blocks for program in block]
        steps = [step for program in programs for step in program.steps]
        rows = [_rows(step) for step in steps]
        buffers = [_buffers(program) for program in programs]
        self.features, self.distinct = features, distinct
        self._rows = np.concatenate([straight for straight, _ in rows])
        self._first_row = _firsts(len(straight) for straight, _ in rows)
        self._bent = [(place, *row) for place, (_, bent) in enumerate(rows) for row in bent]
        self._latency = np.array([[step.latency] for step in steps])
        self._repeat = np.array([[float(program.repeat)] for program in programs for _ in program.steps])
        self._first_step = _firsts(len(program.steps) for program in programs)
        self._needed = np.concatenate([needed for needed, _ in buffers])
        self._room = np.concatenate([room for _, room in buffers])[:, np.newaxis]
        self._first_buffer = _firsts(len(room) for _, room in buffers)
        self._first_program = _firsts(map(len, of_blocks))
        self._last_program = np.cumsum([len(block) for block in of_blocks]) - 1

    def seconds(
        self, prompts: float, tokens: float, pairs: float, decoding: float, context: float, past: float,
        cuts: tuple[float, ...] = (),
    ) -> float:  # fmt: skip
        """By the features of a stage."""
        return float(self.at(np.array([[prompts, tokens, pairs, decoding, context, past, *cuts]]))[0])

    def over(self, decoding: int, contexts: Array, seen: Sequence[Array] = ()) -> Array:
        """The same where all decode, over contexts that rise, and what is seen of them by cut."""
        return self.at(decoding_at(self.features, decoding, contexts, seen))

    def slope(self, line: Line) -> float | None:
        """Seconds that each stage takes more, where all programs hold the first and the last, on straight lines.

        Each step has one longest row, then, and the program that is the fastest at both ends is so between them.
        """
        if self._bent:
            return None
        ends = np.array([0.0, line.more])
        seen = [keys + by * ends for keys, by in zip(line.seen, line.rising, strict=True)]
        x = self._extended(decoding_at(self.features, line.decoding, line.context + line.decoding * ends, seen))
        busy = _product(self._rows, x)
        longest = np.maximum.reduceat(busy, self._first_row)
        times = self._held(x, self._summed(longest))
        fastest = np.minimum.reduceat(times, self._first_program)
        if not (_stays(busy, longest, self._first_row) and _stays(times, fastest, self._first_program)):
            return None
        if np.isinf(times).any():
            return None
        first, last = sum(fastest, start=np.zeros(2))
        return float(last - first) / line.more

    def at(self, features: Array) -> Array:
        """Seconds of stages, shape (stages, features): of each the same bits, whatever others are beside it."""
        x = self._extended(features)
        longest = np.maximum.reduceat(_product(self._rows, x), self._first_row)
        for step, resource, units in self._bent:
            np.maximum(longest[step], resource.seconds(_product(units[np.newaxis], x)[0]), out=longest[step])
        return sum(np.minimum.reduceat(self._held(x, self._summed(longest)), self._first_program), start=np.zeros(1))

    def _extended(self, features: Array) -> Array:
        """What rows are multiplied by, shape (1 + features, stages)."""
        rows = [np.ones((1, len(features))), features.T]
        if self.distinct is not None:
            rows.append(np.reshape(self.distinct(features[:, 1] + features[:, 3]), (1, -1)))
        return np.concatenate(rows)

    def _summed(self, longest: Array) -> Array:
        """(programs, stages) seconds, by the longest row of each step."""
        summed: Array = np.add.reduceat(self._repeat * (self._latency + longest), self._first_step)
        return summed

    def _held(self, x: Array, times: Array) -> Array:
        """The times of programs, infinite of one that does not hold its block; of the last only where another does."""
        if len(times) == len(self._first_program):
            return times
        full: NDArray[np.bool_] = np.logical_or.reduceat(_product(self._needed, x) > self._room, self._first_buffer)
        full[self._last_program] &= ~np.logical_and.reduceat(full, self._first_program)
        times[full] = np.inf
        return times


def _product(rows: Array, x: Array) -> Array:
    """`rows @ x`, added up in the order of the features: so that none hangs on how many columns there are."""
    total = rows[:, :1] * x[:1]
    for feature in range(1, len(x)):
        if x[feature].any():
            total += rows[:, feature : feature + 1] * x[feature]
    return total


def _stays(each: Array, best: Array, firsts: Places) -> bool:
    """Whether one of each run is its best in all columns."""
    same = (each == np.repeat(best, np.diff(firsts, append=len(each)), axis=0)).all(axis=1)
    return bool(np.logical_or.reduceat(same, firsts).all())


def _rows(step: Step) -> tuple[Array, list[tuple[Resource, Array]]]:
    """Seconds of a step, as coefficients, at rates that do not bend, and what is demanded at others."""
    straight = [(r, c) for r, c in step.bounds if not isinstance(r.efficiency, Curve)]
    rows = np.array([c / r.rate(1.0) for r, c in straight])
    return rows[undominated(rows)], [(r, c) for r, c in step.bounds if isinstance(r.efficiency, Curve)]


def _buffers(program: Bounds) -> tuple[Array, Array]:
    """Bytes of the buffers of a program, as coefficients, and the most of each: of those that may be the first full."""
    used: NDArray[np.bool_] = np.any(program.buffers, axis=1)
    used[0] = True
    needed, room = program.buffers[used], program.room[used]
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = undominated(needed / room[:, np.newaxis])
    return needed[kept], room[kept]


def _firsts(lengths: Iterable[int]) -> Places:
    """Where runs of these lengths begin, one behind another."""
    firsts: Places = np.cumsum([0, *lengths])[:-1]
    return firsts


def _looked_at(deployment: Deployment, kind: Kind) -> Array:
    """Stages of a kind, few and many, short and long beside those that a deployment declares."""
    load = deployment.declared
    assert load is not None
    numbers, lengths = (1, load.sequences), (1, load.input, 8 * load.input)
    points = [
        alike(tokens, prompts, decoding, context, deployment.model.cuts)
        for tokens in lengths for prompts in (numbers if kind.prompts else (0,))
        for context in lengths for decoding in (numbers if kind.decoding else (0,))
    ]  # fmt: skip
    return np.array(points)
