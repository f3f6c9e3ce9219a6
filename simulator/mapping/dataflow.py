"""How a dataflow engine runs a block: fused kernels, each a pipeline on its grid, one after another."""

from __future__ import annotations

from simulator.core import Plan
from simulator.mapping.partition import spanning
from simulator.mapping.pipeline import pipeline_plan
from simulator.mapping.target import Target
from simulator.registry import register
from simulator.workload import Block


@register("lowering", "dataflow")
def dataflow(target: Target, block: Block) -> Plan:
    """The kernels of the block's partition (`mapping/partition.py`), launched one after another.

    A block whose quantities are arrays over contexts is compiled once, for the longest, as static dataflow is.

    Raises:
        ConfigError: the machine is given as arrays of design points.
    """
    block, found = spanning(target, block)
    once = Plan(block.name)
    for pipeline in found.pipelines:
        once.add(pipeline_plan(target, block, pipeline))
    plan = Plan(block.name)
    plan.add(once, repeat=block.repeat)
    return plan
