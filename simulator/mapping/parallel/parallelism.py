"""How devices share a model: tensor parallel inside a pipeline stage, stages one behind another, replicas side by side.

Devices are numbered so: first those of a tensor-parallel group, then the groups that share sequences, then the stages
of a replica, then the replicas; nodes are filled in that order.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.core import Activity, Quantity, launched
from simulator.errors import ConfigError
from simulator.hardware import System
from simulator.mapping.parallel.collective import joined, on_shared_link
from simulator.mapping.target import Target


@dataclass(frozen=True)
class Parallelism:
    """`tensor` devices share each operator, `context` such groups each sequence, `pipeline` of these each have some
    layers, `data` replicas of all that.

    Raises:
        ConfigError: a number below 1.
    """

    tensor: int
    pipeline: int = 1
    data: int = 1
    context: int = 1

    def __post_init__(self) -> None:
        for name in ("tensor", "pipeline", "data", "context"):
            if getattr(self, name) < 1:
                raise ConfigError(path=name, found=getattr(self, name), expected="1 or more")

    @property
    def devices(self) -> int:
        return self.replica * self.data

    @property
    def replica(self) -> int:
        """Devices of one replica."""
        return self.stage * self.pipeline

    @property
    def stage(self) -> int:
        """Devices of one stage."""
        return self.tensor * self.context

    @property
    def copies(self) -> int:
        """Groups that do the same at once: one of each stage stands for all of them."""
        return self.context * self.data

    @property
    def is_tensor(self) -> bool:
        """Whether all devices are one tensor-parallel group."""
        return self.pipeline == self.data == self.context == 1


def parallelism(
    devices: int, tensor: int | None = None, pipeline: int = 1, data: int = 1, context: int = 1
) -> Parallelism:
    """The parallelism of so many devices; `tensor` follows from the others unless given.

    Raises:
        ConfigError: tensor x pipeline x data x context is not the number of devices.
    """
    parallel = Parallelism(tensor or max(devices // max(pipeline * data * context, 1), 1), pipeline, data, context)
    if parallel.devices != devices:
        ways = {"tensor": tensor or 1, "pipeline": pipeline, "data": data, "context": context}
        stated = {key: number for key, number in ways.items() if number > 1} or {"tensor": 1}
        found = " x ".join(f"{key} {number}" for key, number in stated.items())
        expected = f"ways whose product {'is' if tensor else 'divides'} the number of devices, {devices}"
        raise ConfigError(path=(next(iter(stated)),), found=found, expected=expected)
    return parallel


def group(system: System, device: str, parallel: Parallelism) -> System:
    """The devices of one tensor-parallel group as a machine of their own, whose resources no other stage uses.

    Raises:
        ConfigError: a group, a stage or a replica that is neither a whole part of a node nor whole nodes.
    """
    if parallel.tensor == system.count(device):
        return system
    per_node = system.machine.devices[device].count
    for size in (parallel.tensor, parallel.stage, parallel.replica):
        if per_node % size and size % per_node:
            expected = f"a whole part of the {per_node} {device} of a node, or whole nodes"
            raise ConfigError("devices that share a model", found=size, expected=expected)
    count, nodes = min(parallel.tensor, per_node), max(parallel.tensor // per_node, 1)
    return system.put({"nodes": nodes}).with_devices(count * nodes, device)


def send(system: System, device: str, parallel: Parallelism, stage: int, target: Target, size: Quantity) -> Activity:
    """Send `size` bytes from each device of a stage (a group of them: the `target`) to its peer in the next one; of
    the last, to the first.

    Both hold the whole tensor of their tokens, as after an all-reduce. Inside a node each device puts it on its own
    link; where the next stage lies in another node, all devices of the stage in this node share the link of the node.

    Raises:
        ConfigError: the machine has no link between the devices, or between the nodes.
    """
    per_node, of_stage = system.machine.devices[device].count, target.system
    last = stage == parallel.pipeline - 1
    apart = parallel.replica > per_node if last else (stage + 1) * parallel.stage % per_node == 0
    link = joined(of_stage, "node" if apart else device, parallel.pipeline)
    own = min(parallel.tensor, per_node)
    sent = launched("send", {of_stage[link]: size * own if apart else size}, of_stage.links[link].latency)
    return on_shared_link(target, sent, min(parallel.context, per_node // own)) if apart else sent
