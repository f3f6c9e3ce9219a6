"""What a machine takes of silicon, power and money, so that a sweep can bound it.

Constants are in a table (`cost_form.py`, `hwconfigs/costs/`). Whatever `System.at` makes an array (rates, bandwidths,
energies) gives an array, one element a design point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from simulator.core import Quantity
from simulator.hardware.cost_area import Area, area, stacks_of, units
from simulator.hardware.cost_form import Costs, load_costs
from simulator.hardware.cost_power import PeakPower, peak_power
from simulator.hardware.stack import Pim, added_area
from simulator.hardware.system import System

__all__ = [
    "Area",
    "Costs",
    "PeakPower",
    "Price",
    "area",
    "die_price",
    "die_yield",
    "dies_per_wafer",
    "load_costs",
    "memory_price",
    "peak_power",
    "price",
]


@dataclass(frozen=True, eq=False)
class Price:
    """USD of a whole machine: `<device>.die`, tiers, engines in the memory and `<device>.package`, all copies."""

    parts: Mapping[str, Quantity]

    @property
    def total(self) -> Quantity:
        return sum(self.parts.values())


def die_yield(area: Quantity, defect_density: float, clustering: float) -> Quantity:
    """Good dies of all: `(1 + A D0 / alpha)^-alpha`, negative binomial (Stapper 1983). `area` in m^2, D0 in 1/m^2."""
    return (1 + area * defect_density / clustering) ** -clustering


def dies_per_wafer(area: Quantity, diameter: float) -> Quantity:
    """`pi (d/2)^2 / A - pi d / sqrt(2 A)`, which takes off the rim; m^2 and m. At least 0."""
    return np.maximum(np.pi * (diameter / 2) ** 2 / area - np.pi * diameter / np.sqrt(2 * area), 0.0)


def die_price(area: Quantity, costs: Costs, process: str) -> Quantity:
    """USD of a good die of `area` m^2: `wafer_price / (dies_per_wafer die_yield)`; infinite if no wafer holds one.

    As one die, whatever its area (a reticle is 858 mm^2), and none with spare units sold: no more than that.

    Raises:
        ConfigError: no such process; names the nearest.
    """
    node, wafer = costs.process(process), costs.table.wafer
    good = dies_per_wafer(area, wafer.diameter) * die_yield(area, node.defect_density, wafer.clustering)
    with np.errstate(divide="ignore"):
        price = np.divide(node.wafer_price, good)
    return price if np.ndim(price) else float(price)


def memory_price(system: System, costs: Costs) -> dict[str, float]:
    """USD of each tier by full name, in the whole machine: `capacity x price a byte`; SRAM is on the die.

    Raises:
        ConfigError: a tier of a kind that the table lacks, or has no price of.
    """
    return {
        name: system.capacity(name) * costs.price(costs.tier(system, name))
        for name, tier in system.tiers.items()
        if not tier.on_chip
    }


def price(system: System, costs: Costs, dtype: str | None = None) -> Price:
    """What a machine costs to make: dies, memories, packages. Boards, cooling, CPUs that it lacks: not in it.

    package     its price + interposer (die + stacks x footprint), where memories have a footprint
    in memory   what the added area makes the logic die dearer: `die_price(die + added) - die_price(die)`, each stack

    Raises:
        ConfigError: as `area` and `memory_price`; an engine in the memory without `area`.
    """
    table = costs.table
    parts: dict[str, Quantity] = {}
    for name, device in system.machine.devices.items():
        copies = system.count(name)
        die = area(system, costs, name, dtype).total
        parts[f"{name}.die"] = copies * die_price(die, costs, costs.process_of(system, name))
        for key, engine in device.engines.items():
            if engine.pim:
                dearer = _dearer(system, (name, key), engine.pim, costs)
                parts[f"{name}.{key}"] = copies * stacks_of(system, name, engine) * dearer
        beside = list(_beside(system, costs, name))
        carried = die + sum(beside) if beside else 0.0
        parts[f"{name}.package"] = copies * (table.package.price + table.package.interposer * carried)
    return Price(parts | memory_price(system, costs))


def _dearer(system: System, engine: tuple[str, str], pim: Pim, costs: Costs) -> float:
    """USD that units in the memory add to one stack."""
    if pim.area is None:
        path = ("devices", engine[0], "engines", engine[1], "pim", "area")
        raise system.config.error(path, "missing key", expected="a mapping: what the units add to a die")
    plain, process = pim.area.die, costs.table.stacks
    return float(die_price(plain + added_area(pim.area), costs, process) - die_price(plain, costs, process))


def _beside(system: System, costs: Costs, device: str) -> Iterator[Quantity]:
    """m^2 of what lies on an interposer beside the die, a tier at a time; nothing where there is none."""
    for key, tier in system.machine.devices[device].tiers.items():
        footprint = None if tier.on_chip else costs.tier(system, f"{device}.{key}").footprint
        if footprint:
            yield units(system, costs, f"{device}.{key}") * footprint
