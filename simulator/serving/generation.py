"""The generation of a static batch: one prefill, then a decode step for each further token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray

from simulator.core import Activity, Plan, Quantity, Resource, closed_form, paced
from simulator.core.account import over_steps
from simulator.core.resource import plain
from simulator.mapping.lowering import compiled, model_plan
from simulator.mapping.pipeline_parallel import Replica, decode_plan, forward_plan
from simulator.mapping.spill import Spill
from simulator.mapping.target import Target
from simulator.workload import Model, decode, operator_graph, prefill


@dataclass(frozen=True, eq=False)
class Passes:
    """What serves a static batch, as plans: engines compile once for all contexts of its steps (`step_contexts`).

    Attributes:
        lower_first: lowers the prefill, which gives each prompt its first token.
        step: one decode step over so many tokens of context; may be an array, then the plan's demands are. What a
            context takes does not depend on which others are in the array.
        tokens: what a step gives each sequence on average.
    """

    lower_first: Callable[[], Plan]
    step: Callable[[Quantity], Plan]
    tokens: float = 1.0

    @cached_property
    def first(self) -> Plan:
        """The prefill, lowered when it is used."""
        return self.lower_first()


@dataclass(frozen=True, eq=False)
class Generation:
    """Plans and times of a static batch.

    Attributes:
        prefill: computes the prompts, and gives each its first token.
        steps: the decode steps, step i = 0, 1, ... over `input + i` tokens of context (of those that give more than
            one token, so many more each): one plan whose demands are arrays with one element a step; None where one
            token is all.
        ttft: seconds of the prefill.
        step_times: seconds of each step.
    """

    prefill: Plan
    steps: Plan | None
    ttft: float
    step_times: NDArray[np.float64]

    @property
    def seconds(self) -> float:
        """From the start to the last token."""
        return self.ttft + float(np.sum(self.step_times))

    def demand(self) -> dict[Resource, float]:
        """Total demand of the prefill and all steps."""
        return over_steps([(self.prefill, 1), *([(self.steps, len(self.step_times))] if self.steps else [])])

    def activity(self, name: str) -> Activity:
        """The whole generation as one activity: its time, and its total demands spread over it."""
        return paced(name, self.seconds, self.demand())


def generate(target: Target, model: Model, batch: int, input: int, output: int) -> Generation:
    """Lower and time a batch of `batch` prompts of `input` tokens, with `output` tokens for each, in closed form."""
    return generated(tensor_parallel(target, model, batch, input, output), input, output)


def step_contexts(input: int, output: int, tokens: float = 1.0) -> NDArray[np.float64]:
    """Context of each of the `ceil((output - 1) / tokens)` steps: `input + i tokens`; of the next one where none is."""
    return input + tokens * np.arange(max(ceil((output - 1) / tokens), 1), dtype=np.float64)


def mean_context(input: Quantity, output: Quantity) -> Quantity:
    """The mean context of all decode steps, `input + (output - 2) / 2`; that of the next one where none is."""
    return plain(input + np.maximum(output - 2, 0) / 2)


def tensor_parallel(target: Target, model: Model, batch: int, input: int, output: int) -> Passes:
    """All devices of a target share each pass."""
    steps = compiled(target, lambda: operator_graph(model, decode(batch, step_contexts(input, output))).blocks)
    return Passes(
        lambda: model_plan(target, model, prefill(batch, input)),
        lambda context: model_plan(steps, model, decode(batch, context)),
    )


def spilling(found: Spill, model: Model, batch: int, input: int) -> Passes:
    """All devices share each pass, and read from a second tier what main memory cannot hold (`mapping/spill.py`)."""
    first, later = operator_graph(model, prefill(batch, input)), len(found.uses) - 1
    return Passes(
        lambda: found.lowered(0, first, model.name),
        lambda context: found.lowered(later, operator_graph(model, decode(batch, context)), model.name),
    )


def pipelined(replica: Replica, model: Model, batch: int, input: int, output: int) -> Passes:
    """The batch of one replica in microbatches that pass through its stages (`mapping/pipeline_parallel.py`)."""
    microbatches = replica.microbatches(batch)
    each = batch // microbatches
    steps = replica.compiled(model, decode(each, step_contexts(input, output)))
    return Passes(
        lambda: forward_plan(replica, model, prefill(each, input), microbatches),
        lambda context: decode_plan(steps, model, decode(each, context), microbatches),
    )


def generated(passes: Passes, input: int, output: int) -> Generation:
    """Time the prefill, and the steps each over its own context, in closed form."""
    steps, times = None, np.empty(0)
    if output > 1:
        contexts = step_contexts(input, output, passes.tokens)
        steps = passes.step(contexts)
        times = np.array(np.broadcast_to(closed_form(steps).time, contexts.shape))
    return Generation(passes.first, steps, float(closed_form(passes.first).time), times)
