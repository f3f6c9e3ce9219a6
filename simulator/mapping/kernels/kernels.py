"""Kernels: the operators that run as one launch, and what they move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.config.choose import check_name
from simulator.core import Quantity
from simulator.mapping.kernels.fusion import FUSIONS
from simulator.mapping.parallel.tensor import shard
from simulator.workload import Block, Operator
from simulator.workload.operators.operator import WRITES, Apart


@dataclass(frozen=True, eq=False)
class Kernel:
    """One launch on one of the devices that share the model.

    Attributes:
        operators: each device's share of them.
        read, written: bytes over the boundary of the kernel: weights, keys and values, and the activations that other
            kernels made or will read; what its operators hand to one another stays inside.
        inner: bytes of all that its operators read and write, inside and over the boundary.
        reduces: bytes of each partial sum to be reduced over the devices when it has ended.
    """

    name: str
    operators: tuple[Operator, ...]
    read: Quantity
    written: Quantity
    inner: Quantity
    reduces: tuple[Quantity, ...]

    @property
    def flops(self) -> Quantity:
        return sum((operator.flops for operator in self.operators), start=0.0)

    @property
    def traffic(self) -> Quantity:
        """Bytes over the boundary, both ways."""
        return self.read + self.written

    @property
    def apart(self) -> Apart | None:
        """How its attention reaches keys on other devices; None where all of them are at hand."""
        each = [operator.apart for operator in self.operators if operator.apart]
        passed, sums = (sum((getattr(one, of) for one in each), start=0.0) for of in ("passed", "sums"))
        return Apart(each[0].rounds, passed, sums) if each else None

    @property
    def groups(self) -> Quantity | None:
        """The distinct experts that its rows belong to; None of a kernel that runs no routed expert."""
        return next((operator.groups for operator in self.operators if operator.groups is not None), None)


def kernels(block: Block, fusion: str, ways: int = 1) -> list[Kernel]:
    """The kernels of a block under a fusion mode, divided over `ways` devices."""
    return kernels_of(block, FUSIONS[fusion](block.graph), ways)


def kernels_of(block: Block, groups: Sequence[Sequence[str]], ways: int = 1) -> list[Kernel]:
    """Each group of operators, by name and in the order of the pass, as a kernel, divided over `ways` devices.

    Raises:
        ConfigError: the block has no operator of a name.
    """
    shares = {name: shard(operator, ways) for name, operator in zip(block.graph, block.operators, strict=True)}
    for name in (name for names in groups for name in names):
        check_name(name, shares, message="no such operator")
    return [_kernel(block, names, shares) for names in groups]


def _kernel(block: Block, names: Sequence[str], shares: dict[str, Operator]) -> Kernel:
    inside = set(names)
    read: Quantity = 0.0
    written: Quantity = 0.0
    inner: Quantity = 0.0
    for name in names:
        operator = shares[name]
        for operand, size in operator.bytes.items():
            if operand in WRITES:
                written = written + size
            elif operand not in ("input", "output"):
                read = read + size
        if name == block.exit or any(s not in inside for s in block.graph.successors(name)):
            saved = operator.bytes.get("saved_write", 0.0)  # is the output itself, where it is kept
            written = written + np.maximum(operator.bytes["output"] - saved, 0.0)
        inner = inner + operator.total_bytes
    read = read + sum(arriving(block, names, shares).values(), start=0.0)
    reduces = tuple(shares[name].bytes["output"] for name in names if shares[name].all_reduce)
    return Kernel(_label(block, names), tuple(shares[n] for n in names), read, written, inner, reduces)


def arriving(block: Block, names: Sequence[str], shares: dict[str, Operator]) -> dict[str | None, Quantity]:
    """Bytes that a kernel reads of what each other operator made (None: of the block's input).

    Its operators may read slices (Q, K and V of one product), which add up, or the same tensor, which arrives once: no
    more than the tensor's size.
    """
    inside = set(names)
    total: dict[str | None, Quantity] = {}
    largest: dict[str | None, Quantity] = {}
    for name in names:
        read, whole = shares[name].bytes["input"], block.graph.nodes[name]["operator"].bytes["input"]
        part = _ratio(read, whole)  # of what arrives, this device's
        edges: dict[str | None, Quantity] = {
            p: block.graph.edges[p, name]["bytes"] for p in block.graph.predecessors(name) if p not in inside
        }
        if name in block.entries:
            edges[block.inputs.get(name)] = block.entries[name]
        for producer, size in edges.items():
            total[producer] = total.get(producer, 0.0) + size * part
            largest[producer] = np.maximum(largest.get(producer, 0.0), size * part)
    sizes: dict[str | None, Quantity] = {}
    for producer, most in largest.items():
        made, source = (shares[producer].bytes["output"], producer) if producer in shares else (0.0, None)
        sizes[source] = sizes.get(source, 0.0) + np.minimum(total[producer], np.maximum(made, most))
    return sizes


def _ratio(part: Quantity, whole: Quantity) -> Quantity:
    """`part / whole`, and 1 where there is nothing."""
    if isinstance(whole, np.ndarray):
        return np.divide(part, whole, out=np.ones(whole.shape), where=whole > 0)
    return part / whole if whole else 1.0


def _label(block: Block, names: Sequence[str]) -> str:
    """`attention.q_proj+k_proj+v_proj`; the block's name where it is the whole block."""
    if len(names) == len(block.graph) and len(names) > 1:
        return block.name
    first, *others = (name.split(".") for name in names)
    alike = 0
    while alike < len(first) - 1 and all(other[: alike + 1] == first[: alike + 1] for other in others):
        alike += 1
    return ".".join([*first[:alike], "+".join(".".join(parts[alike:]) for parts in (first, *others))])
