"""The routed experts of stages: what both engines take and spend."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.hardware import load_system
from simulator.serving.stages import Stages
from simulator.workload import load_model
from simulator.workload.routing.draws import pooled
from simulator.workload.routing.routers import uniform
from tests.deployed import deployment

ROUTER = uniform(8, 2)


@pytest.mark.parametrize(("split", "mixed"), [("greedy", True), ("none", False), ("none", True)])
def test_demands_of_the_parts_are_those_of_the_whole(split: str, mixed: bool) -> None:
    system, model = load_system("duplex-node"), load_model("mixtral-8x7b")
    stages = Stages(deployment(system, model, dispatch="static_by_layer", together=True, split=split, experts="tensor"))
    counts = pooled(ROUTER, 24, stages.layers)
    routed = stages.routed(counts, mixed)
    assert stages.routed(counts, mixed) is routed, "of what cannot change"
    assert stages.routed(counts.copy(), mixed) is not routed
    first, last, whole = routed.demand(slice(7)), routed.demand(slice(7, None)), routed.whole_demand
    assert {r.name: first.get(r, 0.0) + last.get(r, 0.0) for r in whole} == pytest.approx(
        {r.name: units for r, units in whole.items()}
    )
    few = stages.routed(counts[:7], mixed)
    assert np.array_equal(few.seconds, routed.seconds[:7])
    assert {r.name: units for r, units in few.whole_demand.items()} == pytest.approx(
        {r.name: u for r, u in first.items()}
    )
