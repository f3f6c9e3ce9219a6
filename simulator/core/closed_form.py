"""The closed form: how long a plan takes, for one machine or for a million design points at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.core.activity import Activity
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
    contended = _contended(plan)
    points = _points(plan)
    if points is None:
        return Timing(float(_bound(plan, contended, slice(None), {})), not contended)
    time = np.empty(points)
    for start in range(0, points, CHUNK):
        cut = slice(start, start + CHUNK)
        time[cut] = _bound(plan, contended, cut, {})
    return Timing(time, not contended)


def is_exact(plan: Plan) -> bool:
    """Whether the closed form of a plan is its longest path and no more: steps that may run at once share nothing."""
    return not _contended(plan)


def _contended(plan: Plan) -> set[int]:
    """The plan, and smaller plans in it, in which steps that may run at once meet on a resource."""
    return {id(inner) for inner in _plans(plan) if not _is_ordered(inner)}


def _points(plan: Plan) -> int | None:
    sizes = set()
    for activity, _ in plan.activities():
        parts = [activity.latency, *activity.demand.values()]
        parts += [part for r in activity.demand for part in (r.capacity, r.efficiency) if not isinstance(part, Curve)]
        sizes |= {part.size for part in parts if isinstance(part, np.ndarray) and part.ndim}
    if len(sizes) > 1:
        raise ValueError(f"plan {plan.name}: arrays of different numbers of design points: {sorted(sizes)}")
    return sizes.pop() if sizes else None


def _plans(plan: Plan) -> Iterator[Plan]:
    yield plan
    for step in plan.steps:
        if isinstance(step.work, Plan):
            yield from _plans(step.work)


def _bound(plan: Plan, contended: set[int], cut: slice, rates: dict[int, Any]) -> Any:
    """The longest path; in a plan whose branches meet, at least the busy seconds of each resource."""
    ends: list[Any] = []
    for work, after, repeat in plan.steps:
        once = _bound(work, contended, cut, rates) if isinstance(work, Plan) else _alone(work, cut, rates)
        took = once * repeat if repeat > 1 else once
        ends.append(took + _largest([ends[i] for i in after]) if after else took)
    busy = _busy(plan, cut, rates).values() if id(plan) in contended else ()
    return _largest([*ends, *busy])


def _alone(activity: Activity, cut: slice, rates: dict[int, Any]) -> Any:
    """`latency + max_r(demand_r / rate_r)`; scalars are gathered before any array is touched.

    Of resources that have one array of capacities (a tier and its port, say), the busiest alone is computed.
    """
    busy: list[Any] = []
    shared: dict[int, tuple[float, Resource]] = {}
    for resource, demand in activity.demand.items():
        factor = _factor(resource, demand)
        if factor is None:
            busy.append(_seconds(resource, demand, cut, rates))
        elif factor > shared.get(id(resource.capacity), (0.0,))[0]:
            shared[id(resource.capacity)] = factor, resource
    busy += [factor * _inverse(resource, cut, rates) for factor, resource in shared.values()]
    return _largest(busy) + _cut(activity.latency, cut)


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


def _busy(plan: Plan, cut: slice, rates: dict[int, Any]) -> dict[Resource, Any]:
    busy: dict[Resource, Any] = {}
    for activity, times in plan.activities():
        for resource, demand in activity.demand.items():
            busy[resource] = busy.get(resource, 0.0) + times * _seconds(resource, demand, cut, rates)
    return busy


def _largest(values: list[Any]) -> Any:
    scalar = max((v for v in values if not isinstance(v, np.ndarray)), default=0.0)
    arrays = [v for v in values if isinstance(v, np.ndarray)]
    if not arrays:
        return scalar
    largest = np.maximum(arrays[0], scalar) if scalar > 0 else arrays[0]
    for array in arrays[1:]:
        largest = np.maximum(largest, array)
    return largest


def _cut(value: Any, cut: slice) -> Any:
    return value[cut] if isinstance(value, np.ndarray) and value.ndim else value


def _is_ordered(plan: Plan) -> bool:
    """Whether no two steps of a plan that may run at once use the same resource.

    Steps stand in topological order, so the users of a resource are all ordered if each comes before the next one.
    """
    before: list[int] = []  # bit i of before[j]: step i ends before step j starts
    last_user: dict[Resource, int] = {}
    for index, (work, after, _) in enumerate(plan.steps):
        mask = 0
        for i in after:
            mask |= before[i] | 1 << i
        before.append(mask)
        for resource in work.demand() if isinstance(work, Plan) else work.demand:
            previous = last_user.get(resource)
            if previous is not None and not mask >> previous & 1:
                return False
            last_user[resource] = index
    return True
