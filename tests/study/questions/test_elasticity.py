"""Elasticities agree with finite differences of the closed form, away from ties and at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simulator.core import Activity, Plan, Resource, closed_form
from simulator.mapping.lowering import model_plan
from simulator.mapping.target import target
from simulator.study.questions.elasticity import Elasticity, elasticities
from simulator.workload import decode, load_model
from tests.core.conftest import RESOURCES, activities, chain, plans, side_by_side
from tests.deployed import under

HBM, GPU, LINK, CURVED = RESOURCES


def scaled(plan: Plan, what: str, by: float, new: dict[Resource, Resource] | None = None) -> Plan:
    """The plan with every capacity called `what`, or all latencies, times `by`."""
    new = {} if new is None else new
    other = Plan()
    for work, after, repeat in plan.steps:
        if isinstance(work, Plan):
            other.add(scaled(work, what, by, new), after, repeat)
            continue
        for r in work.demand:
            new.setdefault(r, replace(r, capacity=r.capacity * by) if r.name == what else r)
        demand = {new[r]: units for r, units in work.demand.items()}
        other.add(Activity(work.name, demand, work.latency * (by if what == "latency" else 1.0)), after, repeat)
    return other


def log_time(plan: Plan, what: str, step: float) -> float:
    return float(np.log(closed_form(scaled(plan, what, float(np.exp(step)))).time))


def differences(plan: Plan, what: str, step: float) -> Elasticity:
    """One-sided, of second order: `(-3 f(0) + 4 f(h) - f(2h)) / 2h`."""
    f = [log_time(plan, what, i * step) for i in (-2, -1, 0, 1, 2)]
    return Elasticity((3 * f[2] - 4 * f[1] + f[0]) / (2 * step), (-3 * f[2] + 4 * f[3] - f[4]) / (2 * step))


@given(plans())
def test_elasticities_are_central_differences_where_nothing_ties(plan: Plan) -> None:
    assume(closed_form(plan).time > 0)
    found = elasticities(plan)
    assume(all(below == above for below, above in found.values()))  # no two terms of a maximum within 1e-4
    for what, elasticity in found.items():
        step = 2e-5  # less than 1e-4: no other term overtakes on the way
        central = (log_time(plan, what, step) - log_time(plan, what, -step)) / (2 * step)
        assert elasticity.above == pytest.approx(central, rel=1e-6, abs=2e-10)
    assert sum(found[n].above for n in found if n != "latency") - found["latency"].above == pytest.approx(-1)


@given(st.lists(st.tuples(activities(least=1), st.integers(1, 3)), min_size=1, max_size=4), st.data())
def test_at_a_tie_both_one_sided_values_are_right(parts: list[tuple[Activity, int]], data: st.DataObject) -> None:
    """Each activity gets a second resource that is busy as long, and the chain a branch that takes as long."""
    plan = Plan()
    for part, repeat in parts:
        busy = part.alone
        assume(all(s == busy or s < busy * (1 - 2e-4) for s in part.seconds().values()))  # no tie but those made here
        plan.add(replace(part, demand={**part.demand, Resource("twin", 4.0, "s"): 4 * busy}), repeat=repeat)
    total = float(closed_form(plan).time)
    if data.draw(st.booleans()):
        plan.add(Activity("branch", {Resource("branch", 2.0): 2 * total}), after=())
    found = elasticities(plan)
    for what, elasticity in found.items():
        assert elasticity == pytest.approx(differences(plan, what, 2e-6), abs=1e-6)


def test_the_binding_resource_has_all_of_it() -> None:
    found = elasticities(chain(Activity("k", {HBM: 9e11, GPU: 0.5}, latency=0.1)))
    assert found["hbm"] == pytest.approx((-0.9, -0.9))
    assert found["gpu"] == (0.0, 0.0)
    assert found["latency"] == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize("gap", [0.0, 5e-5, -5e-5])
def test_a_tie_of_two_resources_helps_only_if_both_get_faster(gap: float) -> None:
    plan = chain(Activity("k", {HBM: 1e12, GPU: 1.0 + gap}))
    found = elasticities(plan)
    assert found["hbm"] == found["gpu"] == pytest.approx((-1, 0))
    assert elasticities(plan, name=lambda _: "both")["both"] == pytest.approx((-1, -1))


def test_beyond_the_tolerance_it_is_no_tie() -> None:
    found = elasticities(chain(Activity("k", {HBM: 1e12, GPU: 1.0 + 2e-4})))
    assert found["hbm"] == (0.0, 0.0)
    assert found["gpu"] == (-1.0, -1.0)


def test_a_tie_of_two_paths() -> None:
    found = elasticities(side_by_side(Activity("a", {HBM: 1e12}), Activity("b", {GPU: 0.5}, latency=0.5)))
    assert found == {"hbm": (-1.0, 0.0), "gpu": (-0.5, 0.0), "latency": (0.0, 0.5)}


def test_of_a_contended_plan_the_busiest_resource_binds() -> None:
    plan = side_by_side(Activity("a", {HBM: 1e12}), Activity("b", {HBM: 1e12, GPU: 1.5}, latency=0.1))
    assert not closed_form(plan).exact
    assert elasticities(plan) == {"hbm": (-1.0, -1.0), "gpu": (0.0, 0.0), "latency": (0.0, 0.0)}


def test_contention_inside_a_smaller_plan_counts_there_alone() -> None:
    inner = side_by_side(Activity("a", {GPU: 1.0}), Activity("b", {GPU: 1.0}))
    found = elasticities(chain(inner, Activity("c", {HBM: 2e12}), repeat=2))
    assert found["gpu"] == found["hbm"] == pytest.approx((-0.5, -0.5))


def test_a_decode_step_is_homogeneous() -> None:
    plan = model_plan(target(under("dgx-a100")), load_model("llama-3-70b"), decode(8, 4096))
    found = elasticities(plan)
    for side in range(2):
        assert sum(e[side] for n, e in found.items() if n != "latency") - found["latency"][side] == pytest.approx(-1)
    sizes = [max(abs(value) for value in elasticity) for elasticity in found.values()]
    assert next(iter(found)) == "gpu.hbm->gpu.gpu"
    assert all(a >= b for a, b in pairwise(sizes))


@pytest.mark.parametrize("works", [[Activity("none")], []])
def test_a_plan_without_time_has_none(works: Sequence[Activity]) -> None:
    with pytest.raises(ValueError, match="takes no time"):
        elasticities(chain(*works))


def test_design_points_are_refused() -> None:
    with pytest.raises(ValueError, match="one design point"):
        elasticities(chain(Activity("k", {Resource("hbm", np.array([1.0, 2.0])): 1.0})))
