"""The generation of a static batch: one prefill, then a decode step for each further token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.core import Activity, Plan, Resource, closed_form, paced
from simulator.core.account import over_steps
from simulator.mapping.passes import Passes, step_contexts


@dataclass(frozen=True, eq=False)
class Generation:
    """Plans and times of a static batch.

    Attributes:
        prefill: computes the prompts, and gives each its first token.
        steps: the decode steps, step i = 0, 1, ... over `input + i` tokens of context (of those that give more than
            one token, so many more each): one plan whose demands are arrays with one element a step; None where one
            token is all.
        ttft: seconds of the prefill.
        step_times: seconds of each step.
    """

    prefill: Plan
    steps: Plan | None
    ttft: float
    step_times: NDArray[np.float64]

    @property
    def seconds(self) -> float:
        """From the start to the last token."""
        return self.ttft + float(np.sum(self.step_times))

    def demand(self) -> dict[Resource, float]:
        """Total demand of the prefill and all steps."""
        return over_steps([(self.prefill, 1), *([(self.steps, len(self.step_times))] if self.steps else [])])

    def activity(self, name: str) -> Activity:
        """The whole generation as one activity: its time, and its total demands spread over it."""
        return paced(name, self.seconds, self.demand())


def generated(passes: Passes, input: int, output: int) -> Generation:
    """Time the prefill, and the steps each over its own context, in closed form."""
    steps, times = None, np.empty(0)
    if output > 1:
        contexts = step_contexts(input, output, passes.tokens)
        steps = passes.step(contexts)
        times = np.array(np.broadcast_to(closed_form(steps).time, contexts.shape))
    return Generation(passes.first, steps, float(closed_form(passes.first).time), times)
