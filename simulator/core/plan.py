"""A plan: activities and their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

import numpy as np

from simulator.core.activity import Activity, add
from simulator.core.resource import Quantity, Resource


class Step(NamedTuple):
    """One node of a plan: `work`, done `repeat` times in a row once the steps `after` have ended."""

    work: Activity | Plan
    after: tuple[int, ...]
    repeat: int


@dataclass(eq=False)
class Plan:
    """A directed acyclic graph of activities and smaller plans.

    A step names only steps added before it, so the steps stand in a topological order and no cycle can be written.
    """

    name: str = "plan"
    steps: list[Step] = field(default_factory=list)

    def add(self, work: Activity | Plan, after: Sequence[int] | None = None, repeat: int = 1) -> int:
        """Add a step and return its index. `after=None`: after the step added last; `()`: at the start.

        Raises:
            ValueError: an index that is not of an earlier step, or a repeat below 1.
        """
        index = len(self.steps)
        before = tuple(range(max(index - 1, 0), index)) if after is None else tuple(after)
        if any(not 0 <= i < index for i in before):
            raise ValueError(f"plan {self.name}: step {index} must come after earlier steps, found {before}")
        if repeat < 1:
            raise ValueError(f"plan {self.name}: step {index} must be done at least once, found repeat {repeat}")
        self.steps.append(Step(work, before, repeat))
        return index

    def mapped(self, change: Callable[[Activity], Activity]) -> Plan:
        """A plan of the same order, with each activity changed."""
        return Plan(
            self.name,
            [
                Step(work.mapped(change) if isinstance(work, Plan) else change(work), after, repeat)
                for work, after, repeat in self.steps
            ],
        )

    def scaled(self, factor: Quantity) -> Plan:
        """The plan with all demands and latencies times a factor: at points at which that is 0, nothing is done."""
        return self.mapped(lambda activity: activity.scaled(factor))

    def activities(self, times: int = 1) -> Iterator[tuple[Activity, int]]:
        """Each activity with how often it runs in all, folded repeats multiplied out."""
        for step in self.steps:
            if isinstance(step.work, Plan):
                yield from step.work.activities(times * step.repeat)
            else:
                yield step.work, times * step.repeat

    def demand(self) -> dict[Resource, Quantity]:
        """Total demand on each resource, in its unit."""
        total: dict[Resource, Quantity] = {}
        for activity, times in self.activities():
            add(total, activity.demand, times)
        return total


def point(plan: Plan, index: int) -> Plan:
    """The plan of one point, where demands, latencies and private limits are arrays of points: what events can run.

    An activity that stands in the plan more than once is one there too.
    """
    resources: dict[Resource, Resource] = {}

    def at(quantity: Quantity) -> float:
        return float(quantity[index] if isinstance(quantity, np.ndarray) and quantity.ndim else quantity)

    def scalar(resource: Resource) -> Resource:
        if resource not in resources:
            arrays = np.ndim(resource.capacity)
            resources[resource] = replace(resource, capacity=at(resource.capacity)) if arrays else resource
        return resources[resource]

    @cache
    def one(activity: Activity) -> Activity:
        demand = {scalar(resource): at(units) for resource, units in activity.demand.items()}
        return replace(activity, demand=demand, latency=at(activity.latency))

    return plan.mapped(one)
