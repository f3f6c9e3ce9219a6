"""A Composition of Experts: many expert models, of which each prompt needs one, behind a router.

The experts' home is a large tier; those in use are copied to a fast one, whose residency decides what leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from simulator.core import Activity
from simulator.core.residency import Residency, policy
from simulator.errors import CapacityError

if TYPE_CHECKING:
    from simulator.core.events import Event, Process


@dataclass(frozen=True)
class Service:
    """What a CoE service is made of, whatever the machine.

    Attributes:
        router: what routing a batch of prompts takes, once a batch.
        expert: what one prompt takes on its expert, once the expert is resident.
        switch: the copy of one expert from its home to the fast tier.
        expert_bytes: bytes of one expert.
        cache_bytes: bytes of the fast tier that experts may fill: what router and KV caches leave.
        home_bytes: bytes of the tier where all experts have their home.
        policy: what leaves the fast tier: a registered residency policy.
        prefetch: copy the next prompt's expert while the current one runs: `none`; `batch`, where the next prompt is
            of the same batch and so is routed; `trace`, where all choices are known ahead (a bound).
        group: serve the prompts of a batch expert by expert, in the order in which each is first asked for.
    """

    router: Activity
    expert: Activity
    switch: Activity
    expert_bytes: int
    cache_bytes: int
    home_bytes: int
    policy: str = "lru"
    prefetch: Literal["none", "batch", "trace"] = "none"
    group: bool = False


@dataclass(frozen=True, eq=False)
class Batches:
    """What each batch took, in seconds; arrays with one element a batch.

    `latency` is from the batch's start to the end of its last prompt; `router`, `switch` and `expert` are what its
    prompts waited for each: they add up to `latency`.
    """

    latency: NDArray[np.float64]
    router: NDArray[np.float64]
    switch: NDArray[np.float64]
    expert: NDArray[np.float64]
    misses: NDArray[np.int64]


def serve(service: Service, experts: int, choices: Sequence[int], batch: int) -> Batches:
    """Serve prompts in batches, one batch after another, event by event.

    A batch is routed once; then each prompt in turn waits until its expert is resident and runs on it. An expert is
    pinned while it is copied and while it runs. `choices[i]` is the expert of prompt i; the last batch may be smaller.

    Raises:
        CapacityError: the home cannot hold all experts, or the fast tier not one (two with prefetch).
    """
    _check(service, experts)
    batches = [list(choices[i : i + batch]) for i in range(0, len(choices), batch)]
    if service.group:
        batches = [sorted(prompts, key=prompts.index) for prompts in batches]
    run = _Run(service, batches)
    run.loop.process(run.serve())
    run.loop.until_idle()
    latency, router, switch, expert, misses = np.array(run.rows, dtype=np.float64).reshape(-1, 5).T
    return Batches(latency, router, switch, expert, misses.astype(np.int64))


class _Run:
    """One run of a service: where each prompt waits."""

    def __init__(self, service: Service, batches: list[list[int]]) -> None:
        from simulator.core.events import EventLoop  # which loads a simulator that no closed form needs

        self.service, self.batches = service, batches
        self.order = [choice for batch in batches for choice in batch]
        self.loop = EventLoop()
        self.residency = Residency(service.cache_bytes, policy(service.policy, self.order), "the fast tier")
        self.rows: list[tuple[float, float, float, float, int]] = []
        self._asked: dict[int, Event | None] = {}  # ahead, by prompt

    def serve(self) -> Process:
        first = 0
        for batch in self.batches:
            last = first + len(batch) - 1
            start, missed = self.loop.now, self.residency.misses
            yield self.loop.run(self.service.router)
            routed = self.loop.now
            waited = 0.0
            known = {"none": -1, "batch": last, "trace": len(self.order) - 1}[self.service.prefetch]
            for prompt in range(first, last + 1):
                asked = self.loop.now
                copy = self._asked.pop(prompt) if prompt in self._asked else self._ask(prompt)
                if copy is not None:
                    yield copy
                waited += self.loop.now - asked
                if prompt < known:
                    self._asked[prompt + 1] = self._ask(prompt + 1)
                yield self.loop.run(self.service.expert)
                self.residency.unpin(self.order[prompt])
            end, misses = self.loop.now, self.residency.misses - missed
            self.rows.append((end - start, routed - start, waited, end - routed - waited, misses))
            first = last + 1

    def _ask(self, prompt: int) -> Event | None:
        """Request a prompt's expert and pin it; the end of its copy, or None where it is resident."""
        expert = self.order[prompt]
        hit = self.residency.request(expert, self.service.expert_bytes)
        self.residency.pin(expert)
        return None if hit else self.loop.run(self.service.switch)


def _check(service: Service, experts: int) -> None:
    if experts * service.expert_bytes > service.home_bytes:
        most = service.home_bytes // service.expert_bytes
        raise CapacityError(
            f"{experts} experts in their home",
            needed=experts * service.expert_bytes,
            available=service.home_bytes,
            remedy=f"{most} experts fit",
        )
    at_once = 1 if service.prefetch == "none" else 2
    if at_once * service.expert_bytes > service.cache_bytes:
        raise CapacityError(
            f"{at_once} expert{'s' * (at_once > 1)} in the fast tier",
            needed=at_once * service.expert_bytes,
            available=max(service.cache_bytes, 0),
            remedy="smaller experts, fewer KV caches, or more devices",
        )
