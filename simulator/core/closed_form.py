"""The closed form: how long a plan takes, for one machine or for a million design points at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.core.account import busy
from simulator.core.activity import Activity
from simulator.core.fold import contended, fold, largest
from simulator.core.plan import Plan
from simulator.core.resource import Curve, Quantity, Resource

CHUNK = 8192  # design points at a time: the working set of a plan stays in the L2 cache


@dataclass(frozen=True)
class Timing:
    """Seconds, and whether they are exact or a lower bound (parallel branches meet on a resource)."""

    time: Quantity
    exact: bool


def closed_form(plan: Plan) -> Timing:
    """Time of a plan: its longest path, each activity at `latency + max_r(demand_r / (efficiency_r capacity_r))`.

    Exact where steps that may run at once share no resource. Elsewhere a lower bound: of each plan and smaller plan in
    it, the larger of its longest path and of each resource's busy seconds. Capacities, demands, efficiencies and
    latencies may be arrays of one length n, one element a design point; the time then has the shape (n,).
    """
    crossed = contended(plan)
    points = _points(plan)
    if points is None:
        return Timing(float(_bound(plan, crossed, slice(None))), not crossed)
    time = np.empty(points)
    for start in range(0, points, CHUNK):
        cut = slice(start, start + CHUNK)
        time[cut] = _bound(plan, crossed, cut)
    return Timing(time, not crossed)


def alone(activity: Activity) -> Quantity:
    """Seconds of one activity on an idle machine, its latency with them."""
    seconds: Quantity = _alone(activity, slice(None), {})
    return seconds


def _points(plan: Plan) -> int | None:
    sizes = set()
    for activity, _ in plan.activities():
        parts = [activity.latency, *activity.demand.values()]
        parts += [part for r in activity.demand for part in (r.capacity, r.efficiency) if not isinstance(part, Curve)]
        sizes |= {part.size for part in parts if isinstance(part, np.ndarray) and part.ndim}
    if len(sizes) > 1:
        raise ValueError(f"plan {plan.name}: arrays of different numbers of design points: {sorted(sizes)}")
    return sizes.pop() if sizes else None


def _bound(plan: Plan, crossed: set[int], cut: slice) -> Any:
    """The longest path; in a plan whose branches meet, at least the busy seconds of each resource."""
    rates: dict[int, Any] = {}  # of the resources, inverted

    def seconds(resource: Resource, demand: Quantity) -> Any:
        return _seconds(resource, demand, cut, rates)

    return fold(
        plan,
        lambda activity: _alone(activity, cut, rates),
        largest,
        lambda one: busy(one, seconds).values() if id(one) in crossed else (),
    )


def _alone(activity: Activity, cut: slice, rates: dict[int, Any]) -> Any:
    """`latency + max_r(demand_r / rate_r)`; scalars are gathered before any array is touched.

    Of resources that have one array of capacities (a tier and its port, say), the busiest alone is computed.
    """
    seconds: list[Any] = []
    shared: dict[int, tuple[float, Resource]] = {}
    for resource, demand in activity.demand.items():
        factor = _factor(resource, demand)
        if factor is None:
            seconds.append(_seconds(resource, demand, cut, rates))
        elif factor > shared.get(id(resource.capacity), (0.0,))[0]:
            shared[id(resource.capacity)] = factor, resource
    seconds += [factor * _inverse(resource, cut, rates) for factor, resource in shared.values()]
    return largest(seconds) + _cut(activity.latency, cut)


def _factor(resource: Resource, demand: Quantity) -> float | None:
    """`demand / efficiency`, where both are numbers and the capacity is an array of design points; else None."""
    if isinstance(demand, np.ndarray) or not isinstance(resource.capacity, np.ndarray):
        return None
    efficiency = resource.efficiency
    fraction = efficiency.at(demand) if isinstance(efficiency, Curve) else efficiency
    return None if isinstance(fraction, np.ndarray) else float(demand / fraction)


def _seconds(resource: Resource, demand: Quantity, cut: slice, rates: dict[int, Any]) -> Any:
    factor = _factor(resource, demand)
    if factor is not None:
        return factor * _inverse(resource, cut, rates)
    demand = _cut(demand, cut)
    efficiency = resource.efficiency
    fraction = efficiency.at(demand) if isinstance(efficiency, Curve) else _cut(efficiency, cut)
    return demand / fraction * _inverse(resource, cut, rates)


def _inverse(resource: Resource, cut: slice, rates: dict[int, Any]) -> Any:
    """`1 / capacity`, once for all that share an array of capacities."""
    key = id(resource.capacity)
    if key not in rates:
        rates[key] = 1.0 / _cut(resource.capacity, cut)
    return rates[key]


def _cut(value: Any, cut: slice) -> Any:
    return value[cut] if isinstance(value, np.ndarray) and value.ndim else value
