"""Transfers: bytes from one tier to another."""

from __future__ import annotations

from itertools import pairwise

from simulator.core import Activity, Quantity, Resource
from simulator.errors import ConfigError
from simulator.hardware import System


def transfer(
    system: System, size: Quantity, source: str, target: str, links: int | None = None, name: str = "copy"
) -> Activity:
    """Copy `size` bytes, in all, from one tier to another by the shortest route.

    Demands the bytes of each resource on the route: the source, the links, the target (a write of b bytes demands
    `b * read_bandwidth / write_bandwidth`). Tiers and links of which there is one a device take an equal share each.
    `links` limits how many of parallel links are used; it is a private resource, so that other transfers may use the
    rest. The latencies of the route add up.

    Raises:
        ConfigError: an unknown tier, no route, or more links than the machine has.
    """
    route = system.route(source, target)
    hops = [f"{a}->{b}" for a, b in pairwise(route)]
    demand: dict[Resource, Quantity] = {}
    latency: Quantity = system.tiers[source].latency

    tier = system.tiers[target]
    into = f"{target}.write" if tier.full_duplex else target
    slower = 1.0 if tier.full_duplex or tier.write_bandwidth is None else tier.bandwidth / tier.write_bandwidth
    for resource_name, scale in [(source, 1.0), *((hop, 1.0) for hop in hops), (into, slower)]:
        resource = system[resource_name]
        demand[resource] = size * scale / resource.count
    for hop in hops:
        latency = latency + system.links[hop].latency
        if links is not None and system.links[hop].parallel > 1:
            demand[_limit(system, hop, links)] = size
    return Activity(name, demand, latency)


def _limit(system: System, hop: str, links: int) -> Resource:
    link = system.links[hop]
    if not 1 <= links <= link.parallel:
        raise ConfigError(
            f"{system.name}: parallel links of {hop}",
            found=links,
            expected=f"1 to {link.parallel}, as many as there are",
        )
    shared = system[hop]
    return Resource(
        f"{hop} ({links} of {link.parallel})", link.bandwidth * links, efficiency=shared.efficiency, energy=0.0
    )
