"""What is a faster part worth? The percent of time for a percent of each resource, exact from the closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.core import Activity, Plan, Resource
from simulator.core.account import LATENCY, busy
from simulator.core.fold import contended, fold

TIE = 1e-4
Array: TypeAlias = NDArray[np.float64]
"""Seconds for each direction: of shape (2, names), a row for less and one for more."""


class Elasticity(NamedTuple):
    """`d ln(time) / d ln(capacity)` as the capacity falls, and as it rises; the two differ at a tie alone."""

    below: float
    above: float


@dataclass(frozen=True, eq=False)
class _Timed:
    """Seconds, and how they grow a unit of each direction."""

    seconds: float
    grows: Array

    def __add__(self, other: _Timed) -> _Timed:
        return _Timed(self.seconds + other.seconds, self.grows + other.grows)

    def __mul__(self, repeat: int) -> _Timed:
        return _Timed(self.seconds * repeat, self.grows * repeat)


def elasticities(
    plan: Plan, tie: float = TIE, name: Callable[[Resource], str] = attrgetter("name")
) -> dict[str, Elasticity]:
    """Elasticity of a plan's time to each resource by name, and of `latency`, to all latencies together.

    Time is made of sums and maxima of `latency + demand_r / (efficiency_r capacity_r)` (`closed_form`). Along a
    direction the derivative of a sum is that of its terms, and that of a maximum is the largest among those of the
    terms that reach it; so, with T the time, `e_r = -(seconds on the longest path that r binds) / T`, and of a
    contended plan bound by r, `-(busy seconds of r) / T`. The efficiency of a demand's size does not depend on
    capacity. Terms within `tie` of the largest, relatively, reach it too, and then the one-sided values differ:
    `below` for a capacity that falls, `above` for one that rises. Where there is no tie,
    `sum_r e_r - e_latency = -1`: T is homogeneous (Euler).

    Resources that `name` calls the same change together, so that `name` may give the part of the machine that
    several resources are made from.

    Raises:
        ValueError: a plan that takes no time, or whose figures are arrays of design points.
    """
    parts = [activity for activity, _ in plan.activities()]
    if any(np.ndim(figure) for part in parts for figure in (part.latency, *part.seconds().values())):
        raise ValueError(f"plan {plan.name}: elasticities are of one design point, found arrays of them")
    names = list(dict.fromkeys(name(resource) for part in parts for resource in part.demand))
    place = {n: i for i, n in enumerate(names)}
    timed = _timed(plan, lambda resource: place[name(resource)], len(names) + 1, tie)
    if not timed.seconds > 0:
        raise ValueError(f"plan {plan.name}: takes no time, so nothing makes it faster")
    below, above = (timed.grows / timed.seconds).tolist()
    each = {n: Elasticity(0.0 - below[i], above[i] + 0.0) for i, n in enumerate([*names, LATENCY])}
    return dict(sorted(each.items(), key=lambda item: min(-abs(value) for value in item[1])))


def _timed(plan: Plan, place: Callable[[Resource], int], size: int, tie: float) -> _Timed:
    """The closed form with its derivatives: the longest path, or the busiest resource."""
    crossed = contended(plan)

    def at_work(one: Plan) -> list[_Timed]:
        held = busy(one) if id(one) in crossed else {}
        return [_kept_busy(float(seconds), place(resource), size) for resource, seconds in held.items()]

    return fold(
        plan, lambda activity: _alone(activity, place, size, tie), lambda terms: _largest(terms, size, tie), at_work
    )


def _alone(activity: Activity, place: Callable[[Resource], int], size: int, tie: float) -> _Timed:
    """`latency + max_r(demand_r / rate_r)`; latency is the last direction."""
    busy = [_kept_busy(seconds, place(r), size) for r, seconds in activity.seconds().items()]
    bound, latency = _largest(busy, size, tie), float(activity.latency)
    grows = bound.grows.copy()
    grows[:, -1] += [-latency, latency]
    return _Timed(latency + bound.seconds, grows)


def _kept_busy(seconds: float, direction: int, size: int) -> _Timed:
    """Seconds of one resource: more as its capacity falls, and less as it rises."""
    grows = np.zeros((2, size))
    grows[:, direction] = seconds, -seconds
    return _Timed(float(seconds), grows)


def _largest(terms: Sequence[_Timed], size: int, tie: float) -> _Timed:
    """The maximum of terms; in each direction it grows as the fastest of those that reach it, stretched to meet it."""
    seconds = max((term.seconds for term in terms), default=0.0)
    if seconds == 0:
        return _Timed(0.0, np.zeros((2, size)))
    reach = [term.grows * (seconds / term.seconds) for term in terms if term.seconds >= seconds * (1 - tie)]
    return _Timed(seconds, np.maximum.reduce(reach))
