"""The forward passes of a static batch as plans: the prefill, and a decode step over any context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.core import Plan, Quantity
from simulator.core.resource import plain
from simulator.mapping.dispatch import dispatched
from simulator.mapping.lowering import compiled
from simulator.mapping.runtime.host_time import NO_HOST, Host
from simulator.mapping.target import Target
from simulator.workload import Batch, Model, operator_graph


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


class Lowers(Protocol):
    """What lowers passes of a model, and of another one that drafts for it."""

    def plan(self, model: Model, batch: Batch) -> Plan:
        """One forward pass."""

    def compiled(self, model: Model, batch: Callable[[], Batch]) -> Lowers:
        """The same for all sizes of a batch."""


@dataclass(frozen=True, eq=False)
class Lowering:
    """The engines that share each pass of a model, and the dispatch policy that gives each its part.

    `together`: whether engines of one device run at once. `host`: what drives each pass.
    """

    engines: tuple[Target, ...]
    dispatch: str = "xpu_only"
    together: bool = False
    host: Host = NO_HOST

    def plan(self, model: Model, batch: Batch) -> Plan:
        """One forward pass, block after block, identical layers folded, with the host that drives it."""
        plan = Plan(model.name)
        spread = self.engines[0].spread
        routing = spread.routing(model) if spread else None
        for block in operator_graph(model, self.engines[0].share(batch), routing).blocks:
            plan.add(dispatched(self.engines, block, self.dispatch, self.together))
        return self.host.driving(plan, model.layers, batch)

    def compiled(self, model: Model, batch: Callable[[], Batch]) -> Lowering:
        """The same, with programs for all sizes of a batch, where its engine compiles any."""
        runs_on = (compiled(engine, lambda: operator_graph(model, batch()).blocks) for engine in self.engines)
        return replace(self, engines=tuple(runs_on))


def step_contexts(input: int, output: int, tokens: float = 1.0) -> NDArray[np.float64]:
    """Context of each of the `ceil((output - 1) / tokens)` steps: `input + i tokens`; of the next one where none is."""
    return input + tokens * np.arange(max(ceil((output - 1) / tokens), 1), dtype=np.float64)


def mean_context(input: Quantity, output: Quantity) -> Quantity:
    """The mean context of all decode steps, `input + (output - 2) / 2`; that of the next one where none is."""
    return plain(input + np.maximum(output - 2, 0) / 2)
