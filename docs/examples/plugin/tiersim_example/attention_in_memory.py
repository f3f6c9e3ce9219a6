"""A dispatch policy: attention of what decodes on the engine in the memory, all else beside it."""

from simulator.plugin import Choice, Route, register


@register("dispatch", "attention_in_memory")
def attention_in_memory(route: Route) -> list[Choice]:
    """Units that serve one phase alone are its attention; without an engine of either kind, all is on the first."""
    places = {target.description.in_memory: place for place, target in reversed(list(enumerate(route.engines)))}
    inside, beside = places.get(True, 0), places.get(False, 0)
    choices: list[Choice] = []
    for step in route.steps:
        option = tuple(inside if unit.phase == "decode" else beside for unit in step)
        choices.append(route.options(step).index(option))
    return choices
