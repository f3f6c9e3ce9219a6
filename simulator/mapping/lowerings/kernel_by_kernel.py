"""How a GPU, a CPU or a PIM engine runs a block: one kernel after another."""

from __future__ import annotations

from simulator.core import Plan
from simulator.mapping.kernels.kernels import Kernel
from simulator.mapping.lowering import Lowering, block_kernels, kernel_plan
from simulator.mapping.parallel.context import shared
from simulator.mapping.target import Target
from simulator.registry import register, registered
from simulator.workload import Block
from simulator.workload.operators.feedforward import EXPERTS


@register("lowering", "gpu")
@register("lowering", "cpu")
@register("lowering", "pim")
def kernel_by_kernel(target: Target, block: Block) -> Plan:
    """One kernel after another on the engine, each launched for itself; a partial sum is reduced before the next.

    What is one kernel depends on the kind of engine (`FUSION`): of a PIM engine, one operator. Rows go to the devices
    of their experts, and back, where replicas share these; keys and values to other devices, where groups of them share
    sequences (`parallel/context.py`).
    """
    plan, once = Plan(block.name), Plan(block.name)
    if target.ring:
        for part in shared(target, block_kernels(target, block)):
            once.add(part)
    else:
        _kernels(target, block, once)
    plan.add(once, repeat=block.repeat)
    return plan


def _kernels(target: Target, block: Block, once: Plan) -> None:
    """The kernels of one repeat, each with the reductions after it, and what experts are sent."""
    spread = target.spread
    kernels = block_kernels(target, spread.divided(block, target.ways) if spread else block)
    for kernel, before in zip(kernels, [None, *kernels], strict=False):
        if spread and _routed(kernel) and not _routed(before):
            for send in spread.sends(target, kernel.operators[0].bytes["input"], "dispatch"):
                once.add(send)
        for step in kernel_plan(target, kernel).steps:
            once.add(step.work)
        if spread and kernel.operators[-1].name.endswith(f"{EXPERTS}.down_proj"):
            for send in spread.sends(target, kernel.operators[-1].bytes["output"], "combine"):
                once.add(send)


def _routed(kernel: Kernel | None) -> bool:
    """Whether a kernel runs routed experts."""
    return kernel is not None and kernel.groups is not None


def by_kernels(target: Target) -> bool:
    """Whether an engine runs a block kernel by kernel, so that another engine may run some of them; else as a whole."""
    lower: Lowering = registered("lowering", target.description.kind)
    return lower is kernel_by_kernel
