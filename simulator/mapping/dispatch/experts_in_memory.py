"""As the rule by layers, but experts stay where their weights are."""

from __future__ import annotations

from simulator.mapping.dispatch.route import Choice, Route
from simulator.mapping.dispatch.static_by_layer import by_layer
from simulator.registry import register


@register("dispatch", "experts_in_memory")
def experts_in_memory(route: Route) -> list[Choice]:
    """As `static_by_layer`, but experts are always on the engine of low Op/B: they have their home in its memory."""
    return by_layer(route, experts_low=True)
