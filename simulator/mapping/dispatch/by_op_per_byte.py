"""Each unit goes where its Op/B promises the highest rate: the ridge-point rule, for any engines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.core import Quantity
from simulator.mapping.dispatch.policy import rates
from simulator.mapping.dispatch.route import Choice, Route
from simulator.mapping.dispatch.units import Unit
from simulator.registry import register


@register("dispatch", "by_op_per_byte")
def by_op_per_byte(route: Route) -> list[Choice]:
    """The engine that attains the most FLOP/s at the unit's Op/B: `min(peak, op_per_byte * bandwidth)`, its roofline.

    Of two engines that is the one of more bandwidth up to the Op/B at which its peak rate meets the bandwidth of the
    other, and the one of more compute beyond; an engine of more devices attains as much more. What copies between
    memories cost is not looked at.
    """
    choices: list[Choice] = []
    for step in route.steps:
        best = [_best(route, unit) for unit in step]
        places = np.zeros(np.broadcast_shapes(*(np.shape(engine) for engine in best)), dtype=np.int64)
        for engine in best:  # options count through the engines of the last unit first
            places = places * len(route.engines) + engine
        choices.append(places if places.ndim else int(places))
    return choices


def _best(route: Route, unit: Unit) -> NDArray[np.int64]:
    """The engine of a unit, at each point; of equals, the one named first, and of what has no FLOPs, by its bytes."""
    seconds: list[Quantity] = []
    for engine, target in enumerate(route.engines):
        peak, bandwidth = rates(target)
        flops, traffic = route.op_per_byte(unit, engine)
        seconds.append(np.maximum(flops / peak, traffic / bandwidth))
    best: NDArray[np.int64] = np.argmin(np.stack(np.broadcast_arrays(*seconds)), axis=0)
    return best
