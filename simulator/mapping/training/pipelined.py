"""Equal pieces of work that go through stages: each stage has one piece while the stage before has the next one."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.core import Activity, Plan


def pipelined(name: str, stages: Sequence[Sequence[Activity | Plan]], pieces: int, beside: bool) -> Plan:
    """`pieces` through `stages`, each of the works that it does on a piece at once; those of none are left out.

    In `pieces + stages - 1` rounds, as every round waits for its slowest stage: the pipeline fills, runs and drains.
    Where stages do not go `beside` one another, or pieces are fewer than they, one after another.
    """
    stages = [stage for stage in stages if stage]
    depth, plan = len(stages), Plan(name)
    if not beside or pieces < depth or depth == 1:
        plan.add(_in_turn(name, stages), repeat=pieces)
        return plan
    for filled in range(1, depth):
        plan.add(_at_once(name, stages[:filled]))
    plan.add(_at_once(name, stages), repeat=pieces - depth + 1)
    for drained in range(1, depth):
        plan.add(_at_once(name, stages[drained:]))
    return plan


def _in_turn(name: str, stages: Sequence[Sequence[Activity | Plan]]) -> Plan:
    plan = Plan(name)
    for stage in stages:
        plan.add(_at_once(name, [stage]))
    return plan


def _at_once(name: str, stages: Sequence[Sequence[Activity | Plan]]) -> Plan:
    plan = Plan(name)
    for work in (work for stage in stages for work in stage):
        plan.add(work, ())
    return plan
