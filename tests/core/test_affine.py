"""A plan lowered once, at the probes, is the plan lowered anew at any point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.core import Activity, Curve, Plan, Resource, closed_form
from simulator.core.affine import affine, probes

Array: TypeAlias = NDArray[np.float64]
Build: TypeAlias = Callable[[Array], Plan]

SCALES = [(1.0,), (64.0, 131072.0), (1.0, 1024.0, 524800.0)]
RESOURCES = [
    Resource("gpu", 1.0, "s"),
    Resource("hbm", 2e12, efficiency=0.7),
    Resource("link", 3e11),
    Resource("disk", 1e9),
    Resource("curved", 1e12, efficiency=Curve((1e6, 1e9), (0.1, 0.9))),
]
AMOUNTS = st.sampled_from([0.0, 0.0, 1e-3, 0.2, 1.0, 7.0])  # seconds of a resource, at a feature's scale


def amount(c: tuple[float, ...], scale: tuple[float, ...], x: Array) -> Any:
    """`c_0 + sum_f c_f x_f / scale_f` at points x; a number where no feature counts."""
    return c[0] + x @ (np.array(c[1:]) / scale) if any(c[1:]) else c[0]


@st.composite
def builds(draw: st.DrawFn, scale: tuple[float, ...], resources: list[Resource], depth: int = 2) -> Build:
    """What lowers the same plan at any points: sequences, branches, repeats, smaller plans, at random."""
    coefficients = st.tuples(*[AMOUNTS] * (len(scale) + 1))
    steps: list[tuple[Any, Any, int]] = []
    for i in range(draw(st.integers(1, 4))):
        after = draw(st.none() | st.sets(st.integers(0, i - 1)).map(sorted)) if i else None
        if depth and draw(st.integers(0, 2)) == 0:
            work: Any = draw(builds(scale, resources, depth - 1))
        else:
            chosen = draw(st.lists(st.sampled_from(resources), max_size=3, unique=True))
            work = ({resource: draw(coefficients) for resource in chosen}, draw(coefficients))
        steps.append((work, after, draw(st.integers(1, 3))))

    def build(x: Array) -> Plan:
        plan = Plan()
        for work, after, repeat in steps:
            if callable(work):
                plan.add(work(x), after, repeat)
            else:
                demand = {r: amount(c, scale, x) * float(r.capacity) for r, c in work[0].items()}
                plan.add(Activity("work", demand, amount(work[1], scale, x)), after, repeat)
        return plan

    return build


@st.composite
def cases(draw: st.DrawFn, resources: list[Resource] = RESOURCES) -> tuple[tuple[float, ...], Build, Array]:
    scale = draw(st.sampled_from(SCALES))
    rows = st.lists(st.floats(0.0, 10.0), min_size=len(scale), max_size=len(scale))
    x = np.array(draw(st.lists(rows, min_size=1, max_size=5))) * scale
    return scale, draw(builds(scale, resources)), x


@settings(max_examples=80)
@given(cases())
def test_its_time_is_that_of_the_plan_lowered_there(case: tuple[tuple[float, ...], Build, Array]) -> None:
    scale, build, x = case
    known = affine(build(probes(scale)), probes(scale))
    expected = np.broadcast_to(closed_form(build(x)).time, len(x))
    np.testing.assert_allclose(known.time(x), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(closed_form(known.at(x)).time * np.ones(len(x)), expected, rtol=1e-9, atol=1e-12)
    assert closed_form(known.at(x)).exact == closed_form(build(x)).exact


@settings(max_examples=40)
@given(cases(RESOURCES[:1]))
def test_branches_that_meet_are_bounded_as_in_the_closed_form(case: tuple[tuple[float, ...], Build, Array]) -> None:
    scale, build, x = case
    known = affine(build(probes(scale)), probes(scale))
    expected = np.broadcast_to(closed_form(build(x)).time, len(x))
    np.testing.assert_allclose(known.time(x), expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=40)
@given(cases())
def test_its_demand_is_the_sum_over_the_points(case: tuple[tuple[float, ...], Build, Array]) -> None:
    scale, build, x = case
    total = affine(build(probes(scale)), probes(scale)).demand(x)
    expected = {r: float(np.sum(np.broadcast_to(d, len(x)))) for r, d in build(x).demand().items()}
    assert total == pytest.approx(expected, rel=1e-9)


def test_each_activity_has_what_it_has_there() -> None:
    hbm, x = RESOURCES[1], np.array([[2.0, 100.0], [5.0, 7.0]])

    def build(x: Array) -> Plan:
        plan = Plan("stage")
        plan.add(Activity("read", {hbm: 10.0 + 3.0 * x[:, 0]}, 1e-6, weight=2.0), repeat=4)
        plan.add(Activity("wait", latency=2.0 * x[:, 1]))
        return plan

    there = affine(build(probes((8.0, 64.0))), probes((8.0, 64.0))).at(x)
    (read, _, repeat), (wait, _, _) = there.steps
    assert isinstance(read, Activity) and isinstance(wait, Activity)
    assert (there.name, read.name, repeat, read.weight) == ("stage", "read", 4, 2.0)
    np.testing.assert_allclose(read.demand[hbm], [16.0, 25.0], rtol=1e-12)
    assert read.latency == pytest.approx(1e-6)
    np.testing.assert_allclose(wait.latency, [200.0, 14.0], rtol=1e-12)


def test_a_plan_without_features_takes_as_long_everywhere() -> None:
    plan = Plan()
    plan.add(Activity("work", {RESOURCES[0]: 2.0}, 0.5))
    for each, seconds in ((plan, 2.5), (Plan(), 0.0)):
        known = affine(each, probes((1.0, 1.0)))
        np.testing.assert_array_equal(known.time(np.zeros((3, 2))), [seconds] * 3)
    assert affine(plan, probes((1.0,))).demand(np.zeros((3, 1))) == {RESOURCES[0]: 6.0}
    assert affine(plan, probes((1.0,))).time(np.zeros((0, 1))).shape == (0,)


@pytest.mark.parametrize(
    "amount",
    [
        lambda x: np.maximum(x[:, 0], 4.0),
        lambda x: np.maximum(x[:, 0], x[:, 1] / 100),
        lambda x: np.minimum(x[:, 0], 20.0),
        lambda x: x[:, 0] ** 2,
        lambda x: x[:, 0] * x[:, 1],
        lambda x: np.ceil(x[:, 0]),
        lambda x: np.sqrt(x[:, 1]),
    ],
    ids=["floor", "larger", "smaller", "square", "product", "whole", "root"],
)
@pytest.mark.parametrize("of", ["demand", "latency"])
def test_what_is_not_affine_is_refused(amount: Callable[[Array], Array], of: str) -> None:
    at = probes((10.0, 1000.0))
    work = Activity("kernel", {RESOURCES[0]: amount(at)}) if of == "demand" else Activity("kernel", {}, amount(at))
    inner, plan = Plan(), Plan()
    inner.add(work)
    plan.add(inner, repeat=2)
    with pytest.raises(ValueError, match="activity kernel: demands are not affine"):
        affine(plan, at)
