"""All on the engine with the lowest ridge."""

from __future__ import annotations

from simulator.mapping.dispatch.policy import memory_engine
from simulator.mapping.dispatch.route import Choice, Route
from simulator.registry import register


@register("dispatch", "pim_only")
def pim_only(route: Route) -> list[Choice]:
    """Every unit on the engine of the lowest Op/B."""
    engine = memory_engine(route)
    return [route.option(step, engine) for step in route.steps]
