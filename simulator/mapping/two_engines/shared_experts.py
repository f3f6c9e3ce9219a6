"""Two engines of one device that share its routed experts, beside the faster of them alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.errors import ConfigError
from simulator.hardware import System
from simulator.mapping.dispatch.policy import ridge
from simulator.mapping.engines import engine_names
from simulator.mapping.target import target
from simulator.mapping.two_engines.expert_costs import Costs, Counts, costs
from simulator.mapping.two_engines.experts import Split, split
from simulator.workload import Model


@dataclass(frozen=True, eq=False)
class SharedExperts:
    """What the experts of a device cost on its engine of high Op/B and on that of low, and how the two share them."""

    high: Costs
    low: Costs
    split: Split

    def speedup(self, counts: Counts) -> float:
        """Mean time of all experts on the faster engine, over that of both engines at once, each with its experts.

        `mean(min(a(all), b(all))) / mean(max(a(own), b(others)))`, a and b the times of a set of experts on the one and
        the other engine, of counts of shape (draws, experts). The engines do not slow each other down.
        """
        on_low = self.split(counts, self.high.each[counts], self.low.each[counts])
        both = np.maximum(self.high.time(counts, ~on_low), self.low.time(counts, on_low))
        return float(np.minimum(self.high.time(counts), self.low.time(counts)).mean() / both.mean())


def shared_experts(system: System, model: Model, engines: Sequence[str], how: str, most: int) -> SharedExperts:
    """The experts of a model, all in one device and each of at most `most` tokens, on two of its engines.

    `engines` are named as a mapping does (none: all of the first device); `how`, a registered split.

    Raises:
        ConfigError: a model without experts; engines that are not two; no such split.
    """
    if model.moe is None:
        raise ConfigError(path="model", found=f"'{model.name}'", expected="a model with experts")
    names = engine_names(system, engines, True, model.dtypes.products)
    if len(names) != 2:
        found = ", ".join(names)
        raise ConfigError(path="engines", found=found, expected="two engines that share the experts")
    pair = [target(system, *name.split(".", 1)) for name in names]
    high, low = (costs(pick(pair, key=ridge), model, most, 1, model.moe.experts) for pick in (max, min))
    return SharedExperts(high, low, split(how))
