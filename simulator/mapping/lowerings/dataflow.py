"""How a dataflow engine runs a block: fused kernels, each a pipeline on its grid, one after another."""

from __future__ import annotations

import numpy as np

from simulator.core import Plan, closed_form
from simulator.mapping.dataflow.pipeline import pipeline_plan
from simulator.mapping.dataflow.programs import Program, programs
from simulator.mapping.target import Target, program_key
from simulator.registry import register
from simulator.workload import Block


@register("lowering", "dataflow")
def dataflow(target: Target, block: Block) -> Plan:
    """The kernels of the block's program (`mapping/dataflow/programs.py`), launched one after another.

    The programs are those that the target has for the block, else those compiled for the sizes of the block itself.
    Where there are several, each size runs on the fastest of those that hold it; what none holds, on the last.

    Raises:
        ConfigError: the machine is given as arrays of design points.
    """
    compiled: tuple[Program, ...] = target.programs.get(program_key(block)) or programs(target, block)
    plans = [_plan(target, block, program) for program in compiled]
    if len(plans) == 1:
        return plans[0]
    held = [program.holds(target, block) for program in compiled]
    times = [np.where(fits, closed_form(plan).time, np.inf) for fits, plan in zip(held, plans, strict=True)]
    fastest = np.where(np.any(held, axis=0), np.argmin(times, axis=0), len(plans) - 1)
    chosen = [(plan, fastest == index) for index, plan in enumerate(plans) if np.any(fastest == index)]
    if len(chosen) == 1:
        return chosen[0][0]
    together = Plan(block.name)
    for plan, runs in chosen:
        together.add(plan.scaled(runs.astype(float)))
    return together


def _plan(target: Target, block: Block, program: Program) -> Plan:
    """All repeats of a block under one of its programs."""
    one = program.of(block)
    once = Plan(one.name)
    for pipeline in program.partition.pipelines:
        once.add(pipeline_plan(target, one, pipeline))
    plan = Plan(block.name)
    plan.add(once, repeat=one.repeat)
    return plan
