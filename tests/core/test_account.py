"""What plans take adds up: over plans, over repeats, over what a resource does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import Activity, Plan, Resource, closed_form
from simulator.core.account import (
    LATENCY,
    binding,
    bound_by,
    breakdown,
    busy,
    energy,
    joules,
    over_steps,
    summed,
    traffic,
)
from simulator.core.plan import point
from tests.core.conftest import RESOURCES, chain, plans, side_by_side

HBM, GPU, LINK, PORT = RESOURCES
SMALL = plans(depth=1)
few = settings(max_examples=25)


def spent(plan: Plan) -> float:
    total = joules(energy(plan.demand()))
    assert total is not None
    return float(total)


@few
@given(SMALL, SMALL, st.integers(1, 5))
def test_energy_is_additive_over_plans_and_scales_with_repeats(one: Plan, other: Plan, repeat: int) -> None:
    for plan in (chain(one, other), side_by_side(one, other)):
        assert spent(plan) == pytest.approx(spent(one) + spent(other))
    assert spent(chain(one, repeat=repeat)) == pytest.approx(repeat * spent(one))
    assert joules(energy(one.demand(), replicas=repeat)) == pytest.approx(repeat * spent(one))


@few
@given(SMALL)
def test_traffic_is_the_demand_of_all_copies(plan: Plan) -> None:
    moved: dict[str, float] = {}
    for activity, times in plan.activities():
        for resource, units in activity.demand.items():
            moved[resource.name] = moved.get(resource.name, 0.0) + times * resource.count * float(units)
    assert traffic(plan.demand()) == pytest.approx(moved)
    for term in energy(plan.demand()):
        assert term.count * term.amount == pytest.approx(moved[term.name])


@few
@given(SMALL)
def test_what_binds_is_no_more_than_what_is_busy(plan: Plan) -> None:
    bound, at_work = binding(plan), {r.name: seconds for r, seconds in busy(plan).items()}
    for name, seconds in bound.items():
        assert name == LATENCY or seconds <= at_work[name] * (1 + 1e-12)
    alone = sum(times * (part.latency + part.alone) for part, times in plan.activities())
    assert sum(bound.values()) == pytest.approx(alone)
    assert alone >= float(closed_form(plan).time) * (1 - 1e-12)
    assert bound[bound_by(plan)] == max(bound.values())


@few
@given(SMALL)
def test_a_breakdown_adds_up_to_what_binds(plan: Plan) -> None:
    seconds = {LATENCY: 0.0}
    for part in breakdown(plan):
        latency = float(part.activity.latency)
        seconds[LATENCY] += part.times * latency
        if part.bound_by:
            seconds[part.bound_by.name] = seconds.get(part.bound_by.name, 0.0) + part.times * (part.time - latency)
    assert binding(plan) == pytest.approx(seconds)


def test_a_chain_takes_as_long_as_all_that_binds_it() -> None:
    plan = chain(Activity("a", {HBM: 1e12, GPU: 0.4}, 0.1), Activity("b", {GPU: 1.5}), repeat=2)
    assert binding(plan) == pytest.approx({"hbm": 2.0, "gpu": 3.0, LATENCY: 0.2})
    assert sum(binding(plan).values()) == pytest.approx(closed_form(plan).time)
    assert (bound_by(plan), bound_by(Plan())) == ("gpu", LATENCY)


def test_of_what_is_busy_as_long_the_first_binds() -> None:
    assert binding(chain(Activity("a", {GPU: 1.0, HBM: 1e12}))) == {"gpu": 1.0, LATENCY: 0.0}


def test_an_activity_that_stands_in_a_plan_twice_is_one_at_a_point() -> None:
    twice = Activity("a", {GPU: np.array([1.0, 2.0])})
    first, second = (work for work, _, _ in point(chain(twice, twice), 1).steps)
    assert first is second
    assert isinstance(first, Activity)
    assert first.demand == {GPU: 2.0}


@few
@given(SMALL, st.lists(st.floats(0.5, 2.0), min_size=2, max_size=5), st.sampled_from(RESOURCES))
def test_points_at_once_equal_one_at_a_time(plan: Plan, rates: list[float], faster: Resource) -> None:
    """What binds, what is served and what it costs, where a rate, a demand and an energy are arrays."""
    by = np.array(rates)
    many = replace(faster, capacity=faster.capacity * by, energy=2.0 * by)
    changed = with_demand(plan, faster, many, by)
    each = [point(changed, i) for i in range(len(by))]
    assert np.broadcast_to(bound_by(changed), len(by)).tolist() == [bound_by(one) for one in each]
    together = {name: np.broadcast_to(seconds, len(by)) for name, seconds in binding(changed).items()}
    for i, one in enumerate(each):
        bound, moved = binding(one), traffic(one.demand())
        assert {name: seconds[i] for name, seconds in together.items() if seconds[i]} == pytest.approx(
            {name: seconds for name, seconds in bound.items() if seconds}
        )
        assert {n: np.broadcast_to(u, len(by))[i] for n, u in traffic(changed.demand()).items()} == pytest.approx(moved)
        costs = {r.name: float(by[i] * 2.0) if r.name == faster.name else r.energy or 0.0 for r in one.demand()}
        total = joules(energy(changed.demand()))
        assert total is not None
        assert np.broadcast_to(total, len(by))[i] == pytest.approx(sum(moved[name] * costs[name] for name in moved))


def with_demand(plan: Plan, old: Resource, new: Resource, by: np.ndarray) -> Plan:
    """The plan with `new` in the place of `old`, and latencies that grow with the points."""
    other = Plan(plan.name)
    for work, after, repeat in plan.steps:
        if isinstance(work, Plan):
            other.add(with_demand(work, old, new, by), after, repeat)
        else:
            demand = {new if r is old else r: units * by if r is old else units for r, units in work.demand.items()}
            other.add(Activity(work.name, demand, work.latency * by**2), after, repeat)
    return other


@few
@given(SMALL, st.integers(1, 6))
def test_steps_that_are_alike_count_once_each(plan: Plan, steps: int) -> None:
    assert over_steps([(plan, steps)]) == pytest.approx({r: steps * units for r, units in plan.demand().items()})
    assert over_steps([(plan, 1)] * steps) == pytest.approx(over_steps([(plan, steps)]))


def test_steps_that_differ_are_added_up() -> None:
    plan = chain(Activity("a", {HBM: np.array([1.0, 2.0, 4.0]), GPU: 1.0}), repeat=2)
    assert over_steps([(plan, 3)]) == {HBM: 14.0, GPU: 6.0}
    assert summed(np.array([1.0, 2.0]), 2) == summed(1.5, 2) == 3.0


def test_a_missing_figure_leaves_no_sum_but_what_serves_nothing_needs_none() -> None:
    bare = Resource("bare", 1.0)
    assert joules(energy({HBM: 1e9, bare: 0.0})) == pytest.approx(8 * 1e9 * 4e-12)
    terms = energy({HBM: 1e9, bare: 1.0})
    assert [term.name for term in terms if term.each is None] == ["bare"]
    assert joules(terms) is None
    assert energy({LINK: 1e9}) == ()  # costs nothing


def test_resources_of_one_name_are_one_term() -> None:
    (term,) = energy({HBM: 1e9, replace(HBM): 2e9})
    assert (term.name, term.count, term.amount) == ("hbm", 8, 3e9)
    assert traffic({HBM: 1e9, replace(HBM): 2e9}) == {"hbm": 24e9}
