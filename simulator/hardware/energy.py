"""The figures of energy that a machine has, and by which key of its YAML."""

from __future__ import annotations

from collections.abc import Iterable

from simulator.core import Quantity, Resource
from simulator.core.account import Term
from simulator.errors import dotted
from simulator.hardware.system import System

STATIC = "static_power"


def static_power(system: System, seconds: Quantity) -> dict[Resource, Quantity]:
    """What a system draws whatever it does, as seconds of resources that take watts: of its nodes and its devices."""
    machine = system.machine
    powers = [(STATIC, machine.static_power, machine.nodes)]
    powers += [(device_power(n), d.static_power, system.count(n)) for n, d in machine.devices.items()]
    return {Resource(name, 1.0, "s", energy=watts, count=count): seconds for name, watts, count in powers}


def device_power(device: str) -> str:
    """The key of what a device draws whatever it does."""
    return f"devices.{device}.{STATIC}"


def energy_key(system: System, resource: str) -> str:
    """Where the YAML of a machine has the energy of a resource, or would have it: `devices.gpu.tiers.hbm.energy`."""
    if resource in {power.name for power in static_power(system, 0.0)}:
        return resource
    key = system.key(resource)
    return dotted((*key, "energy_per_flop" if key[-2] == "engines" else "energy"))


def missing(system: System, terms: Iterable[Term]) -> tuple[str, ...]:
    """The keys that the YAML of a machine lacks for an energy."""
    return tuple(dict.fromkeys(energy_key(system, term.name) for term in terms if term.each is None))
