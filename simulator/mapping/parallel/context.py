"""Context parallelism: groups of devices that share each sequence, each with its part of the tokens, keys and values.

A prompt is computed by ring attention (arXiv 2310.01889): a device has the queries of its tokens, and keys and values
go round, a device's at a time, while those of the device before are attended. What a token is cut into lies so that
all devices attend as much in each round (arXiv 2411.01783; `workload/batch.py: Shard`). Of a window its few keys go
once, before attention. A decode attends its own part of the keys on each device, and the partial outputs are added up,
weighed by their log-sum-exp. All devices have all weights, and all of the new tokens of a decode.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import cast

import numpy as np

from simulator.core import Activity, Plan, Quantity, launched
from simulator.mapping.kernels.kernels import Kernel
from simulator.mapping.lowering import by_size, kernel_activity, kernel_plan
from simulator.mapping.parallel.collective import Kind, Level, joined, on_shared_link, over
from simulator.mapping.target import Target
from simulator.workload import Batch, Operator, Shard
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT, Dtype
from simulator.workload.operators.operator import FLOPS_PER_ELEMENT

SUM_BYTES = 4.0
"""Bytes of a log-sum-exp, in fp32."""


@dataclass(frozen=True)
class Ring:
    """Groups of devices that share each sequence, of which a target is one; all work in lockstep.

    Attributes:
        ways: how many groups.
        per_node: devices of a node of the machine.
    """

    ways: int
    per_node: int

    def cut(self, batch: Batch) -> Batch:
        """What a group has of a batch."""
        return tuple(group if isinstance(group, Shard) else Shard(group, self.ways) for group in batch)

    def hop(self, target: Target, size: Quantity) -> Activity:
        """Each device sends `size` bytes to its peer in the next group, all of them at once.

        Where the groups lie in several nodes, the last one of each node sends over the link of the node, for which the
        others wait; a group demands its mean share of that.
        """
        system, side = target.system, self._side_by_side(target)
        own = joined(system, target.device, self.ways) if min(side, self.ways) > 1 else None
        if own and self.ways <= side:
            return launched("ring", {system[own]: size}, system.links[own].latency)
        link, total = joined(system, "node", self.ways), size * min(target.ways, self.per_node)
        sent = launched("ring", {system[link]: total / side}, system.links[link].latency)
        sent = on_shared_link(target, sent, side)
        inside = {system[own]: size * (1 - 1 / side)} if own else {}
        return launched("ring", {**sent.demand, **inside}, sent.latency)

    def collective(self, target: Target, kind: Kind, size: Quantity) -> list[Activity]:
        """A collective of the peers of all groups, inside each node and then between the nodes.

        Between nodes a group goes on with its share of what its node has.
        """
        within = min(self.ways, self._side_by_side(target))
        nodes, of_node = self.ways // within, size * min(target.ways, self.per_node) / within
        phases = over([Level(target.device, within, size)], target.system, kind, None)
        between = over([Level("node", nodes, of_node)], target.system, kind, None)
        phases += [on_shared_link(target, send, within) for send in between]
        return by_size(target, phases, kind, size, self.ways, nodes)

    def _side_by_side(self, target: Target) -> int:
        """Groups of a node."""
        return max(self.per_node // target.ways, 1)


def shared(target: Target, kernels: Sequence[Kernel]) -> Iterator[Plan]:
    """The kernels of a block where groups share each sequence: attention with what it sends and receives."""
    ring = target.ring
    assert ring
    for rounds, some in groupby(kernels, lambda kernel: kernel.apart.rounds if kernel.apart else 0):
        if rounds > 1:
            yield _rounds(target, ring, list(some), rounds)
            continue
        for kernel in some:
            yield _once(target, ring, kernel)


def _rounds(target: Target, ring: Ring, kernels: list[Kernel], rounds: int) -> Plan:
    """Attention round by round: over a device's keys while those of the next one come, then both outputs merged.

    Of n rounds `(n - 1) max(attention, hop) + attention`; `n - 1` hops, each of a device's keys and values of a layer.
    """
    plan, first = Plan("ring attention"), Plan("round")
    for kernel in kernels:
        first.add(kernel_plan(target, kernel))
    further = Plan("round")
    further.add(first)
    for kernel in kernels:
        if kernel.apart and kernel.apart.partial:
            further.add(kernel_activity(target, merged(kernel, 2)))
    passed: Quantity = sum((kernel.apart.passed for kernel in kernels if kernel.apart), start=0.0)

    def beside(work: Plan) -> Plan:
        both = Plan("round and hop")
        both.add(work)
        both.add(ring.hop(target, passed), after=())
        return both

    plan.add(beside(first))
    if rounds > 2:
        plan.add(beside(further), repeat=rounds - 2)
    plan.add(further)
    return plan


def _once(target: Target, ring: Ring, kernel: Kernel) -> Plan:
    """A kernel after the keys and values of a window have come, and before partial outputs are added up."""
    plan, apart = Plan(kernel.name), kernel.apart
    if apart and np.any(apart.passed):
        plan.add(ring.hop(target, apart.passed))
    plan.add(kernel_plan(target, kernel))
    if apart and apart.partial:
        merge = merged(kernel, 1, ring.ways)
        for send in ring.collective(target, "all_gather", SUM_BYTES * apart.sums * ring.ways):
            plan.add(send)
        plan.add(kernel_activity(target, merge))
        for send in ring.collective(target, "all_reduce", merge.written):
            plan.add(send)
    return plan


def merged(kernel: Kernel, outputs: int, sums: int | None = None) -> Kernel:
    """The kernel that weighs partial outputs of attention by their log-sum-exps, and adds up several of them.

    It reads so many outputs, with as many `sums` for each head and token, and writes one.
    """
    made = next(operator for operator in kernel.operators if operator.apart and operator.apart.partial)
    assert made.apart
    size = made.bytes["output"]
    read = outputs * size + (sums or outputs) * SUM_BYTES * made.apart.sums
    elements = outputs * size / BYTES_PER_ELEMENT[cast("Dtype", made.dtype)]
    flops = elements * FLOPS_PER_ELEMENT["combine"]
    operator = Operator("attention.merge", "combine", flops, {"input": read, "output": size}, made.dtype)
    return Kernel(operator.name, (operator,), read, size, read + size, ())
