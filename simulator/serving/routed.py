"""The routed experts of stages, as the engines of a deployment share them: their seconds and demands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.core import Activity, Quantity, Resource
from simulator.core.closed_form import alone
from simulator.core.fold import largest
from simulator.mapping.deployment import Deployment
from simulator.mapping.two_engines.expert_costs import Costs, Counts, Here, across, held, stack_sum, sums_stacks
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Routed:
    """The tokens of each expert in some stages, and which engine runs it.

    An engine runs its experts grouped or one by one (`mapping/two_engines/expert_costs.py`); where two share them, both
    engines at once or in turn; then the high engine adds up what the stacks of an engine in the memory have each made.

    Attributes:
        counts: tokens of the experts of each group of devices, shape (stages, layers, groups, experts).
        on_low: which of them the engine of low Op/B runs: one by one, or all or none.
        high, low: what experts cost on either engine.
    """

    deployment: Deployment
    counts: Counts
    on_low: Here
    high: Costs
    low: Costs

    @cached_property
    def seconds(self) -> Array:
        """Of each stage, all layers together; in each layer the slowest group of devices counts.

        Engines work at once or in turn, and what the stacks have made is added up when all have ended.
        """
        loads = [np.asarray(engine.time(self.counts, here)) for engine, here in self._engines]
        parts = loads if self.deployment.together else [sum(loads[1:], loads[0])]
        of_layers = largest([across(np.maximum, part) for part in parts])
        if self._sums_stacks:
            rows = across(np.maximum, across(np.add, held(self.counts, self.on_low), np.int64))
            of_layers = of_layers + alone(self._stack_sum(rows))
        total: Array = of_layers.sum(axis=-1)
        return total

    @cached_property
    def whole_demand(self) -> dict[Resource, float]:
        """Of all stages and layers together, as of one device of each node."""
        return self.demand(slice(None))

    def demand(self, stages: slice) -> dict[Resource, float]:
        """Of some of the stages, all layers together, as of one device of each node."""
        counts = self.counts[stages]
        total: dict[Resource, float] = {}
        demands: list[Mapping[Resource, Quantity]] = [
            e.total(counts, here if isinstance(here, bool) else here[stages]) for e, here in self._engines
        ]
        if self._sums_stacks:
            rows = float(held(counts, self.on_low if isinstance(self.on_low, bool) else self.on_low[stages]).sum())
            demands.append(self._stack_sum(rows).demand)
        for demand in demands:
            for resource, units in demand.items():
                each = self.deployment.expert_ways * float(units) / resource.count
                total[resource] = total.get(resource, 0.0) + each
        return total

    @property
    def _engines(self) -> list[tuple[Costs, Here]]:
        """The engines that run any, and which."""
        if isinstance(self.on_low, bool):
            return [(self.low if self.on_low else self.high, True)]
        return [(self.high, ~self.on_low), (self.low, self.on_low)]

    @property
    def _sums_stacks(self) -> bool:
        return self.on_low is not False and sums_stacks(self.deployment.high, self.deployment.low)

    def _stack_sum(self, rows: Quantity) -> Activity:
        """What the stacks of the low engine have each made of `rows` tokens, added up."""
        model = self.deployment.model
        made = rows * model.hidden * BYTES_PER_ELEMENT[model.dtypes.activations]
        return stack_sum(self.deployment.high, self.deployment.low, made)
