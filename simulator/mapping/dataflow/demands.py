"""What the kernels of a block ask of one device, whatever the machine: the arrays that a partition is chosen from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, reduce

import numpy as np

from simulator.core import Quantity
from simulator.mapping.dataflow.allocate import Numbers
from simulator.mapping.dataflow.cuts import Indices, cuts
from simulator.mapping.dataflow.sizes import Sizes, count
from simulator.mapping.parallel.tensor import shard
from simulator.workload import Block, Operator
from simulator.workload.operators.operator import WRITES, Operand


@dataclass(frozen=True, eq=False)
class Demands:
    """What kernels of one block ask of one device.

    Rows are kernels, or the one kernel at many sizes; columns the block's operators.

    Attributes:
        block: the block.
        operators: one device's share of each operator, in the order of the pass.
        feeders: for each operator, the columns of those that feed it.
        readers: (operators) how many read its output.
        members: (kernels, operators) whether a kernel has it.
        read, written: (rows) bytes over the boundary of each kernel.
        kept: (1 or rows, operators) bytes of weights, keys and values that an operator reads.
        made: (1 or rows, operators) bytes of its output.
        arriving: (rows) bytes of activations that come from other kernels.
        sizes: how many the block's quantities are arrays over.
    """

    block: Block
    operators: tuple[Operator, ...]
    feeders: tuple[tuple[int, ...], ...]
    readers: Numbers
    members: Numbers
    read: Numbers
    written: Numbers
    kept: Numbers
    made: Numbers
    arriving: Numbers
    sizes: int | None

    def of(self, kernels: Indices) -> Demands:
        """Of some of the rows, where these are kernels."""
        rows = {name: getattr(self, name)[kernels] for name in ("members", "read", "written", "arriving")}
        return replace(self, **rows)


@dataclass(frozen=True, eq=False)
class SizedDemands:
    """What kernels of one block ask of one device, at the sizes that their program serves (`sizes.py`)."""

    largest: Demands
    samples: tuple[tuple[Demands, float], ...]

    def of(self, kernels: Indices) -> SizedDemands:
        """Of some of the kernels."""
        samples = tuple((each.of(kernels), weight) for each, weight in self.samples)
        return SizedDemands(samples[0][0] if self.samples[0][0] is self.largest else self.largest.of(kernels), samples)


def sized_demands(sizes: Sizes, groups: Sequence[Sequence[str]], ways: int) -> SizedDemands:
    """What given kernels ask."""
    return _sized(sizes, lambda block: demands(block, groups, ways))


def all_sized_demands(sizes: Sizes, ways: int) -> SizedDemands:
    """What every kernel asks that a block can be cut into."""
    return _sized(sizes, lambda block: all_demands(block, ways, sizes.block))


def _sized(sizes: Sizes, at: Callable[[Block], Demands]) -> SizedDemands:
    samples = tuple((at(block), weight) for block, weight in sizes.samples)
    return SizedDemands(samples[0][0] if sizes.samples[0][0] is sizes.largest else at(sizes.largest), samples)


@lru_cache(maxsize=64)
def all_demands(block: Block, ways: int, like: Block) -> Demands:
    """Those of every kernel that a block can be cut into, as one with the same graph is cut; all quantities numbers."""
    return _demands(block, cuts(like).members.astype(float), ways)


def demands(block: Block, groups: Sequence[Sequence[str]], ways: int) -> Demands:
    """Those of given kernels; where the block's quantities are arrays, of one kernel."""
    return _of_groups(block, tuple(map(tuple, groups)), ways)


@lru_cache(maxsize=64)
def _of_groups(block: Block, groups: tuple[tuple[str, ...], ...], ways: int) -> Demands:
    """The same, once for all programs of the block that have these kernels."""
    names = list(block.graph)
    return _demands(
        block, np.array([[name in group for name in names] for group in map(set, groups)], dtype=float), ways
    )


@dataclass(frozen=True, eq=False)
class _Shares:
    """What one device has of the operators of a block, whatever its kernels, as `Demands` has it.

    Attributes:
        stored, saved: (1 or rows, operators) bytes of keys and values that an operator writes; of outputs kept anyway.
    """

    operators: tuple[Operator, ...]
    feeders: tuple[tuple[int, ...], ...]
    readers: Numbers
    kept: Numbers
    stored: Numbers
    made: Numbers
    saved: Numbers
    sizes: int | None


@lru_cache(maxsize=8)
def _shares(block: Block, ways: int) -> _Shares:
    names = list(block.graph)
    shares = tuple(shard(operator, ways) for operator in block.operators)
    column = {name: i for i, name in enumerate(names)}
    return _Shares(
        operators=shares,
        feeders=tuple(tuple(column[f] for f in block.graph.predecessors(name)) for name in names),
        readers=np.array([float(block.graph.out_degree(name)) for name in names]),
        kept=rows(sum((o.bytes[k] for k in o.bytes if _is_kept(k)), start=0.0) for o in shares),
        stored=rows(sum((o.bytes[k] for k in o.bytes if k in WRITES), start=0.0) for o in shares),
        made=rows(o.bytes["output"] for o in shares),
        saved=rows(o.bytes.get("saved_write", 0.0) for o in shares),  # is the output itself, where it is kept
        sizes=count(block),
    )


def _demands(block: Block, members: Numbers, ways: int) -> Demands:
    of = _shares(block, ways)
    arriving = _arriving(block, members, of.operators)
    leaves = _leaving(block, members) * np.maximum(of.made - of.saved, 0.0)
    return Demands(
        block=block,
        operators=of.operators,
        feeders=of.feeders,
        readers=of.readers,
        members=members,
        read=(members * of.kept).sum(axis=1) + arriving,
        written=(members * of.stored).sum(axis=1) + leaves.sum(axis=1),
        kept=of.kept,
        made=of.made,
        arriving=arriving,
        sizes=of.sizes,
    )


def _arriving(block: Block, members: Numbers, shares: Sequence[Operator]) -> Numbers:
    """(rows) bytes of activations that each kernel reads of others, as `mapping/kernels/kernels.py` counts them."""
    readers: dict[int | str | None, list[tuple[int, Quantity]]] = {}
    column = {name: i for i, name in enumerate(block.graph)}
    for i, (name, share, whole) in enumerate(zip(column, shares, block.operators, strict=True)):
        part = share.bytes["input"] / whole.bytes["input"] if np.any(whole.bytes["input"]) else 1.0
        for before in block.graph.predecessors(name):
            readers.setdefault(column[before], []).append((i, block.graph.edges[before, name]["bytes"] * part))
        if name in block.entries:
            readers.setdefault(block.inputs.get(name), []).append((i, block.entries[name] * part))
    arriving: Numbers = np.zeros(1)
    for feeder, slices in readers.items():
        sizes = [members[:, i] * size for i, size in slices]
        made = shares[feeder].bytes["output"] if isinstance(feeder, int) else 0.0
        most = np.maximum(made, reduce(np.maximum, sizes))
        outside = 1 - members[:, feeder] if isinstance(feeder, int) else 1.0
        arriving = arriving + outside * np.minimum(sum(sizes), most)
    return arriving


def _leaving(block: Block, members: Numbers) -> Numbers:
    """(kernels, operators) whether a kernel has an operator whose output another kernel, or block, reads."""
    column = {name: i for i, name in enumerate(block.graph)}
    leaving = np.zeros(members.shape)
    for name, i in column.items():
        inside = [members[:, column[reader]] for reader in block.graph.successors(name)]
        stays = np.min(inside, axis=0) if inside else np.ones(len(members))
        leaving[:, i] = members[:, i] * (1.0 if name == block.exit else 1 - stays)
    return leaving


def rows(quantities: Iterable[Quantity]) -> Numbers:
    """Scalars as one row, arrays as a row an element; a column a quantity."""
    return np.atleast_2d(np.stack(np.broadcast_arrays(*map(np.asarray, quantities)), axis=-1)).astype(float)


def _is_kept(operand: Operand) -> bool:
    return operand not in WRITES and operand not in ("input", "output")
