"""Kernels: the operators that run as one launch, and what they move."""

from __future__ import annotations

from dataclasses import dataclass
from os.path import commonprefix

import numpy as np

from simulator.core import Quantity
from simulator.mapping.fusion import FUSIONS
from simulator.mapping.tensor_parallel import shard
from simulator.workload import Block, Operator


@dataclass(frozen=True, eq=False)
class Kernel:
    """One launch on one of the devices that share the model.

    Attributes:
        operators: each device's share of them.
        traffic: bytes over the boundary of main memory: weights, keys and values, and the activations that other
            kernels made or will read; what its operators hand to one another stays inside.
        inner: bytes over the boundary of on-chip memory: all that its operators read and write.
        reduces: bytes of each partial sum to be reduced over the devices when it has ended.
    """

    name: str
    operators: tuple[Operator, ...]
    traffic: Quantity
    inner: Quantity
    reduces: tuple[Quantity, ...]

    @property
    def flops(self) -> Quantity:
        return sum((operator.flops for operator in self.operators), start=0.0)


def kernels(block: Block, fusion: str, ways: int = 1) -> list[Kernel]:
    """The kernels of a block under a fusion mode, divided over `ways` devices."""
    shares = {operator.name: shard(operator, ways) for operator in block.operators}
    return [_kernel(block, names, shares) for names in FUSIONS[fusion](block.graph)]


def _kernel(block: Block, names: list[str], shares: dict[str, Operator]) -> Kernel:
    inside = set(names)
    arriving: dict[str | None, Quantity] = {}  # by producer: what several operators read arrives once
    leaving: Quantity = 0.0
    operands: Quantity = 0.0
    inner: Quantity = 0.0
    for name in names:
        operator, whole = shares[name], block.graph.nodes[name]["operator"]
        entries: dict[str | None, Quantity] = {
            p: block.graph.edges[p, name]["bytes"] for p in block.graph.predecessors(name) if p not in inside
        }
        if name in block.entries:
            entries[None] = block.entries[name]
        read, all_of_it = operator.bytes["input"], whole.bytes["input"]
        part = read / all_of_it if np.any(all_of_it) else 1.0  # of what arrives, this device's
        for producer, size in entries.items():
            arriving[producer] = np.maximum(arriving.get(producer, 0.0), size * part)
        if name == block.exit or any(s not in inside for s in block.graph.successors(name)):
            leaving = leaving + operator.bytes["output"]
        moved = {operand: size for operand, size in operator.bytes.items() if operand not in ("input", "output")}
        operands = operands + sum(moved.values(), start=0.0)
        inner = inner + operator.total_bytes
    traffic = operands + leaving + sum(arriving.values(), start=0.0)
    reduces = tuple(shares[name].bytes["output"] for name in names if shares[name].all_reduce)
    return Kernel(_label(block, names), tuple(shares[n] for n in names), traffic, inner, reduces)


def _label(block: Block, names: list[str]) -> str:
    """`attention.q_proj+k_proj+v_proj`; the block's name where it is the whole block."""
    if len(names) == len(block.graph) and len(names) > 1:
        return block.name
    shared = commonprefix(names)
    shared = shared[: shared.rfind(".") + 1]
    return shared + "+".join(name.removeprefix(shared) for name in names)
