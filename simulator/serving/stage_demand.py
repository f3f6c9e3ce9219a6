"""What a closed loop demands of its machine, by what is done."""

from __future__ import annotations

from simulator.core import Resource
from simulator.serving.closed_loop import Load
from simulator.serving.stages import Stages

EXPERTS = "experts"


def demand_by_kind(stages: Stages, load: Load) -> dict[str, dict[Resource, float]]:
    """Total demand of all stages of a load, as of one device of each node, by what is done.

    That is `attention`, `links` or `other` (`stages.kind_of`), and `experts`, the routed ones.
    """
    total: dict[str, dict[Resource, float]] = {}

    def add(kind: str, demand: dict[Resource, float], times: int = 1) -> None:
        of = total.setdefault(kind, {})
        for resource, units in demand.items():
            of[resource] = of.get(resource, 0.0) + times * units

    x = load.layout.features(stages.deployment.nodes)
    for mixed in (False, True):
        at = load.layout.mixed == mixed
        for kind, demand in stages.shared_demand(x[at], mixed).items():
            add(kind, demand)
        chosen = load.mixed if mixed else load.decoding
        if chosen is None:
            continue
        rounds, rest = (1, 0) if mixed else divmod(int(at.sum()), len(chosen))
        for times, counts in ((rounds, chosen), (1, chosen[:rest])):
            add(EXPERTS, stages.expert_demand(counts, mixed), times)
    return total
