"""Plans at random."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from simulator.core import Activity, Curve, Plan, Resource

RESOURCES = (
    Resource("hbm", 2e12, efficiency=0.5, energy=4e-12, count=8),
    Resource("gpu", 1.0, "s", energy=300.0, count=8),
    Resource("a->b", 1e11, energy=0.0, count=2),
    Resource("port", 1e12, efficiency=Curve((1e6, 1e8), (0.1, 0.8)), energy=1e-12),
)


def chain(*works: Activity | Plan, repeat: int = 1) -> Plan:
    plan = Plan()
    for work in works:
        plan.add(work, repeat=repeat)
    return plan


def side_by_side(*works: Activity | Plan) -> Plan:
    plan = Plan()
    for work in works:
        plan.add(work, after=())
    return plan


@st.composite
def activities(draw: st.DrawFn, resources: Sequence[Resource] = RESOURCES, least: int = 0) -> Activity:
    """Busy seconds of the resources within a factor of a few of one another."""
    used = draw(st.lists(st.sampled_from(resources), min_size=least, max_size=3, unique=True))
    seconds = {resource: draw(st.floats(0.3, 1.0)) for resource in used}
    demand = {r: s * float(r.rate(1e9)) for r, s in seconds.items()}
    return Activity("a", demand, draw(st.sampled_from([0.0, 0.1]) | st.floats(1e-3, 0.5)))


@st.composite
def plans(draw: st.DrawFn, resources: Sequence[Resource] = RESOURCES, depth: int = 2) -> Plan:
    """Chains, branches that may meet on a resource, joins, and repeats of smaller plans."""
    plan = Plan()
    for index in range(draw(st.integers(1, 4))):
        after = draw(st.none() | st.lists(st.integers(0, index - 1), max_size=2, unique=True)) if index else None
        work = draw(activities(resources) if depth == 0 else activities(resources) | plans(resources, depth - 1))
        plan.add(work, after, draw(st.integers(1, 3)))
    return plan
