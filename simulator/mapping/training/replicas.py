"""Replicas that train together: the part of the state that each holds, and what they send to one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.core import Plan
from simulator.errors import ConfigError
from simulator.mapping.form import Sharded
from simulator.mapping.parallel.collective import Kind, Level, on_shared_link, over
from simulator.mapping.target import Target
from simulator.mapping.training.kept import WEIGHTS

STAGES: tuple[Sharded, ...] = ("none", "optimizer", "gradients", "weights")
"""What is sharded, each with all before it."""


@dataclass(frozen=True)
class Replicas:
    """`number` replicas, each of which computes its own sequences (data parallel).

    Gradients are summed over them: by an all-reduce, or where each updates a part of the parameters by a
    reduce-scatter, after which the new weights are gathered; where these are sharded, before each layer and not after
    the update (arXiv 1910.02054, sections 5 and 7).

    Attributes:
        per_node: devices of a node of the whole machine.
    """

    number: int
    sharded: Sharded
    per_node: int

    def shards(self, part: str) -> bool:
        """Whether each holds a part of the weights, gradients or optimizer's numbers."""
        return STAGES.index(self.sharded) >= STAGES.index(_STAGE.get(part, "weights")) and part != "activations"

    def share(self, part: str) -> float:
        """The share of a part that one holds."""
        return 1 / self.number if self.shards(part) else 1.0

    def send(self, target: Target, kind: Kind, size: float) -> Plan:
        """A collective over the replicas, of `size` bytes on all devices of each; of nothing, an empty plan.

        Devices of one place in their replicas go together: inside each node, then between the nodes with their shards
        over the link of the node, of which each replica has its part.
        """
        own = min(target.ways, self.per_node)
        within = min(self.number, self.per_node // own)
        device = size / target.ways
        levels = [Level(target.device, within, device)]
        between = [Level("node", self.number // within, device * own / within)]
        plan = Plan(kind)
        for each in over(levels, target.system, kind):
            plan.add(each)
        for each in over(between, target.system, kind):
            plan.add(on_shared_link(target, each, within))
        return plan


_STAGE: Mapping[str, Sharded] = {
    "optimizer": "optimizer",
    "gradients": "gradients",
    **dict.fromkeys(WEIGHTS, "weights"),
}


def replicas(number: int, sharded: Sharded, per_node: int, rules: bool) -> Replicas:
    """Replicas of a mapping.

    Raises:
        ConfigError: one that shards; rules of placement with several, whose hosts they would share.
    """
    if number == 1 and sharded != "none":
        raise ConfigError(path=("sharded",), found=f"'{sharded}' of one replica", expected="none, or data: 2 or more")
    if number > 1 and rules:
        expected = "no rules with replicas, or data: 1: how replicas share a host is not modelled"
        raise ConfigError(path=("placement",), found=f"rules with data {number}", expected=expected)
    return Replicas(number, sharded, per_node)
