"""A plan whose demands are affine in a few features: lowered once, then timed for any number of points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.activity import Activity
from simulator.core.closed_form import closed_form
from simulator.core.fold import fold, is_exact, largest
from simulator.core.plan import Plan
from simulator.core.resource import Curve, Quantity, Resource

Array = NDArray[np.float64]
AGREES, ROUNDING = 1e-9, 1e-14


@dataclass(frozen=True, eq=False)
class Affine:
    """A plan of `features` numbers a point, each above 0: each demand and latency is `c_0 + sum_f c_f x_f`.

    What has none of a feature is another plan, without the activities that it alone demands.

    `coefficients` are those of each activity of `plan` in order, its demands first and its latency last, each of shape
    (1 + features,).
    """

    plan: Plan
    coefficients: dict[int, tuple[dict[Resource, Array], Array]]

    def at(self, x: Array) -> Plan:
        """The plan at points x, of shape (points, features), with arrays as demands."""
        ones = np.concatenate([np.ones((len(x), 1)), x], axis=1)
        return self._filled(lambda c: _plain(c, ones))

    def time(self, x: Array) -> Array:
        """Seconds of each point: the closed form of the plan there."""
        if self._rows is None:
            return np.broadcast_to(np.asarray(closed_form(self.at(x)).time, dtype=np.float64), len(x))
        rows, starts, curves = self._rows
        ones = np.concatenate([np.ones((len(x), 1)), x], axis=1)
        busy = rows[1] @ ones.T
        for curve, (places, units) in curves.items():
            busy[places] /= curve.at(units @ ones.T)
        longest = [of_one.max(axis=0) for of_one in np.split(busy, starts[1:])]  # ten times as fast as `reduceat`
        each = np.array(longest) + rows[0] @ ones.T
        once = iter(each)  # of the activities in order, as `fold` comes to them
        time: Array = fold(self.plan, lambda _: next(once), largest)
        return time

    @cached_property
    def _rows(self) -> tuple[tuple[Array, Array], list[int], dict[Curve, tuple[list[int], Array]]] | None:
        """Seconds of latency of each activity, and of each of its demands, as rows of coefficients.

        Then where the demands of each activity start, and by each efficiency that is a curve over the demand, which
        rows it divides, and what they demand. None where a plan is no longest path (branches meet on a resource), or a
        capacity is an array.
        """
        found = [self.coefficients[id(activity)] for activity, _ in self.plan.activities()]
        if not found or any(np.ndim(r.rate(1.0)) for d, _ in found for r in d) or not is_exact(self.plan):
            return None
        none = np.zeros(len(found[0][1]))
        busy: list[Array] = []
        starts: list[int] = []
        curves: dict[Curve, tuple[list[int], list[Array]]] = {}
        for demand, _ in found:
            starts.append(len(busy))
            for r, c in demand.items():
                if isinstance(r.efficiency, Curve):
                    places, units = curves.setdefault(r.efficiency, ([], []))
                    places.append(len(busy))
                    units.append(c)
                busy.append(c / float(r.capacity if isinstance(r.efficiency, Curve) else r.rate(1.0)))
            busy += [] if demand else [none]
        stacked = {curve: (places, np.array(units)) for curve, (places, units) in curves.items()}
        return (np.array([latency for _, latency in found]), np.array(busy)), starts, stacked

    def total(self, x: Array) -> Plan:
        """The plan with the demands and latencies of all points together; its time is that of none of them."""
        ones = np.concatenate([[float(len(x))], np.sum(x, axis=0)])
        return self._filled(lambda c: float(c @ ones))

    def demand(self, x: Array) -> dict[Resource, Quantity]:
        """Total demand of all points together on each resource."""
        return self.total(x).demand()

    def _filled(self, value: Callable[[Array], Quantity]) -> Plan:
        def filled(activity: Activity) -> Activity:
            demand, latency = self.coefficients[id(activity)]
            return replace(activity, demand={r: value(c) for r, c in demand.items()}, latency=value(latency))

        return self.plan.mapped(filled)


def probes(scale: Sequence[float]) -> Array:
    """The points at which a plan must be known to find its coefficients, shape (features + 3, features).

    `scale` itself, twice `scale[f]` of each feature in turn, and two points more, where what was found must hold.
    """
    base = np.array(scale, dtype=np.float64)
    return np.concatenate([[base], base + np.diag(base), [base * f for f in (0.37, 2.9)]])


def affine(plan: Plan, at: Array) -> Affine:
    """The coefficients of a plan whose demands and latencies are known at `probes`, as arrays or constants.

    Raises:
        ValueError: a demand that is not affine in the features.
    """
    found = {
        id(activity): (
            {r: _coefficients(activity.name, d, at) for r, d in activity.demand.items()},
            _coefficients(activity.name, activity.latency, at),
        )
        for activity, _ in plan.activities()
    }
    return Affine(plan, found)


def _coefficients(name: str, quantity: Quantity, at: Array) -> Array:
    """Of a quantity known at the probes `at`."""
    known = np.broadcast_to(np.asarray(quantity, dtype=np.float64), len(at))
    features = at.shape[1]
    slopes = (known[1 : features + 1] - known[0]) / at[0]
    c: Array = np.concatenate([known[:1] - slopes @ at[0], slopes])
    c[np.abs(c * [1.0, *at[0]]) <= ROUNDING * abs(known[0])] = 0.0  # what a difference leaves of equal numbers
    if not np.allclose(c[0] + at @ c[1:], known, rtol=AGREES, atol=AGREES * float(np.max(known, initial=0.0))):
        raise ValueError(f"activity {name}: demands are not affine in the features")
    return c


def _plain(c: Array, ones: Array) -> Any:
    """A constant stays a number, which the closed form need not broadcast."""
    return ones @ c if np.any(c[1:]) else float(c[0])
