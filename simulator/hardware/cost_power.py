"""The power of a device at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.core import Quantity
from simulator.hardware.energy import device_power, energy_key, static_power
from simulator.hardware.system import System


@dataclass(frozen=True, eq=False)
class PeakPower:
    """W of one device with all that it has at its full rate; `missing` names the figures that its YAML lacks."""

    parts: Mapping[str, Quantity]
    missing: tuple[str, ...]

    @property
    def total(self) -> Quantity | None:
        """None where a figure is missing."""
        return None if self.missing else sum(self.parts.values())


def peak_power(system: System, device: str | None = None) -> PeakPower:
    """What one device draws with its tiers at full bandwidth and its engines at their peaks, links apart.

    `sum bandwidth x energy + sum peak x energy_per_flop + static_power`; of an engine in the memory its ports too. No
    kernel does all of it at once, and none at its peak: a bound, above what a data sheet gives as thermal design power.
    """
    name, part = system.device(device)
    used: list[str] = []
    for key, tier in part.tiers.items():
        used += [f"{name}.{key}", f"{name}.{key}.write"] if tier.full_duplex else [f"{name}.{key}"]
    for key, engine in part.engines.items():
        used.append(f"{name}.{key}")
        used += [f"{name}.{tier}->{name}.{key}" for tier in engine.reads] if engine.in_memory else []
    (idle,) = (power for power in static_power(system, 1.0) if power.name == device_power(name))
    drawn = {each: system[each] for each in used} | {"static": idle}
    missing = [energy_key(system, resource.name) for resource in drawn.values() if resource.energy is None]
    parts = {
        each: resource.energy * resource.capacity for each, resource in drawn.items() if resource.energy is not None
    }
    return PeakPower(parts, tuple(dict.fromkeys(missing)))
