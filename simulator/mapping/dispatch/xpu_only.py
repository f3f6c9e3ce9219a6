"""All on the engine with the highest ridge: what a machine without the other would do."""

from __future__ import annotations

from simulator.mapping.dispatch.policy import compute_engine
from simulator.mapping.dispatch.route import Choice, Route
from simulator.registry import register


@register("dispatch", "xpu_only")
def xpu_only(route: Route) -> list[Choice]:
    """Every unit on the engine of the highest Op/B."""
    engine = compute_engine(route)
    return [route.option(step, engine) for step in route.steps]
