"""Transfers: bytes from one tier to another."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from simulator.core import Activity, Quantity, Resource, launched
from simulator.errors import ConfigError
from simulator.hardware import System


def transfer(
    system: System, size: Quantity, source: str, target: str, links: int | None = None, name: str = "copy"
) -> Activity:
    """Copy `size` bytes, in all, from one tier to another by the shortest route.

    Demands the bytes of each resource on the route: a read of the source, the links, a write of the target, and both of
    a tier in between. A tier moves whole grains (`granularity`); a write of b bytes demands
    `b * read_bandwidth / write_bandwidth` where writes share the bus with reads. What there is one a device of takes an
    equal share each. `links` limits how many of parallel links are used, by a private resource, so that other transfers
    may use the rest. The latencies of the route add up; a copy of nothing takes none.

    Raises:
        ConfigError: an unknown tier, no route, more links than the machine has, or `links` of none side by side.
    """
    return launched(name, *carried(system, size, source, target, links, whole=False))


def carried(
    system: System, size: Quantity, source: str, target: str, links: int | None = None, whole: bool = True
) -> tuple[dict[Resource, Quantity], Quantity]:
    """What a `transfer` demands, and its latency; `whole`: `size` is of whole grains already."""
    route = system.route(source, target)
    if len(route) < 2:
        raise ConfigError(f"{system.name}: a copy from {source}", found=f"to {target}", expected="another tier")
    demand: dict[Resource, Quantity] = {}

    def add(resource: Resource, units: Quantity) -> None:
        demand[resource] = demand.get(resource, 0.0) + units / resource.count

    side_by_side = any(system.links[f"{start}->{end}"].parallel > 1 for start, end in pairwise(route))
    if links is not None and not side_by_side:
        raise ConfigError(
            f"{system.name}: {source} to {target}", path="links", found=links, expected="links side by side"
        )
    latency: Quantity = system.tiers[source].latency
    for start, end in pairwise(route):
        hop = f"{start}->{end}"
        link = system.links[hop]
        latency = latency + link.latency
        add(system[start], size if whole else _grains(system, start, size))
        add(system[hop], size)
        add(*written(system, end, size if whole else _grains(system, end, size)))
        if links is not None and link.parallel > 1:
            add(_limit(system, hop, links), size)
    return demand, latency


def written(system: System, tier: str, size: Quantity) -> tuple[Resource, Quantity]:
    """What a write of `size` bytes demands, and how much: its own bus, or more of the one that reads use."""
    described = system.tiers[tier]
    if described.full_duplex:
        return system[f"{tier}.write"], size
    slower = 1.0 if described.write_bandwidth is None else described.bandwidth / described.write_bandwidth
    return system[tier], size * slower


def _grains(system: System, tier: str, size: Quantity) -> Quantity:
    """Bytes that a tier moves for `size` bytes, over all its copies."""
    granularity = system.tiers[tier].granularity
    grain = granularity * system.count(tier)
    return np.ceil(size / grain) * grain if granularity > 1 else size


def _limit(system: System, hop: str, links: int) -> Resource:
    link, shared = system.links[hop], system[hop]
    if not 1 <= links <= link.parallel:
        expected = f"1 to {link.parallel}, as many as there are"
        raise ConfigError(f"{system.name}: parallel links of {hop}", path="links", found=links, expected=expected)
    name, bandwidth = f"{hop} ({links} of {link.parallel})", link.bandwidth * links
    return Resource(name, bandwidth, efficiency=shared.efficiency, energy=0.0, count=shared.count)
