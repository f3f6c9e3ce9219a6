"""Who does it, where a machine has several engines: dispatch policies, one a file, registered by name."""

from __future__ import annotations

from simulator.mapping.dispatch import by_op_per_byte, experts_in_memory, oracle, pim_only, static_by_layer, xpu_only
from simulator.mapping.dispatch.dispatched import dispatched
from simulator.mapping.dispatch.policy import Policy, policy
from simulator.mapping.dispatch.route import Choice, Option, Route

__all__ = [
    "Choice",
    "Option",
    "Policy",
    "Route",
    "by_op_per_byte",
    "dispatched",
    "experts_in_memory",
    "oracle",
    "pim_only",
    "policy",
    "static_by_layer",
    "xpu_only",
]
