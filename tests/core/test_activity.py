"""What is launched waits only where it demands something."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core import Activity, Plan, Resource, closed_form, launched
from simulator.core.events import events

HBM, ENGINE = Resource("hbm", 2.0), Resource("gpu", 1.0, "s", slots=1)
units = st.sampled_from([0.0, 0.0, 1e-9, 3.0])
rows = st.lists(st.tuples(units, units), min_size=1, max_size=6)


@given(rows, st.floats(0, 10))
def test_work_of_nothing_takes_no_time_at_any_point(demands: list[tuple[float, float]], latency: float) -> None:
    read, seconds = np.array(demands).T
    plan = Plan()
    plan.add(launched("kernel", {HBM: read, ENGINE: seconds}, latency))
    times = np.broadcast_to(closed_form(plan).time, len(read))
    for (size, busy), time in zip(demands, times, strict=True):
        assert time == (latency + max(size / 2, busy) if size or busy else 0)
        one = Plan()
        one.add(launched("kernel", {HBM: size, ENGINE: busy}, latency))
        assert closed_form(one).time == pytest.approx(time, rel=1e-12)


def test_a_latency_stays_a_number_where_all_points_demand_something() -> None:
    assert launched("kernel", {HBM: np.array([0.0, 1.0]), ENGINE: np.array([1.0, 0.0])}, 2.0).latency == 2.0


def test_work_of_nothing_waits_for_no_slot() -> None:
    plan = Plan()
    plan.add(Activity("long", {ENGINE: 5.0}), ())
    first = plan.add(launched("nothing", {ENGINE: 0.0, HBM: 0.0}, 1.0), ())
    plan.add(Activity("read", {HBM: 8.0}), (first,))
    assert events(plan).time == pytest.approx(closed_form(plan).time) == 5.0
