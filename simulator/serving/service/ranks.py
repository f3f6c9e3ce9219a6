"""A replica that is ranks in lockstep: each attends its own sequences, and the devices of all share the routed experts.

That is data-parallel attention with expert parallelism, as vLLM and SGLang have it. A rank has a scheduler, a queue and
blocks of its own. All choose at the same time; one that has nothing to compute takes part without a token, since the
others need its experts; and all end together, when the slowest is done.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.serving.iteration.iterations import Iterations
from simulator.serving.iteration.lockstep import lockstep
from simulator.serving.service.engines import Engines
from simulator.serving.service.pool import Pool


class Ranks(Engines):
    """The pools of ranks in lockstep, seen as one replica."""

    def __init__(self, iterations: Iterations, pools: Sequence[Pool]) -> None:
        super().__init__(pools)
        self.iterations = iterations

    def _step(self, now: float, first: Pool) -> None:
        chosen = [pool.choose(now) for pool in self.pools]
        some = [(each.sums, each.seen) for each in chosen if each]
        if not some:
            for pool in self.pools:
                pool.rest()
            return
        seconds, routed = lockstep(self.iterations, some)
        for pool, each in zip(self.pools, chosen, strict=True):
            pool.commit(each, seconds, routed)
