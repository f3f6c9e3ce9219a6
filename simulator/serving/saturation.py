"""Whether a machine keeps up with the requests that come: the rate that it sustains, and the trend of its queue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.serving import closed_loop
from simulator.serving.served import Array, Served
from simulator.serving.stages import Stages
from simulator.workload.requests.lengths import Lengths
from simulator.workload.routing.routers import Router

ROUNDS = 4.0  # of a closed loop: its throughput is then within about 1 % of that of a long one
BATCHES = 20
LEAST = 5 * BATCHES
"""Requests of which a trend can be told."""
OVERLOAD = 1.1
"""Utilisation beyond which a machine does not keep up, whatever a short run shows: `sustained` is within 6 %."""
LEVEL = 0.01
"""Of queues that have settled, at most this share is taken for one that grows."""
STUDENT = 2.53948319
"""What Student's t of `BATCHES - 1` degrees of freedom exceeds with the probability `LEVEL`."""


@dataclass(frozen=True)
class Saturation:
    """How near a run is to what its machine sustains.

    Attributes:
        utilisation: requests that come a second over those that the machine sustains (`sustained`).
        keeps_up: whether requests join as fast as they come; None where the run does not tell.
        undecided: why it does not.
    """

    utilisation: float
    keeps_up: bool | None
    undecided: str = ""


def saturation(served: Served, rate: float, sustained: float) -> Saturation:
    """What a run of requests at `rate` a second shows of a machine that sustains so many a second.

    The machine does not keep up where its queue grows (`grows`) or `OVERLOAD` comes, and does where the queue does not
    grow and less comes than the machine sustains. Nothing is told of fewer than `LEAST` requests, nor of a little more
    than the machine sustains before the queue shows it.
    """
    utilisation, requests = rate / sustained, len(served.queued)
    short, why = trend(served.queued, float(np.max(served.ttft - served.queued)), requests)
    if short is None:
        return Saturation(utilisation, None, why)
    if utilisation > OVERLOAD or not short:
        return Saturation(utilisation, False)
    if utilisation >= 1:
        return Saturation(utilisation, None, f"{requests} requests are too few for the queue to show the overload")
    return Saturation(utilisation, True)


def trend(queued: Array, stage: float, requests: int) -> tuple[bool | None, str]:
    """Whether the queue of so many requests stays short, of which these waits are known; None of too few, and why."""
    if requests < LEAST:
        return None, f"{requests} requests are too few to tell a trend of the queue: {LEAST} do"
    return not grows(queued, stage), ""


def grows(queued: Array, stage: float) -> bool:
    """Whether the wait of requests, in the order of their arrival, has a trend upwards in the second half of a run.

    A queue that grows is a random walk with a drift. Its waits are correlated over the whole run, its increments are
    not: the second half is cut into `BATCHES`, and the mean increment of the wait from one end of a batch to the other
    is compared with its standard error, one-sided, by Student's t at `LEVEL`. Increments of a queue that has settled
    undo one another, so that the test errs less than that, and the less the longer the run. A rise by no more than a
    `stage`, in seconds, is none: a request that finds room waits for the stage under way.
    """
    half = queued[len(queued) // 2 :]
    ends = half[np.linspace(0, len(half) - 1, BATCHES + 1).round().astype(int)]
    increments = np.diff(ends)
    error = increments.std(ddof=1) / np.sqrt(BATCHES)
    return bool(ends[-1] - ends[0] > stage and increments.mean() > STUDENT * error)


def sustained(stages: Stages, lengths: Lengths, slots: int, router: Router | None, seed: int = 0) -> float:
    """Requests a second that a machine ends while others always wait: those of a closed loop of `slots` in flight."""
    layout = closed_loop.layout(lengths, slots, ROUNDS, seed)
    load = closed_loop.load(layout, router, stages.layers, seed)
    return closed_loop.timed(stages, load).served.throughput / lengths.output
