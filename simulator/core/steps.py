"""Steps in a row whose demands change evenly from one to the next: their time together, for many points at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.activity import Activity
from simulator.core.closed_form import closed_form
from simulator.core.plan import Plan, Step
from simulator.core.resource import Curve, Quantity, Resource, plain

Array = NDArray[np.float64]
AGREES = 1e-8
"""Relative difference of two sums that count as equal; the finer one is closer by far."""
STRAIGHT = 1e-13
"""Relative distance from the chord of what counts as a straight line."""
CHUNK = 1 << 15  # points at a time


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps in a row, whose demands and latencies go evenly from those of the `first` to those of the `last`.

    Attributes:
        first, last: one plan, with the demands of either step.
        count: how many steps, both of them counted; may be 0, and an array of design points, as all quantities may.
    """

    first: Plan
    last: Plan
    count: Quantity

    def time(self) -> Quantity:
        """The sum of the closed forms of all steps, to 1e-8: `sum_i T(first + i / (count - 1) (last - first))`.

        What is alike in all steps is timed once. The others are summed as polynomials over whole numbers, in halves
        until two degrees agree: exact at once where time is linear.
        """
        same, others = Plan(self.first.name), list[tuple[Plan | Activity, Plan | Activity, int]]()
        for a, b, times in _chained(self.first, self.last):
            if _alike(a, b):
                same.add(a, repeat=times)
            else:
                others.append((a, b, times))
        total = self.count * closed_form(same).time
        for a, b, times in others:
            total = total + times * _summed(a, b, self.count)
        return total

    def demand(self) -> dict[Resource, Quantity]:
        """Total demand of all steps on each resource: `count (first + last) / 2`."""
        first, last = self.first.demand(), self.last.demand()
        return {resource: self.count * (first[resource] + last[resource]) / 2 for resource in first}


def even_steps(
    plan: Callable[[Quantity], Plan], start: Quantity, count: Quantity, bends: Sequence[float] = ()
) -> list[Steps]:
    """The steps `plan(start)`, `plan(start + 1)`, ... in runs whose demands change evenly.

    `bends`: where a demand may change its slope. Runs that are not even are halved until they are.
    """
    steps: list[Steps] = []
    end = start + count - 1
    for bend in (*sorted(bends), inf):
        last = np.minimum(end, bend)
        number = np.maximum(last - start + 1, 0)
        if np.any(number):
            steps += _even(plan, start, number)
        start = np.maximum(start, last + 1)
    return steps


def _even(plan: Callable[[Quantity], Plan], start: Quantity, count: Quantity) -> list[Steps]:
    length = np.maximum(count - 1, 0)
    first, last = plan(plain(start)), plan(plain(start + length))
    if np.max(count) <= 2 or _half_way(first, plan(plain(start + length / 2)), last):
        return [Steps(first, last, plain(count))]
    half = np.ceil(count / 2)
    return [*_even(plan, start, half), *_even(plan, start + half, count - half)]


def _half_way(first: Plan, middle: Plan, last: Plan) -> bool:
    """Whether each demand and latency of a plan is the mean of those of two others."""
    for (a, _), (m, _), (b, _) in zip(first.activities(), middle.activities(), last.activities(), strict=True):
        for low, half, high in zip(_figures(a), _figures(m), _figures(b), strict=True):
            if low is not high and not np.allclose((low + high) / 2, half, rtol=1e-9, atol=0):
                return False
    return True


def _chained(a: Plan, b: Plan, times: int = 1) -> Iterator[tuple[Plan | Activity, Plan | Activity, int]]:
    """What two plans of one shape do one after another, each with its repeats; a plan with branches as a whole."""
    if any(step.after != tuple(range(max(i - 1, 0), i)) for i, step in enumerate(a.steps)):
        yield a, b, times
        return
    for one, other in zip(a.steps, b.steps, strict=True):
        if isinstance(one.work, Plan) and isinstance(other.work, Plan):
            yield from _chained(one.work, other.work, times * one.repeat)
        else:
            yield one.work, other.work, times * one.repeat


def _alike(a: Plan | Activity, b: Plan | Activity) -> bool:
    return all(x is y or np.array_equal(x, y) for x, y in zip(_figures(a), _figures(b), strict=True))


def _activities(work: Plan | Activity) -> list[Activity]:
    return [activity for activity, _ in work.activities()] if isinstance(work, Plan) else [work]


def _figures(work: Plan | Activity) -> list[Quantity]:
    """All latencies and demands."""
    return [figure for each in _activities(work) for figure in (each.latency, *each.demand.values())]


def _summed(a: Plan | Activity, b: Plan | Activity, count: Quantity) -> Quantity:
    """The time of `count` steps from a to b."""
    arrays = [q for q in (count, *_figures(a), *_figures(b), *_rates(a)) if np.ndim(q)]
    total = np.zeros(np.size(arrays[0]) if arrays else 1)
    for start in range(0, len(total), CHUNK):
        some = _Points(a, b, count, np.arange(start, min(start + CHUNK, len(total))))
        some.add_all(total)
    return total if arrays else float(total[0])


class _Points:
    """Some of the points: the work between a and b, with the figures of these points."""

    def __init__(self, a: Plan | Activity, b: Plan | Activity, count: Quantity, rows: NDArray[np.int64]) -> None:
        self.a, self.b, self.count, self.rows = a, b, count, rows
        self._cut: dict[int, Any] = {}
        self._resources: dict[Resource, Resource] = {}

    def add_all(self, total: Array) -> None:
        """Add the time of all steps to the total of each point, between the knots of its efficiency curves."""
        count = self._of(self.count)
        low: Quantity = 0.0
        for knot in (*self._knots(count), inf):
            high = np.minimum(count - 1, np.floor(knot))
            begun = np.broadcast_to(high >= low, len(self.rows))
            if begun.any():
                some, left = self.those(begun)
                first, last = left(low), left(high)
                some.add(total, first, last, some.at(first), some.at(last))
            low = np.maximum(low, high + 1)

    def _knots(self, count: Quantity) -> list[Quantity]:
        """The steps at which a demand reaches a size of its resource's curve, in order."""
        if isinstance(self.a, Plan) or isinstance(self.b, Plan):
            return []
        knots: list[Quantity] = []
        for (resource, first), last in zip(self.a.demand.items(), self.b.demand.values(), strict=True):
            if isinstance(resource.efficiency, Curve) and first is not last:
                low, slope = self._of(first), (self._of(last) - self._of(first)) / np.maximum(count - 1, 1)
                step = 1 / np.where(slope == 0, inf, slope)
                knots += [np.clip((size - low) * step, -1, count) for size in resource.efficiency.sizes]
        return list(np.sort(np.stack(np.broadcast_arrays(*knots)), axis=0)) if knots else []

    def add(self, total: Array, low: Quantity, high: Quantity, begin: Array, end: Array) -> None:
        """Add the time of the steps from low, which takes `begin`, to high, which takes `end`.

        Of a polynomial through them and the step half way, then through two more, or else of both halves: with u from
        -1 to 1 over n whole numbers, the means of u^2 and u^4 are (n + 1) / (3 (n - 1)) and (n + 1) (3 n^2 - 7) /
        (15 (n - 1)^3).
        """
        number, middle = high - low + 1, self.at((low + high) / 2)
        before = np.maximum(number - 1, 1)
        second, fourth = (number + 1) / (3 * before), (number + 1) * (3 * number**2 - 7) / (15 * before**3)
        bend = (begin + end) / 2 - middle
        time = number * (middle + bend * second)
        done = (number <= 3) | (np.abs(bend) <= STRAIGHT * middle)
        total[self.rows[done]] += time[done]
        if done.all():
            return
        some, left = self.those(~done)
        low, high, begin, end, middle, bend, time, number, second, fourth = (
            left(each) for each in (low, high, begin, end, middle, bend, time, number, second, fourth)
        )
        quarters = (some.at(low + (high - low) / 4) + some.at(high - (high - low) / 4)) / 2 - middle
        more = 4 * (bend - 4 * quarters) / 3
        finer = number * (middle + (bend - more) * second + more * fourth)
        good = np.abs(finer - time) <= AGREES * finer
        total[some.rows[good]] += finer[good]
        if not good.all():
            rest, left = some.those(~good)
            low, high, begin, end = (left(each) for each in (low, high, begin, end))
            cut = np.floor((low + high) / 2)
            rest.add(total, low, cut, begin, rest.at(cut))
            rest.add(total, cut + 1, high, rest.at(cut + 1), end)

    def those(self, where: NDArray[np.bool_]) -> tuple[_Points, Callable[[Any], Any]]:
        """Some of these points, and what takes their part of an array of these."""
        if where.all():
            return self, lambda each: each
        return _Points(self.a, self.b, self.count, self.rows[where]), lambda each: _at(each, where)

    def at(self, step: Quantity) -> Array:
        """Seconds of one step of each point."""
        share = step / np.maximum(self._of(self.count) - 1, 1)
        return np.broadcast_to(closed_form(self._plan(share)).time, len(self.rows))

    def _plan(self, share: Quantity) -> Plan:
        last = iter(_activities(self.b))

        def between(first: Activity) -> Activity:
            pairs = zip(first.demand.items(), (other := next(last)).demand.values(), strict=True)
            demand = {self._resource(resource): self._between(low, high, share) for (resource, low), high in pairs}
            return replace(first, demand=demand, latency=self._between(first.latency, other.latency, share))

        return (self.a if isinstance(self.a, Plan) else Plan(self.a.name, [Step(self.a, (), 1)])).mapped(between)

    def _between(self, low: Quantity, high: Quantity, share: Quantity) -> Quantity:
        here: Quantity = self._of(low)
        return here if low is high else here + (self._of(high) - here) * share

    def _resource(self, resource: Resource) -> Resource:
        if resource not in self._resources:
            changed: dict[str, Any] = {"capacity": self._of(resource.capacity)}
            changed["efficiency"] = self._of(resource.efficiency)
            self._resources[resource] = replace(resource, **changed)
        return self._resources[resource]

    def _of(self, quantity: Any) -> Any:
        """A figure of these points; one array for all that share one."""
        if not (isinstance(quantity, np.ndarray) and quantity.ndim):
            return quantity
        if id(quantity) not in self._cut:
            self._cut[id(quantity)] = quantity[self.rows]
        return self._cut[id(quantity)]


def _at(quantity: Any, where: NDArray[np.bool_]) -> Any:
    return quantity[where] if np.ndim(quantity) else quantity


def _rates(work: Plan | Activity) -> list[Array]:
    """The arrays of design points among the rates of a plan."""
    parts = (part for each in _activities(work) for r in each.demand for part in (r.capacity, r.efficiency))
    return [part for part in parts if isinstance(part, np.ndarray) and part.ndim]
