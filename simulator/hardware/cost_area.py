"""The area of a device's die, part by part, from its peaks, capacities and bandwidths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from simulator.core import Quantity
from simulator.errors import one_of, unknown
from simulator.hardware.cost_form import Costs, Process, Technology
from simulator.hardware.machine import Engine, ends
from simulator.hardware.stack import added_area
from simulator.hardware.system import System


@dataclass(frozen=True, eq=False)
class Area:
    """m^2 of one device's die, by the full names of its engines, tiers and links, and `fixed`.

    What engines in the memory add to the dies of its stacks stands apart; None where their YAML has no `area`.
    """

    parts: Mapping[str, Quantity]
    in_memory: Mapping[str, float | None]

    @property
    def total(self) -> Quantity:
        """m^2 of the die, without `in_memory`."""
        return sum(self.parts.values())


def area(system: System, costs: Costs, device: str | None = None, dtype: str | None = None) -> Area:
    """The die of one device (without a name, the first).

    engine  sum over its parts (lanes, arrays) of max_dtype peak / (density x how much denser the node is): as large as
            the dtype that needs most; with `dtype`, that alone counts in the parts that compute it.
    sram    8 capacity cell / sram_efficiency
    tiers, links  units (area + controller / logic): units = stacks where the tier has them, else
            bandwidth / that of one. A link among devices is at each with what it puts in, one to the node or another
            device with its share of all that are `parallel`; links inside the device, and from node to node, take none.
    fixed   fixed / (1 - fixed) of the sum

    Raises:
        ConfigError: no `process`, or one that the table lacks; a kind of engine or tier, or a dtype, that it lacks.
    """
    name, part = system.device(device)
    process = costs.process(costs.process_of(system, name))
    dtypes = sorted({known for engine in system.engines.values() for known in engine.peak})
    if dtype is not None and dtype not in dtypes:
        raise unknown(dtype, dtypes, "no engine has a peak of it", found=dtype)
    parts: dict[str, Quantity] = {}
    in_memory: dict[str, float | None] = {}
    for key, engine in part.engines.items():
        if engine.pim is None:
            parts[f"{name}.{key}"] = _compute(system, (name, key), costs, process, dtype)
        else:
            known = engine.pim.area
            in_memory[f"{name}.{key}"] = added_area(known) * stacks_of(system, name, engine) if known else None
    for key, tier in part.tiers.items():
        full = f"{name}.{key}"
        if tier.on_chip:
            parts[full] = 8 * tier.capacity * process.sram_cell / costs.table.sram_efficiency
        else:
            parts[full] = _phys(costs.tier(system, full), process, units(system, costs, full))
    for key, kind, bandwidth in _links(system, name):
        technology = costs.link(system, key, kind)
        parts[key] = _phys(technology, process, _of(technology, bandwidth))
    fixed = costs.table.fixed
    parts["fixed"] = sum(parts.values()) * fixed / (1 - fixed)
    return Area(parts, in_memory)


def stacks_of(system: System, device: str, engine: Engine) -> int:
    """How many stacks an engine in the memory sits in."""
    return sum(system.machine.devices[device].tiers[tier].stacks for tier in engine.reads)


def units(system: System, costs: Costs, tier: str) -> Quantity:
    """How many PHYs a tier has: its stacks where its YAML describes one, else by its bandwidth."""
    part = system.tiers[tier]
    return float(part.stacks) if part.stack else _of(costs.tier(system, tier), part.bandwidth)


def _compute(system: System, engine: tuple[str, str], costs: Costs, process: Process, dtype: str | None) -> Quantity:
    """m^2 of an engine: of each part of its kind, that of the dtype that needs most of it."""
    part, table = system.engines[".".join(engine)], costs.table.compute
    if part.kind not in table:
        raise costs.missing(("compute", part.kind), expected=f"densities, as of {one_of(sorted(table))}")
    denser = process.compute.get(part.kind, process.logic)
    areas: list[Quantity] = []
    for densities in table[part.kind].values():
        both = densities.keys() & part.peak.keys()
        counted = [dtype] if dtype in both else sorted(both)
        needs = np.broadcast_arrays(*(part.peak[known] / (densities[known] * denser) for known in counted))
        if needs:
            most = np.maximum.reduce(needs)
            areas.append(most if np.ndim(most) else float(most))
    if not areas:
        path = ("devices", engine[0], "engines", engine[1], "peak")
        expected = one_of(sorted({known for densities in table[part.kind].values() for known in densities}))
        raise system.config.error(path, found=" and ".join(part.peak), expected=expected)
    return sum(areas)


def _of(technology: Technology, bandwidth: Quantity) -> Quantity:
    return bandwidth / technology.phy.bandwidth if technology.phy else 0.0


def _phys(technology: Technology, process: Process, units: Quantity) -> Quantity:
    phy = technology.phy
    return units * (phy.area + phy.controller / process.logic) if phy else 0.0


def _links(system: System, device: str) -> Iterator[tuple[str, str, Quantity]]:
    """Links at a device, their kind, and the bandwidth of each that one device has."""
    devices = system.machine.devices
    for name, link in system.machine.links.items():
        a, b = (end.partition(".")[0] for end in ends(name))
        if device not in (a, b):
            continue
        shared = 1 if a == b else devices[device].count
        kind = "devices" if a in devices and b in devices else "node"
        yield name, kind, link.bandwidth * link.parallel / shared
