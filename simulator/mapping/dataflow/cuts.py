"""The kernels that a block can be cut into: the convex cuts of its graph.

A down-set holds, with each operator, all that feed it: what may be done by some moment. A kernel is what lies between
two down-sets, one within the other; a chain of down-sets from the empty one to the whole block is a partition into
kernels that can run one after another, and each such partition is a chain. Layers are narrow: their graphs have tens of
down-sets, where the subsets of their operators are millions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.workload import Block

WIDE = 300  # down-sets: beyond, operators that meet in one reader are taken together
MOST = 500  # beyond, a partition would take minutes
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cuts:
    """All kernels of a block.

    Attributes:
        names: the operators, in the order of the pass.
        members: (kernels, operators) whether a kernel has an operator.
        chains: (starts, ends, kernel) of every step from one down-set to a larger one, by the index of each; the
            down-sets are ordered so that a step leads to a higher index; 0 is empty, the last is the block.
        down_sets: how many there are.
        coarse: whether operators were taken together, so that some kernels are missing.
    """

    names: tuple[str, ...]
    members: NDArray[np.bool_]
    chains: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    down_sets: int
    coarse: bool

    def groups(self, kernels: Sequence[int]) -> list[list[str]]:
        """The operators of each of some kernels, by name."""
        return [[name for name, inside in zip(self.names, self.members[k], strict=True) if inside] for k in kernels]


@lru_cache(maxsize=32)
def cuts(block: Block) -> Cuts:
    """All convex cuts of a block, and the chains that they form.

    An operator that nothing in the block waits for (but the block's exit) goes with the last of those that feed it: the
    gradient of a weight is made where the gradient that it needs is. Elsewhere no chain is lost. Where a
    graph is so wide that it has more than `WIDE` down-sets, the operators that feed a join of several, and nothing
    else, go with it too (the real products of a complex one, with their sum).

    Raises:
        ConfigError: more down-sets than can be looked at.
    """
    names = tuple(block.graph)
    feeders = _feeders(block)
    sets = _down_sets(feeders, WIDE)
    if not sets:
        feeders = _feeders(block, joined=True)
        sets = _down_sets(feeders, MOST)
    if not sets:
        expected = f"at most {MOST:,} states in which it may stand; fusion: conventional has no such limit"
        raise ConfigError(f"{block.name} branches too widely to be partitioned", expected=expected)
    masks: dict[int, int] = {}
    starts, ends, kernels = [], [], []
    for end, larger in enumerate(sets):
        for start in range(end):
            smaller = sets[start]
            if smaller & larger == smaller:
                starts.append(start)
                ends.append(end)
                kernels.append(masks.setdefault(larger & ~smaller, len(masks)))
    members = np.array([[mask >> i & 1 for i in range(len(names))] for mask in masks], dtype=bool)
    return Cuts(
        names, members, (np.array(starts), np.array(ends), np.array(kernels)), len(sets), len(feeders) < len(names)
    )


def _feeders(block: Block, joined: bool = False) -> dict[int, int]:
    """Bits that stand and fall together, each with the bits of all that must be done before or with them."""
    graph = block.graph
    bit = {name: 1 << i for i, name in enumerate(graph)}
    home = dict.fromkeys(graph, "")
    for name in graph:
        before = list(graph.predecessors(name))
        if before and not any(graph.successors(name)) and name != block.exit:
            home[name] = max(before, key=lambda feeder: bit[feeder])
    for name in graph if joined else ():
        after = list(graph.successors(name))
        if len(after) == 1 and graph.in_degree(after[0]) > 1 and not home[after[0]]:
            home[name] = after[0]
    together: dict[str, int] = {}
    for name in graph:
        root = name
        while home[root]:
            root = home[root]
        together[root] = together.get(root, 0) | bit[name]
    return {bits: _needed(block, bits, bit) for bits in together.values()}


def _needed(block: Block, bits: int, bit: dict[str, int]) -> int:
    """The bits, and those of all operators that feed them."""
    needed = bits
    for name in block.graph:
        if bit[name] & bits:
            for feeder in block.graph.predecessors(name):
                needed |= bit[feeder]
    return needed


def _down_sets(feeders: dict[int, int], most: int) -> list[int]:
    """Every down-set as bits, by how many operators it has; none of them where there are more than `most`."""
    closed, open_ = {0}, [0]
    while open_:
        done = open_.pop()
        for bits, needed in feeders.items():
            if not done & bits and not needed & ~bits & ~done:
                larger = done | bits
                if larger not in closed:
                    closed.add(larger)
                    open_.append(larger)
        if len(closed) > most:
            return []
    return sorted(closed, key=lambda bits: (bits.bit_count(), bits))
