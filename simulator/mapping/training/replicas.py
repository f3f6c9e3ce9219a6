"""Replicas that train together: the part of the state that each holds, and what they send to one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from simulator.core import Activity, Plan, Resource
from simulator.errors import ConfigError
from simulator.hardware import System
from simulator.mapping.form import Sharded
from simulator.mapping.parallel.collective import Kind, Level, on_shared_link, over
from simulator.mapping.placement.rule import Rule
from simulator.mapping.target import Target
from simulator.mapping.training.kept import WEIGHTS

STAGES: tuple[Sharded, ...] = ("none", "optimizer", "gradients", "weights")
"""What is sharded, each with all before it."""


@dataclass(frozen=True, eq=False)
class Replicas:
    """`number` replicas, each of which computes its own sequences (data parallel).

    Gradients are summed over them: by an all-reduce, or where each updates a part of the parameters by a
    reduce-scatter, after which the new weights are gathered; where these are sharded, before each layer and not after
    the update (arXiv 1910.02054, sections 5 and 7).

    Attributes:
        system: the whole machine.
    """

    number: int
    sharded: Sharded
    system: System

    def shards(self, part: str) -> bool:
        """Whether each holds a part of the weights, gradients or optimizer's numbers."""
        return STAGES.index(self.sharded) >= STAGES.index(_STAGE.get(part, "weights")) and part != "activations"

    def share(self, part: str) -> float:
        """The share of a part that one holds."""
        return 1 / self.number if self.shards(part) else 1.0

    def within(self, target: Target) -> int:
        """Replicas of one node, which share its host."""
        return min(self.number, self._per_node(target) // self._own(target))

    def crowded(self, target: Target, plan: Plan) -> Plan:
        """A plan of one replica as it goes beside those of its node: of what is not of its devices it has its part.

        Memories, engines and links of the host have `1 / n` of their rate for each of n replicas, all of which do the
        same at once; of links to the devices, each has as many as there are of them for it.
        """
        number = self.within(target)
        if number == 1:
            return plan

        @cache
        def part(resource: Resource) -> Resource:
            share = self._part(target, resource.name, number)
            return resource if share == 1 else replace(resource, capacity=resource.capacity * share)

        def crowd(activity: Activity) -> Activity:
            return replace(activity, demand={part(resource): units for resource, units in activity.demand.items()})

        return plan.mapped(crowd)

    def room(self, target: Target, tier: str) -> float:
        """Bytes of a tier that are free for one replica."""
        share = 1.0 if tier.partition(".")[0] == target.device else 1 / self.within(target)
        return target.system.free(tier) * share

    def send(self, target: Target, kind: Kind, size: float) -> Plan:
        """A collective over the replicas, of `size` bytes on all devices of each; of nothing, an empty plan.

        Devices of one place in their replicas go together: inside each node, then between the nodes with their shards
        over the link of the node, of which each replica has its part.
        """
        own, within = self._own(target), self.within(target)
        device = size / target.ways
        levels = [Level(target.device, within, device)]
        between = [Level("node", self.number // within, device * own / within)]
        plan = Plan(kind)
        for each in over(levels, target.system, kind):
            plan.add(each)
        for each in over(between, target.system, kind):
            plan.add(on_shared_link(target, each, within))
        return plan

    def _part(self, target: Target, name: str, replicas: int) -> float:
        """The part of a resource that each of the replicas of a node has."""
        ends = [end.partition(".")[0] for end in name.split("->")]
        if set(ends) == {target.device} or "node" in ends or " (" in name:  # a private limit is its own
            return 1.0
        if target.device not in ends:
            return 1 / replicas
        return min(self.system.links[name].parallel / replicas / target.system.links[name].parallel, 1.0)

    def _per_node(self, target: Target) -> int:
        return self.system.machine.devices[target.device].count

    def _own(self, target: Target) -> int:
        """Devices of a replica in one node."""
        return min(target.ways, self._per_node(target))


_STAGE: Mapping[str, Sharded] = {
    "optimizer": "optimizer",
    "gradients": "gradients",
    **dict.fromkeys(WEIGHTS, "weights"),
}


def replicas(number: int, sharded: Sharded, system: System, rules: tuple[Rule, ...]) -> Replicas:
    """Replicas of a mapping.

    Raises:
        ConfigError: one that shards; rules of weights with several that each hold all of them.
    """
    if number == 1 and sharded != "none":
        raise ConfigError(path=("sharded",), found=f"'{sharded}' of one replica", expected="none, or data: 2 or more")
    for place, rule in enumerate(rules if number > 1 and sharded != "weights" else ()):
        if weights := [part for part in rule.of if part in WEIGHTS]:
            expected = "sharded: weights, or no weights in a host that replicas share"
            raise ConfigError(path=("placement", place, "of"), found=f"'{weights[0]}'", expected=expected)
    return Replicas(number, sharded, system)
