"""As the rule by layers, but experts stay where their weights are."""

from __future__ import annotations

from simulator.mapping.dispatch.policy import compute_engine, memory_engine
from simulator.mapping.dispatch.route import Choice, Route
from simulator.registry import register


@register("dispatch", "experts_in_memory")
def experts_in_memory(route: Route) -> list[Choice]:
    """As `static_by_layer`, but experts are always on the engine of low Op/B: they have their home in its memory."""
    low, high = memory_engine(route), compute_engine(route)
    return [
        route.options(step).index(tuple(low if u.phase == "decode" or u.routed else high for u in step))
        for step in route.steps
    ]
