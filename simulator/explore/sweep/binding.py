"""Which resource binds a plan, at many points at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core import Plan
from simulator.core.breakdown import LATENCY


def bound_by(plan: Plan, points: int) -> NDArray[Any]:
    """The name of what binds longest at each point, an object array: a resource, or `latency`.

    As `core/breakdown.py` has it: in each activity the resource with the most busy seconds binds for as long, and its
    latency for itself.
    """
    seconds: dict[str, NDArray[np.float64]] = {}

    def spend(name: str, time: Any, where: Any = True) -> None:
        total = seconds.setdefault(name, np.zeros(points))
        total += np.where(where, time, 0.0)

    for activity, times in plan.activities():
        if np.any(activity.latency):
            spend(LATENCY, activity.latency * times)
        busy = {resource.name: resource.seconds(units) for resource, units in activity.demand.items()}
        if len(busy) == 1 or all(np.ndim(each) == 0 for each in busy.values()):
            if busy:
                longest = max(busy, key=lambda name: float(np.max(busy[name])))
                spend(longest, busy[longest] * times)
        else:
            stacked = np.stack([np.broadcast_to(each, points) for each in busy.values()])
            first = stacked.argmax(axis=0)
            for index, name in enumerate(busy):
                spend(name, stacked[index] * times, first == index)
    names = np.array([*seconds, ""], dtype=object)
    if not seconds:
        return np.full(points, "", dtype=object)
    return np.asarray(names[np.stack(list(seconds.values())).argmax(axis=0)], dtype=object)
