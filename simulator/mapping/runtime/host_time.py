"""The time of the host that drives a pass, beside the devices or before them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from simulator.core import Activity, Plan, Quantity, Resource
from simulator.workload import Batch

NAME = "program"
"""What the host keeps busy, one for each stage of a pipeline; static power has its energy."""


@dataclass(frozen=True)
class Host:
    """What a program on the host takes for a pass, in seconds.

    It is `step + layers x layer + sequences x sequence`, and `prompt` more where the pass computes prompts.

    Attributes:
        step, layer, sequence, prompt: seconds.
        overlaps: the pass takes the longer of the host's time and the devices'; else their sum.
        graph: a pass of decode steps alone is launched as one graph, and takes no time a layer.
        place: the name of its resource.
    """

    step: float = 0.0
    layer: float = 0.0
    sequence: float = 0.0
    prompt: float = 0.0
    overlaps: bool = False
    graph: bool = False
    place: str = NAME

    def __bool__(self) -> bool:
        return bool(self.step or self.layer or self.sequence or self.prompt)

    def seconds(self, layers: float, sequences: Quantity, prompts: bool) -> Any:
        """Seconds of a pass through so many layers; `prompts`: whether it computes any."""
        launches = 0.0 if self.graph and not prompts else layers * self.layer
        return self.step + prompts * self.prompt + launches + sequences * self.sequence

    def driving(self, plan: Plan, layers: float, batch: Batch) -> Plan:
        """The plan of a pass of a batch with the host beside it or before it; without a time of it, the plan itself."""
        if not self:
            return plan
        sequences = sum((group.count for group in batch), start=0.0)
        seconds = self.seconds(layers, sequences, any(group.phase == "prefill" for group in batch))
        busy = Activity(self.place, {_program(self.place): seconds if np.ndim(seconds) else float(seconds)})
        driven = Plan(plan.name)
        driven.add(busy)
        driven.add(plan, after=() if self.overlaps else (0,))
        return driven

    def of_stage(self, index: int) -> Host:
        """That of a stage of a pipeline, which has one of its own."""
        return replace(self, place=f"{NAME} of stage {index}")


NO_HOST = Host()


@cache
def _program(place: str) -> Resource:
    """One resource of a name, whatever the plan, so that what plans demand of it adds up."""
    return Resource(place, 1.0, "s", energy=0.0)
