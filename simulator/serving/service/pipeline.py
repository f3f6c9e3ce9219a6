"""A replica that is a pipeline: stages one behind another, and as many pools whose iterations are in flight.

That is pipeline parallelism as vLLM has it since 0.5 (its engine V0): a `virtual engine` for each stage, with a
scheduler, a queue and an equal part of the blocks of its own (`engines.py`). A request stays with one, and so is in one
iteration at a time. An engine whose iteration has ended chooses the next one at
once, which waits for the first stage; each stage serves one iteration at a time, in the order in which these were
chosen, and sends what it made before it takes the next one.

Iterations of several engines wait for one another in ways that are no straight line, so each is stepped by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nextafter

from simulator.serving.iteration.flow_shop import FlowShop
from simulator.serving.service.engines import Engines
from simulator.serving.service.pool import Pool


class Pipeline(Engines):
    """The pools that share the stages of a flow shop, seen as one replica."""

    def __init__(self, shop: FlowShop, pools: Sequence[Pool]) -> None:
        super().__init__(pools)
        self.shop = shop

    def _step(self, now: float, first: Pool) -> None:
        self.shop.now = now
        first.advance(nextafter(now, inf))
