"""A static batch that spills: in the order that takes the least time, or the one that is given."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from simulator.core import Plan, closed_form
from simulator.errors import CapacityError
from simulator.mapping.passes import Passes, step_contexts
from simulator.mapping.runtime.host_time import NO_HOST, Host
from simulator.mapping.spill.memory_plan import ORDERS
from simulator.mapping.spill.passes import Spill, spills
from simulator.workload import Batch, Model, decode, operator_graph, prefill

if TYPE_CHECKING:
    from simulator.mapping.deployment import Deployment


@lru_cache(maxsize=8)
def spilled(deployed: Deployment, batch: int, input: int, output: int) -> Spill:
    """Where the symbols of a batch of one replica lie, that main memory does not hold.

    Raises:
        CapacityError: both tiers together are too small.
    """
    contexts = step_contexts(input, output)

    def seconds(spill: Spill) -> float:
        passes = spilling(spill, deployed.model, batch, input, deployed.host)
        steps = closed_form(passes.step(contexts)).time if output > 1 else 0.0
        return float(closed_form(passes.first).time) + float(np.sum(np.broadcast_to(steps, contexts.shape)))

    return min(_plans(deployed, batch, input, output), key=seconds)


def fit_spilled(deployed: Deployment, batch: int, input: int, output: int) -> bool:
    """Whether both tiers together hold a batch of one replica, in any order."""
    try:
        return next(_plans(deployed, batch, input, output)) is not None
    except CapacityError:
        return False


def spilling(spill: Spill, model: Model, batch: int, input: int, host: Host = NO_HOST) -> Passes:
    """All devices of a replica share each pass, and read from a second tier what main memory cannot hold."""

    def lowered(use: int, of: Batch) -> Plan:
        return host.driving(spill.lowered(use, operator_graph(model, of), model.name), model.layers, of)

    later = len(spill.uses) - 1
    return Passes(
        lambda: lowered(0, prefill(batch, input)),
        lambda context: lowered(later, decode(batch, context)),
    )


def _plans(deployed: Deployment, batch: int, input: int, output: int) -> Iterator[Spill]:
    """The memory plans, by order, of the prefill and of the decode steps, with room for one token more than these.

    Activations are those of one prompt at a time, as where nothing spills (`held.py`).
    """
    contexts = np.append(step_contexts(input, output), input + output)
    first, later = (operator_graph(deployed.model, each) for each in (prefill(batch, input), decode(batch, contexts)))
    orders = [deployed.spill_order] if deployed.spill_order else list(ORDERS)
    assert deployed.spill
    return spills(deployed.engine, deployed.spill, [(first, 1.0, 1 / batch), (later, output - 1.0, 1.0)], orders)
