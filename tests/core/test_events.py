from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import Activity, Plan, Resource, closed_form
from simulator.core.events import Event, EventLoop, events, seconds
from tests.core.conftest import plans

GPU = Resource("gpu.gpu", 1.0, unit="s", slots=1)
HBM = Resource("gpu.hbm", 2e12)
LINK = Resource("a->b", 1e9)


@st.composite
def works(draw: st.DrawFn, resources: list[Resource]) -> Activity:
    names = draw(st.lists(st.sampled_from(resources), max_size=3, unique=True)) if resources else []
    demand = {r: draw(st.floats(0.0, 1e3)) * float(r.capacity) for r in names}
    return Activity("work", demand, latency=draw(st.sampled_from([0.0, 0.0, 1e-6, 1.0])))


@st.composite
def uncontended(draw: st.DrawFn) -> Plan:
    """Branches that each have resources of their own, joined and forked at random; folded chains inside."""
    plan = Plan()
    lanes = [[Resource(f"lane{i}.{j}", draw(st.floats(0.1, 1e12))) for j in range(2)] for i in range(3)]
    last: list[int | None] = [None, None, None]
    for _ in range(draw(st.integers(1, 12))):
        lane = draw(st.integers(0, 2))
        after = {i for i in (last[lane], draw(st.sampled_from(last))) if i is not None}
        work: Activity | Plan = draw(works(lanes[lane]))
        if draw(st.booleans()):
            inner = Plan()
            for _ in range(draw(st.integers(1, 3))):
                inner.add(draw(works(lanes[lane])), repeat=draw(st.integers(1, 2)))
            work = inner
        last[lane] = plan.add(work, after=sorted(after), repeat=draw(st.integers(1, 3)))
    return plan


@settings(max_examples=150)
@given(uncontended())
def test_agrees_with_the_closed_form_where_nothing_contends(plan: Plan) -> None:
    timing = closed_form(plan)
    assert timing.exact
    assert events(plan).time == pytest.approx(timing.time, rel=1e-9, abs=1e-15)


@given(plans())
def test_a_chain_is_as_long_as_its_links_each_run_once(plan: Plan) -> None:
    assert seconds(plan) == pytest.approx(events(plan).time, rel=1e-12)


@st.composite
def contended(draw: st.DrawFn) -> tuple[list[Resource], list[tuple[float, Activity]]]:
    resources = [Resource(f"r{i}", draw(st.floats(0.5, 1e12))) for i in range(draw(st.integers(1, 4)))]
    arrivals = []
    for _ in range(draw(st.integers(1, 10))):
        names = draw(st.lists(st.sampled_from(resources), min_size=1, unique=True))
        demand = {r: draw(st.floats(1e-3, 10.0)) * float(r.capacity) for r in names}
        weight = draw(st.sampled_from([1.0, 1.0, 0.5, 4.0]))
        arrivals.append((draw(st.sampled_from([0.0, 0.0, 0.3, 1.0, 2.5])), Activity("a", demand, weight=weight)))
    return resources, arrivals


@settings(max_examples=120)
@given(contended())
def test_contention_keeps_the_law(case: tuple[list[Resource], list[tuple[float, Activity]]]) -> None:
    """At each event capacity holds and max-min holds; at the end the bytes served are the bytes asked."""
    resources, arrivals = case
    served = dict.fromkeys(resources, 0.0)
    rates: dict[Resource, float] = {}
    since = 0.0

    def settle(now: float) -> None:
        nonlocal since
        for resource, rate in rates.items():
            served[resource] += rate * (now - since)
        since = now

    def watch(loop: EventLoop) -> None:
        settle(loop.now)
        rates.clear()
        running = loop.running
        for one in running:
            for resource, share in one.shares:
                rates[resource] = rates.get(resource, 0.0) + one.speed * share * float(resource.capacity)
        for resource, rate in rates.items():
            assert rate <= float(resource.capacity) * (1 + 1e-9), "capacity exceeded"
        for one in running:
            assert one.speed > 1 - 1e-9 or any(
                rates[r] > float(r.capacity) * (1 - 1e-9)
                and all(
                    o.speed / o.weight <= one.speed / one.weight * (1 + 1e-9) for o in running if r in dict(o.shares)
                )
                for r, _ in one.shares
            ), "slowed down by no full resource"

    loop = EventLoop(watch=watch)

    def arrive(at: float, activity: Activity) -> Iterator[Event]:
        yield loop.timeout(at)
        yield loop.run(activity)

    for at, activity in arrivals:
        loop.process(arrive(at, activity))  # type: ignore[arg-type]
    settle(loop.until_idle())
    for resource in resources:
        asked = sum(activity.demand.get(resource, 0.0) for _, activity in arrivals)
        assert served[resource] == pytest.approx(asked, rel=1e-6, abs=1e-6 * float(resource.capacity))


@settings(max_examples=80)
@given(contended())
def test_contention_never_beats_the_bounds(case: tuple[list[Resource], list[tuple[float, Activity]]]) -> None:
    plan = Plan()
    for _, activity in case[1]:
        plan.add(activity, after=())
    bound = float(closed_form(plan).time)
    alone = sum(activity.alone for _, activity in case[1])
    assert bound * (1 - 1e-9) <= events(plan).time <= alone * (1 + 1e-9)


def spans(*works: Activity) -> list[float]:
    plan = Plan()
    for work in works:
        plan.add(work, after=())
    return [span.end for span in sorted(events(plan).spans)]


def test_two_copies_share_a_link_and_the_second_speeds_up_when_the_first_ends() -> None:
    # 1 GB and 3 GB over 1 GB/s: half each until 2 s, when 2 GB are left for one alone.
    assert spans(Activity("a", {LINK: 1e9}), Activity("b", {LINK: 3e9})) == pytest.approx([2.0, 4.0])


def test_a_limit_on_one_activity_is_a_private_resource() -> None:
    # Two readers that each may take 0.4 of the link do not slow each other down; a third, free one takes the rest.
    slow = [Activity(f"{i}", {LINK: 4e8, Resource(f"reader {i}", 4e8): 4e8}) for i in range(2)]
    assert spans(*slow) == pytest.approx([1.0, 1.0])


def test_kernels_beyond_the_slots_wait_first_come_first_served() -> None:
    # One at a time though each needs a tenth of the memory: 1, 2 and 3 s; sharing would end all of them at 3 s.
    kernels = [Activity(f"{i}", {GPU: 1.0, HBM: 2e11}) for i in range(3)]
    assert spans(*kernels) == pytest.approx([1.0, 2.0, 3.0])


def test_a_kernel_without_flops_takes_a_slot_too() -> None:
    long, gather = Activity("1", {GPU: 10.0, HBM: 2e9}), Activity("2 gather", {GPU: 0.0, HBM: 2e12})
    assert spans(long, gather) == pytest.approx([10.0, 11.0])


def test_two_slots_share() -> None:
    engine = Resource("e", 1.0, unit="s", slots=2)
    assert spans(*[Activity(f"{i}", {engine: 1.0}) for i in range(4)]) == pytest.approx([2.0, 2.0, 4.0, 4.0])


def test_a_kernel_of_two_engines_waits_for_both_and_holds_up_neither_order() -> None:
    other = Resource("pim", 1.0, unit="s", slots=1)
    both = Activity("2 both", {GPU: 1.0, other: 1.0})
    ends = spans(Activity("1 gpu", {GPU: 1.0}), both, Activity("3 pim", {other: 1.0}))
    assert ends == pytest.approx([1.0, 2.0, 3.0])


def test_latency_uses_nothing() -> None:
    # 1 s of latency passes beside the other's 1 s of work.
    assert spans(Activity("a", {LINK: 1e9}), Activity("b", {LINK: 1e9}, latency=1.0)) == pytest.approx([1.0, 2.0])


def test_an_arrival_slows_down_only_its_component() -> None:
    # a on its own link keeps its end to the bit, whatever happens elsewhere.
    own = Resource("own", 3.0)
    ends = spans(Activity("a", {own: 1.0}), Activity("b", {LINK: 1e9}), Activity("c", {LINK: 1e9}, latency=0.1))
    assert ends[0] == 1.0 / 3.0


def test_a_late_clock_does_not_hang() -> None:
    # At 1e5 s a microsecond is a few ulps of the clock; what matters is that each ends, and in order.
    plan = Plan()
    plan.add(Activity("wait", latency=1e5))
    for _ in range(50):
        plan.add(Activity("tick", {LINK: 1e3}))
    for i in range(5):
        plan.add(Activity(f"together {i}", {LINK: 1e3 + i}), after=(50,))
    assert events(plan).time == pytest.approx(1e5 + 55e-6 + 1e-8, rel=1e-12)


def test_folded_devices_take_as_long_as_devices_one_by_one() -> None:
    def layer(hbm: Resource, link: Resource) -> Plan:
        plan = Plan()
        plan.add(Activity("kernel", {hbm: 1e9}))
        plan.add(Activity("all_reduce", {link: 1e6}, latency=1e-6))
        return plan

    folded, unfolded = Plan(), Plan()
    folded.add(layer(Resource("hbm", 2e12, count=8), Resource("link", 3e11, count=8)), repeat=4)
    for i in range(8):
        unfolded.add(layer(Resource(f"hbm{i}", 2e12), Resource(f"link{i}", 3e11)), after=(), repeat=4)
    assert events(unfolded).time == pytest.approx(events(folded).time, rel=1e-12)
    assert closed_form(unfolded).time == pytest.approx(closed_form(folded).time, rel=1e-12)
