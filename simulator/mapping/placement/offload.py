"""Copies and reads of what lies in other tiers than the main memory of an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from simulator.core import Activity, Quantity, Resource, add, launched
from simulator.hardware import System
from simulator.mapping.parallel.collective import joined
from simulator.mapping.placement.rule import INTERLEAVED
from simulator.mapping.placement.spot import Spot, reads
from simulator.mapping.target import Target
from simulator.mapping.transfer import carried, written


@dataclass(frozen=True)
class Moved:
    """Bytes of all devices together that a kernel reads from a place, or writes to it, and not to main memory."""

    spot: Spot
    read: Quantity = 0.0
    written: Quantity = 0.0


def copied(
    system: System,
    size: Quantity,
    source: str,
    to: str,
    pinned: bool = True,
    staging: float | None = None,
    copies: Quantity = 1.0,
) -> Activity:
    """A copy of `size` bytes from one tier to another, or so many `copies` in a row that each wait for the latency.

    What is not pinned goes through a buffer that is, in the slowest memory on the way: it is read and written there
    once more, at most at the rate `staging` of the thread that does so.
    """
    demand, latency = carried(system, size, source, to, whole=False)
    if not pinned:
        memories = [tier for tier in system.route(source, to) if system.tiers[tier].kind != "flash"]
        buffer = min(memories, key=lambda tier: float(np.mean(system.tiers[tier].bandwidth)))
        count = system[buffer].count
        write, units = written(system, buffer, size)
        add(demand, {system[buffer]: size / count})
        add(demand, {write: units / count})
        if staging:
            demand[_staging(buffer, staging)] = size
    return launched(f"copy {source} to {to}", demand, latency * copies)


@lru_cache(maxsize=64)
def _staging(buffer: str, rate: float) -> Resource:
    """One resource of a name, whatever the plan, so that what plans demand of it adds up."""
    return Resource(f"{buffer} (bounce buffer)", rate, "B/s", energy=0.0)


def elsewhere(target: Target, activity: Activity, moved: list[Moved]) -> Activity:
    """A kernel that reads and writes some of its bytes in other tiers than main memory.

    These bytes are demanded of the tier, and of its port where the engine reads it, else of the links on the way; main
    memory and its port have the rest. All is read at once, so that the kernel takes as long as the slowest. What lies
    interleaved over the memories of n devices crosses the link between them for `(n - 1) / n` of it.
    """
    if not moved:
        return activity
    demand, latency = dict(activity.demand), activity.latency
    for each in moved:
        latency = latency + _away(target, demand, each)
    return launched(activity.name, demand, latency)


def _away(target: Target, demand: dict[Resource, Quantity], moved: Moved) -> Quantity:
    """Take what a kernel moves elsewhere off main memory, and put it there; returns what it waits longer for that."""
    system, spot = target.system, moved.spot
    read, write = moved.read / target.ways, moved.written / target.ways
    main = target.tier
    if spot.pages == INTERLEAVED and target.ways > 1:
        link = joined(system, target.device, target.ways)
        far = (target.ways - 1) / target.ways * (read + write)
        add(demand, {system[link]: far})
        return system.links[link].latency
    if spot.tier == main:
        return 0.0
    resource, units = written(system, main, write)
    for relieved, amount in ((system[main], read), (resource, units), (system[f"{main}->{target.name}"], read + write)):
        demand[relieved] = np.maximum(demand[relieved] - amount, 0.0)
    if reads(target, spot.tier):
        resource, units = written(system, spot.tier, write)
        port = system[f"{spot.tier}->{target.name}"]
        add(demand, {system[spot.tier]: read})
        add(demand, {resource: units})
        add(demand, {port: read + write})
        return 0.0
    latency: Quantity = 0.0
    for size, ends in ((moved.read, (spot.tier, main)), (moved.written, (main, spot.tier))):
        if np.any(size):
            ways, wait = _over(system, size, *ends, main)
            add(demand, ways)
            latency = np.maximum(latency, wait)
    return latency


def _over(
    system: System, size: Quantity, source: str, to: str, main: str
) -> tuple[Mapping[Resource, Quantity], Quantity]:
    """What bytes on the way between a far tier and an engine demand: the far tier and the links, not main memory."""
    demand: dict[Resource, Quantity] = {}
    latency: Quantity = 0.0
    for start, end in pairwise(system.route(source, to)):
        hop = system[f"{start}->{end}"]
        add(demand, {hop: size / hop.count})
        latency = latency + system.links[hop.name].latency
    far = source if to == main else to
    resource, units = (system[far], size) if to == main else written(system, far, size)
    add(demand, {resource: units / resource.count})
    return demand, latency + system.tiers[far].latency
