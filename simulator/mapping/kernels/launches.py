"""How a graph is launched: the kernels of an engine, or given ones, and what these move over their boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.config.choose import check_name
from simulator.errors import ConfigError
from simulator.mapping.dataflow.programs import programs
from simulator.mapping.kernels.kernels import Kernel, kernels, kernels_of
from simulator.mapping.lowering import fusion
from simulator.mapping.lowerings.kernel_by_kernel import by_kernels
from simulator.mapping.target import Target, program_key
from simulator.workload import Block, OperatorGraph


@dataclass(frozen=True)
class Launches:
    """Kernels of a graph on one of the devices that share it.

    Attributes:
        calls: how often a kernel is started.
        largest: operators of the kernel that has most.
        flops: of all kernels.
        bytes: over the boundaries of all kernels, both ways.
    """

    calls: float = 0.0
    largest: int = 0
    flops: float = 0.0
    bytes: float = 0.0

    def plus(self, some: Sequence[Kernel], times: float, calls: float) -> Launches:
        """With `calls` calls of some kernels, which do their work so many `times`."""
        return Launches(
            self.calls + calls,
            max(self.largest, *(len(kernel.operators) for kernel in some)),
            self.flops + times * sum(float(kernel.flops) for kernel in some),
            self.bytes + times * sum(float(kernel.traffic) for kernel in some),
        )


def launches(target: Target, graph: OperatorGraph) -> Launches:
    """The kernels that an engine makes of a graph of one size, as it fuses operators.

    Those of a dataflow engine may hold several repeats of a block, or go through all of them in one call.
    """
    total = Launches()
    for block in graph.blocks:
        if by_kernels(target):
            made = kernels(block, fusion(target.description), target.ways)
            total = total.plus(made, block.repeat, block.repeat * len(made))
            continue
        (program,) = target.programs.get(program_key(block)) or programs(target, block)
        whole, pipelines = program.of(block), program.partition.pipelines
        made = kernels_of(whole, program.groups, target.ways)
        total = total.plus(made, whole.repeat, whole.repeat * sum(pipeline.launches for pipeline in pipelines))
    return total


def launches_of(graph: OperatorGraph, groups: Sequence[Sequence[str]]) -> Launches:
    """The kernels of a graph of one block, given by the names of their operators.

    Raises:
        ConfigError: a graph of several blocks; an operator that it has not, or one that is in no kernel or in several.
    """
    if len(graph.blocks) != 1:
        raise ConfigError(found=f"a graph of {len(graph.blocks)} blocks", expected="one of one block")
    (block,) = graph.blocks
    _check_all_once(block, [name for group in groups for name in group])
    return Launches().plus(kernels_of(block, groups), block.repeat, block.repeat * len(groups))


def _check_all_once(block: Block, names: Sequence[str]) -> None:
    for name in names:
        check_name(name, list(block.graph), message="no such operator")
    for name in block.graph:
        if names.count(name) != 1:
            raise ConfigError(f"operator '{name}'", found=f"in {names.count(name)} kernels", expected="in one")
