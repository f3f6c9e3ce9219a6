"""A kind of engine: a block of the model is one kernel, and what its operators hand to one another stays inside."""

from __future__ import annotations

from simulator.plugin import Block, Plan, Target, kernel_plan, kernels_of, register


@register("lowering", "whole_block")
def whole_block(target: Target, block: Block) -> Plan:
    """One launch a block on each device, and the reductions of its partial sums behind it."""
    (kernel,) = kernels_of(block, [list(block.graph)], target.ways)
    plan = Plan(block.name)
    plan.add(kernel_plan(target, kernel), repeat=block.repeat)
    return plan
