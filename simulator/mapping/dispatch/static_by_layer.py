"""Each kind of layer has its engine, by what is known of its Op/B before anything runs."""

from __future__ import annotations

from simulator.mapping.dispatch.policy import compute_engine, memory_engine
from simulator.mapping.dispatch.route import Choice, Route
from simulator.mapping.dispatch.units import Unit
from simulator.registry import register


@register("dispatch", "static_by_layer")
def static_by_layer(route: Route) -> list[Choice]:
    """Attention of sequences that decode goes to the engine of low Op/B; so do experts, where no prompt is computed.

    All else goes to the engine of high Op/B: projections, dense FFNs, attention of prompts, and the experts of a mixed
    stage. Source: Duplex, arXiv 2409.01141, section V.
    """
    return by_layer(route, experts_low=not route.mixed)


def by_layer(route: Route, experts_low: bool) -> list[Choice]:
    """Attention of sequences that decode, and experts if `experts_low`, to the engine of low Op/B; else the other."""
    low, high = memory_engine(route), compute_engine(route)

    def engine(unit: Unit) -> int:
        return low if unit.phase == "decode" or (unit.routed and experts_low) else high

    return [route.options(step).index(tuple(engine(unit) for unit in step)) for step in route.steps]
