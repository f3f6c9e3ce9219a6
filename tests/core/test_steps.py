"""Steps in a row, by law: their time together is the sum of their times, each timed for itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import Activity, Plan, Quantity, Resource, closed_form
from simulator.core.resource import Curve
from simulator.core.steps import even_steps

CURVE = Curve((1e3, 1e5, 1e6), (0.05, 0.5, 0.9))
POINTS = 3


@st.composite
def machines(draw: st.DrawFn) -> list[Resource]:
    """Rates that cross one another, some of them arrays of points, some of a curve."""
    found = []
    for name in "abc":
        rate = st.floats(1e3, 1e7)
        points = draw(st.none() | st.lists(rate, min_size=POINTS, max_size=POINTS))
        capacity: Any = draw(rate) if points is None else np.array(points)
        found.append(Resource(name, capacity, efficiency=draw(st.sampled_from([1.0, 0.7, CURVE]))))
    return found


@st.composite
def lowerings(draw: st.DrawFn) -> Callable[[Quantity], Plan]:
    """Plans over a length: kernels whose demands are even in it but for a window; some in branches."""
    resources = draw(machines())
    size = st.floats(0, 1e6)
    kernels = draw(
        st.lists(
            st.tuples(st.lists(st.tuples(size, st.floats(0, 1e3)), min_size=3, max_size=3), st.booleans()),
            min_size=1,
            max_size=4,
        )
    )
    branches, window = draw(st.booleans()), draw(st.sampled_from([None, 40.0]))

    def plan(length: Quantity) -> Plan:
        found, seen = Plan("pass"), length if window is None else np.minimum(length, window)
        for sizes, grows in kernels:
            demand = {
                r: base + slope * (seen if grows else 1.0) for r, (base, slope) in zip(resources, sizes, strict=True)
            }
            found.add(Activity("kernel", demand, 1e-4), () if branches else None, repeat=2)
        outer = Plan("all")
        outer.add(found, repeat=3)
        outer.add(Activity("head", {resources[0]: 1e4}))
        return outer

    plan.bends = () if window is None else (window,)  # type: ignore[attr-defined]
    return plan


@settings(max_examples=40)
@given(lowerings(), st.integers(1, 60), st.lists(st.integers(0, 400), min_size=POINTS, max_size=POINTS), st.booleans())
def test_the_time_of_steps_is_the_sum_of_the_times_of_each(
    plan: Any, start: int, counts: list[int], alike: bool
) -> None:
    count: Quantity = float(counts[0]) if alike else np.array(counts, dtype=float)
    bends = plan.bends if start % 2 else ()  # known, or to be seen
    runs = even_steps(plan, float(start), count, bends)
    each = [np.broadcast_to(closed_form(plan(float(start + i))).time, POINTS) for i in range(max(counts))]
    expected = [sum(float(time[p]) for time in each[: counts[0] if alike else counts[p]]) for p in range(POINTS)]
    found = sum((run.time() for run in runs), start=0.0)
    assert np.broadcast_to(found, POINTS) == pytest.approx(expected, rel=1e-8, abs=1e-12)
    moved = [plan(float(start + i)).demand() for i in range(max(counts))]
    demands = [run.demand() for run in runs]
    for resource in plan(1.0).demand():
        wanted = [sum(float(d[resource]) for d in moved[: counts[0] if alike else counts[p]]) for p in range(POINTS)]
        total = sum((demand[resource] for demand in demands), start=0.0)
        assert np.broadcast_to(total, POINTS) == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_long_runs_cost_few_timings() -> None:
    memory, engine = Resource("memory", np.linspace(1e9, 1e12, 50_000)), Resource("engine", 1.0)
    calls = []

    def plan(length: Quantity) -> Plan:
        calls.append(length)
        found = Plan("step")
        found.add(Activity("attention", {memory: 1e6 * (length + 1.0), engine: 1e-6 * length}, 1e-6))
        return found

    (run,) = even_steps(plan, 1.0, 100_000.0)
    assert len(calls) == 3
    slowest = np.asarray(run.time())[0]
    lengths = np.arange(1.0, 100_001.0)
    assert slowest == pytest.approx(np.sum(np.maximum(1e6 * (lengths + 1) / 1e9, 1e-6 * lengths) + 1e-6), rel=1e-9)
