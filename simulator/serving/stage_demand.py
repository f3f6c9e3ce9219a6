"""What a closed loop demands of its machine, by what is done."""

from __future__ import annotations

from simulator.core import Resource, add
from simulator.serving.closed_loop import Timed
from simulator.serving.stages import EXPERTS


def demand_by_kind(timed: Timed) -> dict[str, dict[Resource, float]]:
    """Total demand of all stages of a load, as of one device of each node, by what is done.

    That is `attention`, `links` or `other` (`stages.kind_of`), and `experts`, the routed ones.
    """
    total: dict[str, dict[Resource, float]] = {}
    for mixed in (False, True):
        at = timed.layout.mixed == mixed
        for kind, demand in timed.stages.shared_demand(timed.features[at], mixed).items():
            add(total.setdefault(kind, {}), demand)
        if mixed not in timed.routed:
            continue
        routed = timed.routed[mixed]
        rounds, rest = divmod(int(at.sum()), len(routed.counts))
        if rounds:
            add(total.setdefault(EXPERTS, {}), routed.whole_demand, rounds)
        if rest:
            add(total.setdefault(EXPERTS, {}), routed.demand(slice(rest)))
    return total
