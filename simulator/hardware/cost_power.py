"""The power of a device: on average, and at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.core import Quantity
from simulator.errors import dotted
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


def power(energy: Quantity, seconds: Quantity, static: Quantity = 0.0) -> Quantity:
    """W on average: `energy / seconds`, in J and s, and `static` where the energy has no static power in it."""
    return energy / seconds + static


def peak_power(system: System, device: str | None = None) -> PeakPower:
    """What one device draws with its tiers at full bandwidth and its engines at their peaks, links apart.

    `sum bandwidth x energy + sum peak x energy_per_flop + static_power`; of an engine in the memory its ports too. No
    kernel does all of it at once, and none at its peak: a bound, above what a data sheet gives as thermal design power.
    """
    name, part = system.device(device)
    wanted: list[tuple[str, tuple[str, ...]]] = []
    for key, tier in part.tiers.items():
        ways = ("", ".write") if tier.full_duplex else ("",)
        wanted += [(f"{name}.{key}{way}", ("devices", name, "tiers", key, "energy")) for way in ways]
    for key, engine in part.engines.items():
        path: tuple[str, ...] = ("devices", name, "engines", key)
        wanted.append((f"{name}.{key}", (*path, "energy_per_flop")))
        reads = engine.reads if engine.in_memory else {}
        wanted += [(f"{name}.{tier}->{name}.{key}", (*path, "reads", tier, "energy")) for tier in reads]
    parts: dict[str, Quantity] = {}
    missing: list[str] = []
    for full, path in wanted:
        resource = system[full]
        if resource.energy is None:
            missing.append(dotted(path))
        else:
            parts[full] = resource.energy * resource.capacity
    if part.static_power is None:
        missing.append(dotted(("devices", name, "static_power")))
    else:
        parts["static"] = part.static_power
    return PeakPower(parts, tuple(dict.fromkeys(missing)))
