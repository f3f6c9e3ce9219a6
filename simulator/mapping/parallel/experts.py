"""Expert parallelism of a static batch: each replica attends its own sequences, and all devices share the experts.

As DeepSeek-V3 is served (arXiv 2412.19437, section 3.4): whole experts on all devices, and two all-to-alls a layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from simulator.core import Activity, Quantity
from simulator.mapping.parallel.collective import Level, on_shared_link, over
from simulator.mapping.target import Target
from simulator.workload import Block, Model
from simulator.workload.routing.distinct import Routing, uniform


@dataclass(frozen=True)
class Spread:
    """Whole experts, evenly over the devices of all replicas, of which each has tokens of its own.

    Attributes:
        replicas: groups of devices that share attention and dense layers.
        per_node: devices of a node of the machine.
    """

    replicas: int
    per_node: int

    def routing(self, model: Model) -> Routing | None:
        """A replica's share of the distinct experts that the tokens of all replicas touch, by uniform routing."""
        if model.moe is None:
            return None
        distinct = uniform(model.moe.experts, model.moe.top_k)
        return lambda tokens: distinct(tokens * self.replicas) / self.replicas

    def divided(self, block: Block, ways: int) -> Block:
        """A block whose routed experts divide over the `ways` devices of a replica by rows and experts, not columns."""
        graph = block.graph.copy()
        for name in graph:
            operator = graph.nodes[name]["operator"]
            if operator.groups is not None:
                graph.nodes[name]["operator"] = replace(operator, split="elements", groups=operator.groups / ways)
        return replace(block, graph=graph)

    def sends(self, target: Target, size: Quantity, name: str) -> Iterator[Activity]:
        """An all-to-all of all devices, of which each holds `size` bytes: inside each node, then between the nodes.

        A replica puts its own bytes on the link of its node, which all replicas of the node share: each has its part
        of the rate. Nothing where there is one replica: its devices have all its tokens.
        """
        devices = self.replicas * target.ways
        within, own = min(devices, self.per_node), min(target.ways, self.per_node)
        if self.replicas == 1:
            return
        inside, between = [Level(target.device, within, size)], [Level("node", devices // within, size * own)]
        yield from over(inside, target.system, "all_to_all", name)
        for send in over(between, target.system, "all_to_all", name):
            yield on_shared_link(target, send, within // own)
