"""A machine as the rest of the program sees it: a graph of tiers, engines and links, and a list of resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.config import OPTION, Config, load, validate
from simulator.config.path import figure, keys, opened, put
from simulator.config.plausible import check_sizes
from simulator.config.resolve import Override
from simulator.core import Quantity, Resource
from simulator.errors import ConfigError, unknown
from simulator.hardware.derive import derived
from simulator.hardware.flash import capacities
from simulator.hardware.machine import Device, Efficiency, Engine, Link, Machine, Tier, ends
from simulator.hardware.references import check_references
from simulator.hardware.stack import activation_energy
from simulator.hardware.unread import check_read

if TYPE_CHECKING:
    import networkx as nx

# Units of what a sweep may vary without a new lowering.
RATES = {"B/s", "bit/s", "FLOP/s", "s", "Hz", "W", "J", "J/B", "J/FLOP", "1"}


def load_system(name: str | Path | Mapping[str, Any], overrides: Sequence[Override] = ()) -> System:
    """Read a machine by its name in `hwconfigs/`, by its path, or inline; `overrides` are `path.to.key=value`.

    Warns of figures that nothing depends on (`unread.py`), and of those that no machine has (`config/plausible.py`).

    Raises:
        ConfigError: what is wrong with the file, with its line and key path.
    """
    config = load(name, "hwconfigs", overrides)
    system = _derived(validate(config, Machine), config)
    check_sizes("machine", system.machine, config)
    check_read(system)
    return system


def _derived(machine: Machine, config: Config) -> System:
    machine = derived(machine, config)
    check_references(machine, config)
    return System(machine, config)


@dataclass(frozen=True, eq=False)
class System:
    """A machine and where its figures come from; `points` design points where some of them are arrays (`at`)."""

    machine: Machine
    config: Config
    points: int | None = None

    @property
    def name(self) -> str:
        return self.machine.name or self.config.file.stem

    def device(self, name: str | None = None) -> tuple[str, Device]:
        """A device by name; without one, the first (of most machines, the only one)."""
        devices = self.machine.devices
        chosen = name or next(iter(devices))
        if chosen not in devices:
            raise unknown(chosen, sorted(devices), "no such device", found=chosen)
        return chosen, devices[chosen]

    def with_devices(self, count: int, device: str | None = None) -> System:
        """The same machine with `count` of a device in all (the first without a name), as many in each node.

        Of parallel links between them and a tier of the node, these have their share: an x16 each is no x16 for all.

        Raises:
            ConfigError: a count that is no multiple of the nodes.
        """
        nodes = self.machine.nodes
        if count < 1 or count % nodes:
            raise ConfigError(
                path="devices", found=count, expected=f"a multiple of {nodes}" if nodes > 1 else "1 or more"
            )
        name, own = self.device(device)
        share = count / nodes / own.count
        links = {
            f"links.{path}.parallel": ceil(link.parallel * share)
            for path, link in self.machine.links.items()
            if [end.partition(".")[0] for end in ends(path)].count(name) == 1
        }
        return self.put({f"devices.{name}.count": count // nodes, **links})

    def put(self, values: Mapping[str, Any]) -> System:
        """The same machine with other values at some paths, which nothing checks, and from which nothing follows."""
        return replace(self, machine=put(self.machine, values))

    def replaced(self, values: Mapping[str, Any]) -> System:
        """The machine that `load_system` gives with these figures as overrides: checked and derived, and not warned of.

        Raises:
            ConfigError: as `load_system`; of these figures with the file `OPTION`.
        """
        try:
            data = opened(self.machine, values)
        except ConfigError as error:
            error.file = OPTION
            raise
        config = self.config.replaced({keys(self.machine, path): value for path, value in values.items()})
        return _derived(validate(config, Machine, data), config)

    @cached_property
    def tiers(self) -> dict[str, Tier]:
        """Every tier by its full name: `<device>.<tier>`, or `<tier>` where it belongs to the node."""
        inner = {f"{d}.{t}": tier for d, device in self.machine.devices.items() for t, tier in device.tiers.items()}
        return inner | self.machine.tiers

    @cached_property
    def engines(self) -> dict[str, Engine]:
        """Every engine by its full name, `<device>.<engine>`."""
        return {
            f"{d}.{e}": engine for d, device in self.machine.devices.items() for e, engine in device.engines.items()
        }

    @cached_property
    def link_keys(self) -> dict[str, tuple[str, ...]]:
        """Where the YAML describes each direction of each link."""
        sections: list[tuple[tuple[str, ...], str, dict[str, Link]]] = [((), "", self.machine.links)]
        sections += [(("devices", d), f"{d}.", device.links) for d, device in self.machine.devices.items()]
        keys: dict[str, tuple[str, ...]] = {}
        for key, prefix, links in sections:
            for name in links:
                a, b = (prefix + end for end in ends(name))
                for direction in [f"{a}->{b}"] + ([f"{b}->{a}"] if "<->" in name else []):
                    keys[direction] = (*key, "links", name)
        return keys

    @cached_property
    def links(self) -> dict[str, Link]:
        """Every direction of every link by its full name, `<a>-><b>`."""
        links = {}
        for name, key in self.link_keys.items():
            inside = self.machine.devices[key[1]] if key[0] == "devices" else self.machine
            links[name] = inside.links[key[-1]]
        return links

    def count(self, name: str) -> int:
        """How many of a part there are in the whole system: nodes x devices."""
        device = self.machine.devices.get(name.partition(".")[0])
        return self.machine.nodes * (device.count if device else 1)

    def capacity(self, tier: str) -> float:
        """Bytes of a tier in the whole system."""
        return self.tiers[tier].capacity * self.count(tier)

    def free(self, tier: str) -> float:
        """Bytes of a tier in the whole system, less what is reserved in each."""
        return (self.tiers[tier].capacity - self.tiers[tier].reserved) * self.count(tier)

    @cached_property
    def _parts(self) -> dict[str, tuple[Resource, tuple[str, ...]]]:
        """Each resource by name, and the key path of what it is made from."""
        return {resource.name: (resource, key) for resource, key in self._described()}

    def key(self, resource: str) -> tuple[str, ...]:
        """Where the machine's YAML describes a resource: `("devices", "gpu", "tiers", "hbm")`."""
        return self._parts[resource][1]

    @property
    def resources(self) -> list[Resource]:
        """The flat list: tiers, engines, ports, links. One of each of a device's: its `count` works in lockstep."""
        return [resource for resource, _ in self._parts.values()]

    def __getitem__(self, name: str) -> Resource:
        """A resource by name; ConfigError names the nearest."""
        if name not in self._parts:
            raise unknown(name, sorted(self._parts), f"{self.name} has no such resource", found=name)
        return self._parts[name][0]

    def _described(self) -> Iterator[tuple[Resource, tuple[str, ...]]]:
        for name, tier in self.tiers.items():
            common: dict[str, Any] = {"efficiency": _fraction(tier.efficiency), "count": self.count(name)}
            key = self._inside(name, "tiers")
            energy = _with_rows(tier.energy, tier)
            yield Resource(name, tier.bandwidth, energy=energy, **common), key
            if tier.full_duplex:
                write = tier.bandwidth if tier.write_bandwidth is None else tier.write_bandwidth
                yield Resource(f"{name}.write", write, energy=energy, **common), key
            bundles = tier.stack.bundles if tier.stack else 1
            for place in range(1, bundles + 1) if bundles > 1 else ():  # each serves one reader at a time
                yield Resource(f"{name}.bundle{place}", 1.0, "s", energy=0.0, count=self.count(name)), (*key, "stack")
            for limit, (capacity, unit) in capacities(tier.flash).items() if tier.flash else ():
                yield Resource(f"{name}.{limit}", capacity, unit, energy=0.0, count=self.count(name)), (*key, "flash")
        for name, engine in self.engines.items():
            power = (
                None if engine.energy_per_flop is None else engine.energy_per_flop * next(iter(engine.peak.values()))
            )
            fraction, count = engine.efficiency, self.count(name)
            key = self._inside(name, "engines")
            yield Resource(name, 1.0, "s", fraction, energy=power, count=count, slots=engine.slots), key
            for tier_name, port in engine.reads.items():
                source = f"{name.partition('.')[0]}.{tier_name}"
                tier = self.tiers[source]
                through = Resource(
                    f"{source}->{name}",
                    tier.bandwidth if port.bandwidth is None else port.bandwidth,
                    efficiency=_fraction(port.efficiency),
                    energy=_with_rows(port.energy, tier) if engine.in_memory else 0.0,  # else it is the tier's
                    count=count,
                )
                yield through, (*key, "reads", tier_name)
        for name, link in self.links.items():
            a, b = name.split("->")
            alike = a.partition(".")[0] == b.partition(".")[0]  # one a device; else all devices share it
            joined = Resource(
                name,
                link.bandwidth * link.parallel,
                efficiency=_fraction(link.efficiency),
                energy=link.energy,
                count=self.count(a) if alike else self.machine.nodes,
            )
            yield joined, self.link_keys[name]

    def _inside(self, name: str, section: str) -> tuple[str, ...]:
        device, dot, part = name.partition(".")
        return ("devices", device, section, part) if dot else (section, name)

    @cached_property
    def graph(self) -> nx.DiGraph[str]:
        """Tiers, engines and devices as nodes (`kind`), links and ports as edges (`resource`, `latency`)."""
        import networkx as nx

        graph: nx.DiGraph[str] = nx.DiGraph(name=self.name)
        for name, tier in self.tiers.items():
            graph.add_node(name, kind=tier.kind)
        for name, engine in self.engines.items():
            graph.add_node(name, kind=engine.kind)
            for tier_name in engine.reads:
                source = f"{name.partition('.')[0]}.{tier_name}"
                graph.add_edge(source, name, resource=f"{source}->{name}", latency=self.tiers[source].latency)
        for name, link in self.links.items():
            a, b = name.split("->")
            graph.add_edge(a, b, resource=name, latency=link.latency)
        return graph

    def route(self, source: str, target: str) -> list[str]:
        """The nodes of the path of fewest links from one tier to another.

        Raises:
            ConfigError: a name that the graph lacks, or no path.
        """
        import networkx as nx

        for name in (source, target):
            if name not in self.graph:
                raise unknown(name, sorted(self.graph.nodes), f"{self.name} has no such part", found=name)
        try:
            path: list[str] = nx.shortest_path(self.graph, source, target)
        except nx.NetworkXNoPath:
            raise ConfigError(f"{self.name}: no link leads from {source} to {target}") from None
        return path

    def behind(self, tier: str) -> list[str]:
        """The other tiers from which links lead to one."""
        import networkx as nx

        return [name for name in self.tiers if name != tier and nx.has_path(self.graph, name, tier)]

    def at(self, points: Mapping[str, Quantity]) -> System:
        """The same machine at many design points: each key path, as after `--set`, gets an array, one element a point.

        Only rates, latencies, energies and efficiencies may vary so; a count or a capacity changes the plan itself.

        Raises:
            ConfigError: an unknown path; a figure that is no rate, or contradicts the stacks of its tier; arrays of
                different lengths or out of range.
        """
        lengths = {len(np.atleast_1d(values)) for values in points.values()}
        if len(lengths) > 1:
            raise ConfigError("design points", found=f"arrays of lengths {sorted(lengths)}", expected="one length")
        arrays = {path: _rates(self.machine, path, np.asarray(values, float)) for path, values in points.items()}
        machine = derived(put(self.machine, arrays), self.config)
        return replace(self, machine=machine, points=lengths.pop() if lengths else None)


def varies(system: System, path: str) -> bool:
    """Whether a figure may be an array of design points (`System.at`): a rate, latency, energy or efficiency."""
    try:
        system.at({path: np.atleast_1d(figure(system.machine, path).value)})
    except (ConfigError, TypeError, ValueError):
        return False
    return True


def _rates(machine: Machine, path: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values, if the figure at `path` may be an array of them."""
    try:
        unit = figure(machine, path).unit
    except ConfigError as error:
        error.path = path
        raise
    if unit not in RATES:
        raise ConfigError("cannot vary in one call", path=path, expected="a rate, latency, energy or efficiency")
    least = values >= 0 if unit in ("s", "W") else values > 0
    if not np.all(np.isfinite(values) & least & ((values <= 1) | (unit != "1"))):
        expected = {"s": "0 or more", "W": "0 or more", "1": "above 0, and 1 at most"}.get(unit or "", "above 0")
        raise ConfigError("design points", path=path, found="values out of range", expected=expected)
    return values


def _with_rows(energy: Quantity | None, tier: Tier) -> Quantity | None:
    """J a byte: on its way, and for the rows that are opened for it; None where the first is not known."""
    return energy if energy is None or tier.stack is None else energy + activation_energy(tier.stack)


def _fraction(efficiency: Any) -> Any:
    return efficiency.curve() if isinstance(efficiency, Efficiency) else efficiency
