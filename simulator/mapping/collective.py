"""Collectives: activities on the links between devices."""

from __future__ import annotations

from simulator.core import Activity, Quantity
from simulator.errors import ConfigError
from simulator.hardware import System


def all_reduce(system: System, device: str, size: Quantity, name: str = "all_reduce") -> list[Activity]:
    """Sum `size` bytes over all devices of a name and give each the result: activities one after another.

    Reduce-scatter, then all-gather, each device sending its shards to all the others at once: every device puts
    `2 (n - 1) / n * size` bytes on its links, in 2 phases of the link's latency. Over m nodes the shards of a node go
    on, between the two, over the link of the node: `2 (m - 1) / m * size` bytes and 2 phases more (Thakur et al.,
    IJHPCA 2005). Empty where there is one device.

    Raises:
        ConfigError: the machine has no link between the devices, or between the nodes.
    """
    steps = []
    for end, members in ((device, system.machine.devices[device].count), ("node", system.machine.nodes)):
        if members > 1:
            link = f"{end}->{end}"
            if link not in system.links:
                message = f"{system.name}: {members} {end}s that share a model need a link"
                raise ConfigError(message, expected=f"links: '{end}<->{end}'")
            sent = 2 * (members - 1) / members * size
            steps.append(Activity(name, {system[link]: sent}, 2 * system.links[link].latency))
    return steps
