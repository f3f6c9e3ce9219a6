from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core import Activity, Curve, Plan, Resource, closed_form


def chain(*works: Activity | Plan, repeat: int = 1) -> Plan:
    plan = Plan()
    for work in works:
        plan.add(work, repeat=repeat)
    return plan


HBM = Resource("gpu.hbm", 2e12, efficiency=0.5)
GPU = Resource("gpu.gpu", 1.0, unit="s")


def test_an_activity_is_a_roofline_and_a_latency() -> None:
    # 1 GB at half of 2 TB/s is 1 ms, more than the 0.4 ms of the engine; 10 us come first.
    assert closed_form(chain(Activity("k", {HBM: 1e9, GPU: 4e-4}, latency=1e-5))).time == pytest.approx(1.01e-3)


def test_efficiency_grows_with_size() -> None:
    link = Resource("a->b", 100.0, efficiency=Curve((1.0, 100.0), (0.04, 0.64)))
    sizes = (0.1, 1.0, 10.0, 100.0, 1000.0)  # halfway in log(size) is halfway in log(fraction): 0.16
    assert [s / 100 / float(link.seconds(s)) for s in sizes] == pytest.approx([0.04, 0.04, 0.16, 0.64, 0.64])


def test_more_bytes_never_take_less_time() -> None:
    with pytest.raises(ValueError, match="no faster"):
        Curve((1.0, 2.0), (0.2, 0.5))
    link = Resource("a->b", 100.0, efficiency=Curve((1.0, 2.0), (0.2, 0.4)))
    assert np.all(np.diff([float(link.seconds(s)) for s in np.linspace(0.5, 3.0, 50)]) >= -1e-12)


def test_parallel_branches_take_the_longest_where_they_share_nothing() -> None:
    plan = Plan()
    first = plan.add(Activity("a", {GPU: 1.0}), after=())
    second = plan.add(Activity("b", {HBM: 3e12}), after=())
    plan.add(Activity("c", {GPU: 1.0}), after=(first, second))
    timing = closed_form(plan)
    assert timing.time == pytest.approx(4.0)
    assert timing.exact


def test_branches_that_meet_give_a_lower_bound_and_say_so() -> None:
    plan = Plan()
    for _ in range(3):
        plan.add(Activity("a", {GPU: 1.0}), after=())
    timing = closed_form(plan)
    assert not timing.exact
    assert timing.time == pytest.approx(3.0)


def test_repeats_fold() -> None:
    layer = chain(Activity("a", {GPU: 1.0}), Activity("b", {HBM: 1e12}, latency=0.5))
    folded, unfolded = Plan(), Plan()
    folded.add(layer, repeat=32)
    for _ in range(32):
        unfolded.add(layer)
    assert closed_form(folded).time == pytest.approx(closed_form(unfolded).time, rel=1e-12)
    assert folded.demand() == pytest.approx(unfolded.demand())


@given(st.lists(st.tuples(st.floats(1e9, 1e13), st.floats(0.0, 1e-3), st.floats(1e-3, 1.0)), min_size=1, max_size=20))
def test_design_points_at_once_equal_one_at_a_time(points: list[tuple[float, float, float]]) -> None:
    def plan(bandwidth: object, latency: object, efficiency: object) -> Plan:
        hbm = Resource("hbm", bandwidth, efficiency=efficiency)  # type: ignore[arg-type]
        layer = chain(Activity("a", {hbm: 1e9, GPU: 1e-3}), Activity("b", {hbm: 3e6}, latency=latency))  # type: ignore[arg-type]
        return chain(layer, Activity("c", {GPU: 1e-2}), repeat=3)

    together = closed_form(plan(*(np.array(column) for column in zip(*points, strict=True)))).time
    assert np.asarray(together) == pytest.approx([closed_form(plan(*point)).time for point in points], rel=1e-12)


def test_more_points_than_a_chunk() -> None:
    bandwidth = np.linspace(1e12, 2e12, 20_001)
    time = closed_form(chain(Activity("a", {Resource("hbm", bandwidth): 1e12}))).time
    assert np.allclose(time, 1e12 / bandwidth, rtol=1e-15)


def test_arrays_of_different_lengths_are_refused() -> None:
    a, b = Resource("a", np.ones(3)), Resource("b", np.ones(4))
    with pytest.raises(ValueError, match="different numbers"):
        closed_form(chain(Activity("x", {a: 1.0, b: 1.0})))


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_nonsense_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="hbm"):
        Activity("a", {HBM: bad})
    with pytest.raises(ValueError, match="latency"):
        Activity("a", latency=bad)
    with pytest.raises(ValueError, match="capacity"):
        Resource("x", bad)


def test_a_plan_names_earlier_steps_only() -> None:
    with pytest.raises(ValueError, match="earlier"):
        Plan().add(Activity("a"), after=(0,))
    with pytest.raises(ValueError, match="repeat"):
        Plan().add(Activity("a"), repeat=0)


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"count": 0}, {"efficiency": 0.0}, {"efficiency": 1.5}])
def test_a_resource_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="resource x"):
        Resource("x", 1.0, **wrong)  # type: ignore[arg-type]


def test_branches_that_meet_in_a_smaller_plan_count_there() -> None:
    # Two stages, each of two activities of 1 s on one resource: 2 s each, 4 s together.
    def stage(name: str) -> Plan:
        resource, plan = Resource(name, 1.0), Plan()
        for _ in range(2):
            plan.add(Activity("a", {resource: 1.0}), after=())
        return plan

    timing = closed_form(chain(stage("x"), stage("y")))
    assert (timing.time, timing.exact) == (4.0, False)


def test_an_empty_plan_takes_no_time() -> None:
    assert closed_form(Plan()).time == 0.0
