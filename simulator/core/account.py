"""What plans take: which resource binds them, what each resource serves, and the energy of that.

Quantities may be arrays of design points, as everywhere in `core`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from simulator.core.activity import Activity
from simulator.core.plan import Plan
from simulator.core.resource import Quantity, Resource

LATENCY = "latency"


@dataclass(frozen=True)
class Bound:
    """An activity in a plan: it runs `times` times, `time` seconds each; `bound_by` is None for latency alone."""

    activity: Activity
    times: int
    time: float
    bound_by: Resource | None

    @property
    def longest(self) -> str:
        """What takes most of its time: the resource that binds it, or `latency`."""
        latency = float(self.activity.latency)
        return self.bound_by.name if self.bound_by and self.time - latency >= latency else LATENCY


@dataclass(frozen=True)
class Term:
    """One term of an energy: `count * amount * each` joules.

    Attributes:
        name: the resource.
        count: copies of it.
        amount: what one copy served: bytes, engine-seconds; of a static power, the seconds that it was drawn.
        each: J a unit (W for seconds); None where the machine gives no figure.
    """

    name: str
    count: int
    amount: Quantity
    each: Quantity | None

    @property
    def joules(self) -> Quantity | None:
        return None if self.each is None else self.count * self.amount * self.each


def energy(demand: Mapping[Resource, Quantity], replicas: int = 1) -> tuple[Term, ...]:
    """The energy of what is demanded, resource by resource: `count x demand x energy a unit`.

    A static power is a resource too, of which its time is demanded in seconds (`hardware/energy.py`). What serves
    nothing, and what costs nothing, is no term.

    Args:
        demand: units of one copy of each resource; those of one name, one for each pipeline stage, are one term.
        replicas: how many times all of it is done side by side, each on copies of its own.
    """
    return tuple(
        Term(name, resource.count * replicas, units, resource.energy)
        for name, (resource, units) in _by_name(demand).items()
        if np.any(units) and (resource.energy is None or np.any(resource.energy))
    )


def joules(terms: Iterable[Term]) -> Quantity | None:
    """Joules of all terms together; None where the machine lacks the figure of one."""
    total: Quantity = 0.0
    for term in terms:
        if term.joules is None:
            return None
        total = total + term.joules
    return total


def traffic(demand: Mapping[Resource, Quantity]) -> dict[str, Quantity]:
    """What all copies of a resource serve, by its name: `count x demand`, bytes of tiers, ports and links."""
    return {name: resource.count * units for name, (resource, units) in _by_name(demand).items()}


def over_steps(runs: Iterable[tuple[Plan, int]]) -> dict[Resource, float]:
    """Total demand of plans that each stand for so many steps: a demand is an array over them, or alike in each."""
    total: dict[Resource, float] = {}
    for plan, steps in runs:
        for resource, units in plan.demand().items():
            total[resource] = total.get(resource, 0.0) + summed(units, steps)
    return total


def summed(quantity: Quantity, steps: int) -> float:
    """The sum over steps of a quantity that is an array over them, or alike in each."""
    return float(np.sum(np.broadcast_to(quantity, steps)))


def busy(plan: Plan, seconds: Callable[[Resource, Quantity], Any] = Resource.seconds) -> dict[Resource, Quantity]:
    """Seconds that each resource is busy with a plan, where it is so many with a demand (`Resource.seconds`)."""
    total: dict[Resource, Quantity] = {}
    for activity, times in plan.activities():
        for resource, demand in activity.demand.items():
            total[resource] = total.get(resource, 0.0) + times * seconds(resource, demand)
    return total


def binding(plan: Plan) -> dict[str, Quantity]:
    """Seconds during which each resource binds a plan, by its name, and of `latency`.

    In each activity the resource with the most busy seconds binds for as long, and its latency for itself. Steps that
    run at once count one by one, so that the sum may be more than the time of the plan.
    """
    seconds: dict[str, Quantity] = {}
    for activity, times in plan.activities():
        for name, time in (*((r.name, s) for r, s in binds(activity).items()), (LATENCY, activity.latency)):
            seconds[name] = seconds.get(name, 0.0) + time * times
    return seconds


def bound_by(plan: Plan) -> Any:
    """The name of what binds a plan longest, a resource or `latency`; of design points, an object array of names."""
    seconds = binding(plan)
    if all(np.ndim(each) == 0 for each in seconds.values()):
        return max(seconds, key=lambda name: float(seconds[name]), default=LATENCY)
    names = np.array([*seconds], dtype=object)
    return names[np.stack(np.broadcast_arrays(*seconds.values())).argmax(axis=0)]


def binds(activity: Activity) -> dict[Resource, Quantity]:
    """Seconds during which each resource binds an activity: all those of the busiest, the first of equals.

    Of design points, the busy seconds of each resource where it is the busiest, and 0 elsewhere.
    """
    seconds = activity.seconds()
    if len(seconds) < 2:
        return seconds
    if all(np.ndim(each) == 0 for each in seconds.values()):
        first = max(seconds, key=lambda resource: float(seconds[resource]))
        return {first: seconds[first]}
    most, free = reduce(np.maximum, seconds.values()), np.True_
    bound: dict[Resource, Quantity] = {}
    for resource, each in seconds.items():
        here = free & (each == most)
        bound[resource], free = np.where(here, each, 0.0), free & ~here
    return bound


def breakdown(plan: Plan) -> list[Bound]:
    """Each activity of a scalar plan with the resource that binds it."""
    bounds = []
    for activity, times in plan.activities():
        bound_by, time = next(iter(binds(activity).items()), (None, 0.0))
        bounds.append(Bound(activity, times, float(activity.latency) + float(time), bound_by))
    return bounds


def _by_name(demand: Mapping[Resource, Quantity]) -> dict[str, tuple[Resource, Quantity]]:
    """Resources of one name together."""
    named: dict[str, tuple[Resource, Quantity]] = {}
    for resource, units in demand.items():
        before = named[resource.name][1] if resource.name in named else 0.0
        named[resource.name] = resource, before + units
    return named
