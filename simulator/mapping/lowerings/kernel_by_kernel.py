"""How a GPU, a CPU or a PIM engine runs a block: one kernel after another."""

from __future__ import annotations

from simulator.core import Plan
from simulator.mapping.lowering import Lowering, block_kernels, kernel_plan
from simulator.mapping.target import Target
from simulator.registry import register, registered
from simulator.workload import Block


@register("lowering", "gpu")
@register("lowering", "cpu")
@register("lowering", "pim")
def kernel_by_kernel(target: Target, block: Block) -> Plan:
    """One kernel after another on the engine, each launched for itself; a partial sum is reduced before the next.

    What is one kernel depends on the kind of engine (`FUSION`): of a PIM engine, one operator.
    """
    once = Plan(block.name)
    for kernel in block_kernels(target, block):
        for step in kernel_plan(target, kernel).steps:
            once.add(step.work)
    plan = Plan(block.name)
    plan.add(once, repeat=block.repeat)
    return plan


def by_kernels(target: Target) -> bool:
    """Whether an engine runs a block kernel by kernel, so that another engine may run some of them; else as a whole."""
    lower: Lowering = registered("lowering", target.description.kind)
    return lower is kernel_by_kernel
