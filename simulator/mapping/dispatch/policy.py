"""What a dispatch policy is, and what those that compare engines go by."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from simulator.core import Quantity
from simulator.mapping.dispatch.route import Choice, Route
from simulator.mapping.target import Target
from simulator.registry import registered


class Policy(Protocol):
    """Decides which engine runs each step of a block. Registered under `dispatch`.

    Called once a block (where FLOPs and bytes are arrays, for all points at once), before anything runs; gives one
    choice a step, in order: the place of an option in `route.options(step)`, or an array with one a point. It may ask
    the route for times, FLOPs and bytes, and must not change it.
    """

    def __call__(self, route: Route) -> list[Choice]: ...


def policy(name: str) -> Policy:
    """A registered policy by its name.

    Raises:
        ConfigError: there is none of that name.
    """
    chooser: Policy = registered("dispatch", name)
    return chooser


def rates(target: Target) -> tuple[Quantity, Quantity]:
    """Peak rate, of the dtype that the machine's YAML names first, and bandwidth of main memory as achieved.

    Both are of one device; the bandwidth is the smaller of the port's and, where its bytes go over it, the bus's.
    """
    system, tier = target.system, target.tier
    peak = next(iter(target.description.peak.values())) * target.description.efficiency
    bandwidth: Quantity = system[f"{tier}->{target.name}"].rate(1e12)
    if not target.description.in_memory:
        bandwidth = np.minimum(bandwidth, system[tier].rate(1e12))
    return peak, bandwidth


def ridge(target: Target) -> float:
    """Op/B at which an engine's peak rate and its bandwidth meet (at the mean of design points)."""
    peak, bandwidth = rates(target)
    return float(np.mean(peak / bandwidth))


def compute_engine(route: Route) -> int:
    """The engine made for operators of high Op/B: the one with the highest ridge."""
    return max(range(len(route.engines)), key=lambda e: ridge(route.engines[e]))


def memory_engine(route: Route) -> int:
    """The engine made for operators of low Op/B: the one with the lowest ridge."""
    return min(range(len(route.engines)), key=lambda e: ridge(route.engines[e]))
