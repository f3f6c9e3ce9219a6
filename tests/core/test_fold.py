"""A plan folds to the longest of its paths, whatever is folded, and a repeat to that of its unrolled copy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.core import Activity, Plan, Resource, Step, closed_form
from simulator.core.account import binding, busy, energy, joules
from simulator.core.affine import affine, probes
from simulator.core.closed_form import alone
from simulator.core.fold import contended, fold, is_exact, largest
from simulator.study.questions.elasticity import elasticities
from tests.core.conftest import RESOURCES, activities, chain, plans, side_by_side

HBM, GPU, *_ = RESOURCES
SMALL = plans(depth=1)
few = settings(max_examples=25)


def unrolled(plan: Plan) -> Plan:
    """The same with each repeat written out, step after step."""
    flat, last = Plan(plan.name), list[int]()
    for work, after, repeat in plan.steps:
        before = [last[i] for i in after]
        for _ in range(repeat):
            before = [flat.add(unrolled(work) if isinstance(work, Plan) else work, before)]
        last += before
    return flat


def paths(plan: Plan, step: int) -> Iterator[list[Step]]:
    """Every way through the order of a plan that ends with a step."""
    for before in plan.steps[step].after:
        yield from ([*path, plan.steps[step]] for path in paths(plan, before))
    yield [plan.steps[step]]


@few
@given(plans(depth=0))
def test_a_fold_is_the_longest_of_all_paths(plan: Plan) -> None:
    every = (path for step in range(len(plan.steps)) for path in paths(plan, step))
    longest = max(sum(repeat * float(alone(work)) for work, _, repeat in path) for path in every)
    assert fold(plan, alone, largest) == pytest.approx(longest)
    assert closed_form(plan).time >= longest * (1 - 1e-12)
    if is_exact(plan):
        assert closed_form(plan).time == pytest.approx(longest)


@few
@given(SMALL)
def test_a_repeat_is_its_unrolled_copy_in_every_algebra(plan: Plan) -> None:
    assume(closed_form(plan).time > 0)
    other = unrolled(plan)
    assert closed_form(other).time == pytest.approx(closed_form(plan).time)
    assert closed_form(other).exact == closed_form(plan).exact
    assert busy(other) == pytest.approx(busy(plan))
    assert binding(other) == pytest.approx(binding(plan))
    assert joules(energy(other.demand())) == pytest.approx(joules(energy(plan.demand())))
    assume(all(below == above for below, above in elasticities(plan).values()))  # no tie
    found = {name: each.above for name, each in elasticities(other).items()}
    assert found == pytest.approx({name: each.above for name, each in elasticities(plan).items()}, abs=1e-12)


@few
@given(plans(RESOURCES[:3], depth=1), st.floats(0.2, 5.0))
def test_the_affine_form_at_a_point_is_the_closed_form_there(plan: Plan, size: float) -> None:
    """Of a plan that does `x` times as much."""
    at = probes((2.0,))
    grown, x = affine(plan.scaled(at[:, 0]), at), np.array([[size], [1.0]])
    assert grown.time(x) == pytest.approx([closed_form(plan.scaled(size)).time, closed_form(plan).time])
    assert grown.demand(x) == pytest.approx({r: (size + 1) * units for r, units in plan.demand().items()})


@few
@given(SMALL)
def test_one_percent_of_time_is_the_sum_of_one_percent_of_each_resource(plan: Plan) -> None:
    assume(closed_form(plan).time > 0)
    found = elasticities(plan)
    assume(all(below == above for below, above in found.values()))
    resources = sum(each.above for name, each in found.items() if name != "latency")
    assert found["latency"].above - resources == pytest.approx(1.0)
    if is_exact(plan):
        bound = binding(plan)
        assert all(
            -each.above * closed_form(plan).time <= bound[n] * (1 + 1e-9) for n, each in found.items() if n in bound
        )


@few
@given(SMALL)
def test_a_plan_with_its_activities_unchanged_is_the_same(plan: Plan) -> None:
    same = plan.mapped(lambda activity: activity)
    assert [times for _, times in same.activities()] == [times for _, times in plan.activities()]
    assert closed_form(same) == closed_form(plan)
    assert closed_form(plan.scaled(0.0)).time == 0
    assert closed_form(plan.scaled(np.array([0.0, 1.0]))).time == pytest.approx([0, closed_form(plan).time])


@few
@given(st.lists(activities(), min_size=1, max_size=4))
def test_steps_in_a_row_never_contend_and_steps_at_once_do_where_they_meet(works: list[Activity]) -> None:
    assert is_exact(chain(*works))
    users = [resource for work in works for resource in work.demand]
    assert is_exact(side_by_side(*works)) == (len(users) == len(set(users)))


def test_contention_is_of_the_plan_in_which_steps_meet() -> None:
    inner = side_by_side(Activity("a", {GPU: 1.0}), Activity("b", {GPU: 1.0}))
    outer = chain(inner, Activity("c", {GPU: 1.0}))
    assert contended(outer) == {id(inner)}
    beside = side_by_side(inner, Activity("c", {GPU: 1.0}))
    assert contended(beside) == {id(inner), id(beside)}


def test_the_largest_of_numbers_and_arrays() -> None:
    assert largest([]) == 0.0
    assert largest([1.0, 3.0, 2.0]) == 3.0
    assert largest([1.5, np.array([1.0, 2.0]), np.array([0.0, 4.0])]).tolist() == [1.5, 4.0]


def test_of_one_activity_the_fold_is_its_roofline() -> None:
    rates = np.array([1e12, 4e12])
    work = Activity("k", {Resource("fast", rates): 2e12, GPU: 1.0}, 0.25)
    assert np.asarray(alone(work)).tolist() == [2.25, 1.25]
    assert alone(Activity("wait", latency=0.5)) == 0.5
    assert alone(Activity("k", {HBM: 1e12})) == 1.0
