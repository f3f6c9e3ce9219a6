"""Collectives: activities on the links between devices."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, log2
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from simulator.core import Activity, Quantity, launched
from simulator.errors import ConfigError
from simulator.hardware import System

if TYPE_CHECKING:
    from simulator.mapping.target import Target

Kind: TypeAlias = Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all"]


class Level(NamedTuple):
    """The members of a collective that one link joins: the devices of a node, or the nodes.

    `size` are the bytes of the collective that each of them takes part with.
    """

    end: str
    members: int
    size: Quantity


def collective(
    system: System, device: str, size: Quantity, kind: Kind = "all_reduce", name: str | None = None
) -> list[Activity]:
    """A collective over all devices of a name, as activities one after another: in each node, and between the nodes.

    `size` is, in bytes, the tensor that is whole on each device before a reduce-scatter or an all-reduce and after an
    all-gather; in an all-to-all, what each device holds, its own share included. With n members, each link of which has
    the latency a, every member puts on its links, by the `algorithm` of the link in the machine's YAML (Thakur et al.,
    IJHPCA 19(1), 2005, sections 4.1 to 4.5; any n):

    - all-gather, reduce-scatter: `(n - 1) / n * size` bytes, in 1 phase of latency a (`direct`: each sends its shard to
      all the others at once), n - 1 (`ring`), or `ceil(log2 n)` (`tree`: recursive doubling and halving where n is a
      power of two, else Bruck's, and for the reduce-scatter its mirror image).
    - all-reduce: reduce-scatter, then all-gather; by `tree` this is Rabenseifner's.
    - all-to-all: as an all-gather; but by `tree` (Bruck's) each phase k sends on the blocks whose distance has bit k:
      `sum_(j < n) popcount(j) / n * size` bytes.

    Between m nodes the devices of a node go on with their shards over the one link of the node: the same with m for n,
    and with the bytes of the node. Empty where there is one device.

    Raises:
        ConfigError: the machine has no link between the devices, or between the nodes.
    """
    within, nodes = system.machine.devices[device].count, system.machine.nodes
    of_node = size * within if kind == "all_to_all" else size
    return over([Level(device, within, size), Level("node", nodes, of_node)], system, kind, name)


def all_reduce(system: System, device: str, size: Quantity, name: str = "all_reduce") -> list[Activity]:
    """Sum `size` bytes over all devices of a name and give each the result (`collective`)."""
    return collective(system, device, size, "all_reduce", name)


def over(levels: list[Level], system: System, kind: Kind, name: str | None = None) -> list[Activity]:
    """A collective over the members of each level, on the links of a system."""
    return list(_activities(levels, system, kind, name or kind))


def on_shared_link(target: Target, send: Activity, sharers: int) -> Activity:
    """What a group sends over the link of its node, of which so many groups have an equal part of the rate each."""
    if sharers == 1:
        return send
    (link, sent), *_ = send.demand.items()
    return launched(
        send.name, {link: sent, target.limit("link of its node"): sharers * link.seconds(sent)}, send.latency
    )


def joined(system: System, end: str, members: int) -> str:
    """The name of the link between devices, or between nodes.

    Raises:
        ConfigError: the machine has none.
    """
    link = f"{end}->{end}"
    if link not in system.links:
        message = f"{system.name}: {members} {end}s that share a model need a link"
        raise ConfigError(message, expected=f"links: '{end}<->{end}'")
    return link


def _activities(levels: list[Level], system: System, kind: Kind, name: str) -> Iterator[Activity]:
    for end, members, size in levels:
        if members > 1:
            link = joined(system, end, members)
            described = system.links[link]
            rounds = 2 if kind == "all_reduce" else 1
            if kind == "all_to_all" and described.algorithm == "tree":
                sent = sum(j.bit_count() for j in range(members)) / members * size
            else:
                sent = rounds * (members - 1) / members * size
            phases = {"direct": 1, "ring": members - 1, "tree": ceil(log2(members))}[described.algorithm]
            yield launched(name, {system[link]: sent}, rounds * phases * described.latency)
