"""A plan whose demands are affine in a few features: lowered once, then timed for any number of points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.core.activity import Activity
from simulator.core.closed_form import closed_form
from simulator.core.fold import fold, is_exact
from simulator.core.plan import Plan
from simulator.core.resource import Curve, Quantity, Resource

Array = NDArray[np.float64]
AGREES, ROUNDING = 1e-9, 1e-14
MOST_PATHS = 64  # through a plan, which are counted out


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
        if self._longest is None:
            return np.broadcast_to(np.asarray(closed_form(self.at(x)).time, dtype=np.float64), len(x))
        return self._longest.at(np.concatenate([np.ones((len(x), 1)), x], axis=1).T)

    @cached_property
    def _longest(self) -> _Longest | None:
        """The longest path; None where a plan takes longer (branches meet on a resource), or a capacity is an array."""
        known = [self.coefficients[id(activity)] for activity, _ in self.plan.activities()]
        if not known or any(np.ndim(r.rate(1.0)) for demand, _ in known for r in demand) or not is_exact(self.plan):
            return None
        each = np.eye(len(known))
        none = _Paths(0 * each[:1])
        once = iter(each)  # of the activities in order, as `fold` comes to them
        paths = fold(self.plan, lambda _: _Paths(next(once)[np.newaxis]), lambda some: _Paths.of([none, *some]))
        return _longest(paths.rows, known) if len(paths.rows) <= MOST_PATHS else None

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


class _Paths:
    """The paths through work, which add up as seconds do: how often each activity lies on them, (paths, activities)."""

    def __init__(self, rows: Array) -> None:
        self.rows = rows[: MOST_PATHS + 1]

    def __add__(self, other: _Paths) -> _Paths:
        return _Paths((self.rows[:, np.newaxis] + other.rows).reshape(-1, self.rows.shape[1]))

    def __mul__(self, repeat: float) -> _Paths:
        return _Paths(self.rows * repeat)

    @classmethod
    def of(cls, several: Sequence[_Paths]) -> _Paths:
        """The paths of all of these, but those that are part of another."""
        rows = np.concatenate([each.rows for each in several])
        return cls(rows[undominated(rows)])


@dataclass(frozen=True, eq=False)
class _Longest:
    """The longest of some paths, `max_p(base_p x + sum_a often_pa max_r(rows_ra x))`, x with a 1 before its features.

    Attributes:
        base: of each path, its latencies and the activities that one resource binds everywhere.
        often: how often each of the other activities lies on a path, of shape (paths, activities).
        rows: what these take of each resource, of shape (resources, activities, 1 + features); the last of an activity
            that has fewer is there again.
        curves: by each efficiency that is a curve over the demand, which rows it divides, and what they demand.
    """

    base: Array
    often: Array
    rows: Array
    curves: dict[Curve, tuple[list[int], Array]]

    def at(self, x: Array) -> Array:
        """Seconds at points, of shape (1 + features, points)."""
        seconds = self.base @ x
        if self.often.size:
            busy = self.rows.reshape(-1, len(x)) @ x
            for curve, (places, units) in self.curves.items():
                busy[places] /= curve.at(units @ x)
            seconds += self.often @ busy.reshape(*self.rows.shape[:2], -1).max(axis=0)
        longest: Array = seconds.max(axis=0)
        return longest


class _Row(NamedTuple):
    """Seconds that an activity takes of a resource, those of `units` under a curve to be divided by it."""

    seconds: Array
    curve: Curve | None = None
    units: Array | None = None


def _longest(paths: Array, known: Sequence[tuple[dict[Resource, Array], Array]]) -> _Longest:
    """Of paths through activities whose demands and latencies have these coefficients."""
    base = np.array([latency for _, latency in known])
    several: dict[int, list[_Row]] = {}
    for place, (demand, _) in enumerate(known):
        rows = _rows(demand)
        if len(rows) == 1 and rows[0].curve is None:
            base[place] += rows[0].seconds
        elif rows:
            several[place] = rows
    most = max(map(len, several.values()), default=0)
    flat = [rows[min(turn, len(rows) - 1)] for turn in range(most) for rows in several.values()]
    curves: dict[Curve, tuple[list[int], Any]] = {}
    for place, row in enumerate(flat):
        if row.curve is not None:
            places, units = curves.setdefault(row.curve, ([], []))
            places.append(place)
            units.append(row.units)
    stacked = {curve: (places, np.array(units)) for curve, (places, units) in curves.items()}
    seconds = np.array([row.seconds for row in flat]).reshape(most, len(several), base.shape[1])
    return _Longest(paths @ base, paths[:, list(several)], seconds, stacked)


def _rows(demand: Mapping[Resource, Array]) -> list[_Row]:
    """What an activity takes of each resource, but where that is nowhere more than of another."""
    plain = [c / float(r.rate(1.0)) for r, c in demand.items() if not isinstance(r.efficiency, Curve)]
    kept = [row for row, most in zip(plain, undominated(np.array(plain)), strict=True) if most] if plain else []
    curved = [
        _Row(c / float(r.capacity), r.efficiency, c) for r, c in demand.items() if isinstance(r.efficiency, Curve)
    ]
    return [*map(_Row, kept), *curved]


def undominated(rows: Array) -> NDArray[np.bool_]:
    """Which rows of coefficients may be largest, where what they multiply is 0 or more; of equal ones, the first."""
    nowhere_above = np.array([(row <= rows).all(axis=1) for row in rows])
    again = np.tri(len(rows), k=-1, dtype=np.bool_)
    return ~np.asarray((nowhere_above & (~nowhere_above.T | again)).any(axis=1))


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
    of_activity = {
        id(activity): (
            {r: coefficients(activity.name, d, at) for r, d in activity.demand.items()},
            coefficients(activity.name, activity.latency, at),
        )
        for activity, _ in plan.activities()
    }
    return Affine(plan, of_activity)


def coefficients(name: str, quantity: Quantity, at: Array) -> Array:
    """The coefficients of a quantity known at the probes `at`, shape (1 + features,).

    Raises:
        ValueError: it is not affine in the features.
    """
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
