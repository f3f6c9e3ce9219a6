"""The programs that a dataflow engine compiles for a block: one, or several where one would serve some sizes badly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.mapping.dataflow.call import fabric, grid
from simulator.mapping.dataflow.demands import demands
from simulator.mapping.dataflow.layout import holds
from simulator.mapping.dataflow.partition import Partition, bound, spanning
from simulator.mapping.dataflow.sizes import Sizes, count, sizes
from simulator.mapping.target import Target
from simulator.registry import register
from simulator.workload import Block
from simulator.workload.operators.graph import unrolled

PRECISION = 0.005  # of the time, that more programs must promise to save before one more is compiled


@dataclass(frozen=True, eq=False)
class Program:
    """The kernels of so many repeats of a block, as they lie on the grid."""

    repeats: int
    partition: Partition

    @property
    def groups(self) -> list[list[str]]:
        """The operators of each kernel."""
        return [list(pipeline.names) for pipeline in self.partition.pipelines]

    def of(self, block: Block) -> Block:
        """A block of any size, as many repeats together as the program serves."""
        return unrolled(block, self.repeats) if self.repeats > 1 else block

    def holds(self, target: Target, block: Block) -> NDArray[np.bool_]:
        """(sizes) whether the buffers of all of its kernels have room for the block."""
        one, ways = self.of(block), target.ways
        fits = [
            holds(demands(one, [p.names], ways), p.layout, grid(target, p.reserved)) for p in self.partition.pipelines
        ]
        held: NDArray[np.bool_] = np.logical_and.reduce(np.broadcast_arrays(*fits))
        return held


NO_STAGE = frozenset({"scan", "conv", "choose"})
"""Operators that go along a sequence or rank all of it, which a pipeline of tiles does not."""


@register("compile", "dataflow")
def programs(target: Target, block: Block) -> tuple[Program, ...]:
    """The programs of a block for all sizes that its quantities are arrays over, smaller sizes first.

    One program is compiled for all, and then for halves of a run of sizes instead, that one in which a program a size
    would save the most; until all that these would save is less than `PRECISION`, or there are `programs` of the
    engine's fabric. Neighbouring elements of the arrays share a program: they should be alike.

    Raises:
        ConfigError: the machine is given as arrays of design points; an operator that no stage of a pipeline computes.
    """
    for operator in block.operators:
        if operator.kind in NO_STAGE:
            found = f"{operator.name}, a {operator.kind}"
            expected = f"none that goes along a sequence or ranks it ({', '.join(sorted(NO_STAGE))})"
            raise ConfigError(
                f"{target.name}: an engine of kind 'dataflow' has no stage for it", found=found, expected=expected
            )
    runs = [_Run(target, block, 0, count(block) or 1)]
    while len(runs) < fabric(target).programs:
        enough = sum(run.seconds for run in runs) / (1 + PRECISION)
        if enough <= sum(run.bound for run in runs) or enough <= sum(run.least for run in runs):
            break
        worst = max((run for run in runs if run.end - run.start > 1), key=lambda run: run.seconds - run.least)
        index, middle = runs.index(worst), (worst.start + worst.end) // 2
        runs[index : index + 1] = [replace(worst, end=middle), replace(worst, start=middle)]
    return tuple(run.program for run in runs)


@dataclass(frozen=True, eq=False)
class _Run:
    """The sizes of a block from `start` to before `end`, which one program serves."""

    target: Target
    block: Block
    start: int
    end: int

    @property
    def program(self) -> Program:
        return self._compiled[0]

    @property
    def seconds(self) -> float:
        """Of a repeat, summed over the sizes."""
        return self._compiled[1]

    @cached_property
    def least(self) -> float:
        """The seconds, if each size had a program of its own."""
        if self.end - self.start == 1:
            return self.seconds
        return sum(weight * _compiled(self.target, one)[1] for one, weight in self._sizes.alone())

    @cached_property
    def bound(self) -> float:
        """Seconds that `least` is not below, found faster."""
        return sum(weight * bound(self.target, one) for one, weight in self._sizes.alone())

    @cached_property
    def _compiled(self) -> tuple[Program, float]:
        return _compiled(self.target, self._sizes)

    @cached_property
    def _sizes(self) -> Sizes:
        return sizes(self.block, self.start, self.end)


def _compiled(target: Target, spread: Sizes) -> tuple[Program, float]:
    """The program for some sizes, and the seconds of a repeat, summed over them."""
    repeats, best = spanning(target, spread)
    return Program(repeats, best), best.seconds / repeats
