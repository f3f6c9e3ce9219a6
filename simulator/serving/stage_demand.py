"""What a closed loop demands of its machine, by what is done."""

from __future__ import annotations

from simulator.core import Resource
from simulator.serving.closed_loop import Timed

EXPERTS = "experts"


def demand_by_kind(timed: Timed) -> dict[str, dict[Resource, float]]:
    """Total demand of all stages of a load, as of one device of each node, by what is done.

    That is `attention`, `links` or `other` (`stages.kind_of`), and `experts`, the routed ones.
    """
    total: dict[str, dict[Resource, float]] = {}
    stages, layout = timed.stages, timed.layout

    def add(kind: str, demand: dict[Resource, float], times: int = 1) -> None:
        of = total.setdefault(kind, {})
        for resource, units in demand.items():
            of[resource] = of.get(resource, 0.0) + times * units

    x = layout.features(stages.deployment.nodes)
    for mixed in (False, True):
        at = layout.mixed == mixed
        for kind, demand in stages.shared_demand(x[at], mixed).items():
            add(kind, demand)
        if mixed not in timed.routed:
            continue
        routed = timed.routed[mixed]
        rounds, rest = divmod(int(at.sum()), len(routed.counts))
        if rounds:
            add(EXPERTS, routed.whole_demand, rounds)
        if rest:
            add(EXPERTS, routed.demand(slice(rest)))
    return total
