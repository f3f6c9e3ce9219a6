"""The fastest way through a block, by the cost model itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.core import Quantity, closed_form
from simulator.mapping.dispatch.policy import policy
from simulator.mapping.dispatch.route import Choice, Option, Route
from simulator.registry import names, register


@register("dispatch", "oracle")
def oracle(route: Route) -> list[Choice]:
    """At each point the fastest of a shortest path over the steps, and of what every other policy chooses.

    The path counts the time of each step by each option, and copies as if all that a step reads had been made by the
    step before it. Over one memory nothing is copied, and the path is the optimum; else what another policy finds may
    be better, so that they are asked too.
    """
    others = [policy(name)(route) for name in names("dispatch") if name != "oracle"]
    candidates = [_shortest(route), *others]
    times = _stacked(closed_form(route.plan(choices)).time for choices in candidates)
    best = np.argmin(times, axis=0)
    if best.ndim == 0:
        return candidates[int(best)]
    return [_picked(each, best) for each in zip(*candidates, strict=True)]


def _shortest(route: Route) -> list[Choice]:
    """Dynamic programming over the steps, with the option last taken as the state; arrays over points throughout."""
    costs: list[Quantity] = [0.0]
    before: list[Option | None] = [None]
    origins: list[list[NDArray[np.int64]]] = []  # of each step and option, the best option of the step before
    for step in route.steps:
        options = route.options(step)
        reached: list[Quantity] = []
        origins.append([])
        for option in options:
            ways = _stacked(
                cost + (0.0 if last is None else route.moved(step, option, last[0]))
                for cost, last in zip(costs, before, strict=True)
            )
            origins[-1].append(np.argmin(ways, axis=0))
            reached.append(np.min(ways, axis=0) + route.seconds(step, option))
        costs, before = reached, list(options)
    choices: list[NDArray[np.int64]] = [np.argmin(_stacked(costs), axis=0)]
    for back in reversed(origins[1:]):
        choices.append(_picked(back, choices[-1]))
    return [choice if choice.ndim else int(choice) for choice in reversed(choices)]


def _stacked(values: Iterable[Quantity]) -> NDArray[np.float64]:
    return np.stack(np.broadcast_arrays(*values))


def _picked(candidates: Sequence[Choice], index: NDArray[np.int64]) -> NDArray[np.int64]:
    """At each point, that of the candidates which the index names there."""
    table = np.stack(np.broadcast_arrays(*candidates, index)[:-1])
    place = np.broadcast_to(index, table.shape[1:])[np.newaxis]
    picked: NDArray[np.int64] = np.take_along_axis(table, place, axis=0)[0]
    return picked
