"""A block on the engines that a policy gives its steps to; on a lone engine, as is registered for its kind."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.core import Plan
from simulator.mapping.dispatch.policy import policy
from simulator.mapping.dispatch.route import Route
from simulator.mapping.lowering import lowered
from simulator.mapping.target import Target
from simulator.workload import Block


def dispatched(engines: Sequence[Target], block: Block, dispatch: str, together: bool = False) -> Plan:
    """All repeats of a block, its steps on `engines` as the policy `dispatch` says; one engine has nothing to choose.

    Raises:
        ConfigError: no such policy; several engines, of which one runs blocks as a whole.
    """
    choose = policy(dispatch)
    if len(engines) == 1:
        return lowered(engines[0], block)
    plan, route = Plan(block.name), Route(tuple(engines), block, together)
    plan.add(route.plan(choose(route)), repeat=block.repeat)
    return plan
