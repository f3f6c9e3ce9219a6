"""The sizes that a static program is compiled for: a block whose quantities are arrays, looked at in a few places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from simulator.core import Quantity
from simulator.workload import Block, Operator
from simulator.workload.operators.graph import unrolled
from simulator.workload.operators.operator import Operand

SAMPLES = 4


@dataclass(frozen=True, eq=False)
class Sizes:
    """A block at the sizes that one program serves; at its only one, where its quantities are numbers.

    Attributes:
        block: the block, of all sizes.
        largest: each quantity at its largest: what the chip must have room for.
        samples: the block at some of the sizes, and how many each stands for: what the program's time is summed over.
    """

    block: Block
    largest: Block
    samples: tuple[tuple[Block, float], ...]

    def alone(self) -> Iterator[tuple[Sizes, float]]:
        """Each sample by itself, as a program of its own would serve it, and how many sizes it stands for."""
        for block, weight in self.samples:
            if weight:
                yield Sizes(self.block, block, ((block, 1.0),)), weight

    def unrolled(self, times: int) -> Sizes:
        """The same sizes of so many repeats as one block."""
        samples = tuple((unrolled(block, times), weight) for block, weight in self.samples)
        return Sizes(unrolled(self.block, times), unrolled(self.largest, times), samples)


def sizes(block: Block, start: int = 0, end: int | None = None) -> Sizes:
    """A block at the sizes from `start` to before `end`.

    Its samples are the middles of up to `SAMPLES` equal runs of them; and the ends, which stand for none.
    """
    number = count(block)
    if number is None:
        return Sizes(block, block, ((block, 1.0),))
    bounds = np.arange(number)[start:end]
    middles = {int(part[part.size // 2]): float(part.size) for part in np.array_split(bounds, SAMPLES) if part.size}
    weights = dict.fromkeys((int(bounds[0]), int(bounds[-1])), 0.0) | middles
    samples = tuple((_at(block, lambda q, i=i: q[i]), weight) for i, weight in sorted(weights.items()))
    return Sizes(block, _at(block, lambda q: np.max(q[bounds])), samples)


def count(block: Block) -> int | None:
    """How many sizes a block's quantities are arrays over; None where all are numbers."""
    return max((np.size(q) for q in _quantities(block) if np.ndim(q)), default=None)


def _at(block: Block, value: Callable[..., float]) -> Block:
    """The block with a number for each array."""

    def plain(quantity: Quantity) -> float:
        return float(value(quantity) if isinstance(quantity, np.ndarray) and quantity.ndim else quantity)

    graph = block.graph.copy()
    for name, data in graph.nodes(data=True):
        o: Operator = data["operator"]
        amounts: dict[Operand, Quantity] = {operand: plain(size) for operand, size in o.bytes.items()}
        graph.nodes[name]["operator"] = replace(o, flops=plain(o.flops), bytes=amounts)
    for a, b, data in graph.edges(data=True):
        graph.edges[a, b]["bytes"] = plain(data["bytes"])
    entries = {name: plain(size) for name, size in block.entries.items()}
    return replace(block, graph=graph, entries=entries, tokens=plain(block.tokens))


def _quantities(block: Block) -> Iterator[Quantity]:
    yield block.tokens
    for operator in block.operators:
        yield operator.flops
        yield from operator.bytes.values()
