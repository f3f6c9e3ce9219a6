"""The form of a cost table's YAML (`hwconfigs/costs/`): what silicon, memories and packages take of area and money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import Field

from simulator.config import Config, KeyPath, load, validate
from simulator.config.plausible import check_sizes
from simulator.config.section import NonEmpty, Section
from simulator.errors import ConfigError, one_of, unknown
from simulator.hardware.system import System
from simulator.units import Bandwidth, Fraction, Positive, SquareMetres, Unit

FOLDER = "hwconfigs/costs"

Dollars: TypeAlias = Annotated[float, Unit("USD"), Field(ge=0)]
DollarsPerByte: TypeAlias = Annotated[float, Unit("USD/B"), Field(ge=0)]
DollarsPerArea: TypeAlias = Annotated[float, Unit("USD/m^2"), Field(ge=0)]
PerArea: TypeAlias = Annotated[float, Unit("m^-2"), Field(ge=0)]
RatePerArea: TypeAlias = Annotated[float, Unit("FLOP/s/m^2"), Field(gt=0)]
Metres: TypeAlias = Annotated[float, Unit("m"), Field(gt=0)]
Share: TypeAlias = Annotated[float, Unit("1"), Field(ge=0, lt=1)]


class Wafer(Section):
    """What all wafers have in common."""

    diameter: Metres
    """Diameter of the wafer."""
    clustering: Positive
    """How defects cluster: alpha of the negative binomial yield, `(1 + A D0 / alpha)^-alpha`."""


class Process(Section):
    """A process node."""

    wafer_price: Dollars
    """Price of a processed wafer."""
    defect_density: PerArea
    """Defects an area of the die (D0)."""
    sram_cell: SquareMetres
    """Area of the SRAM cell of one bit."""
    logic: Positive
    """How many times denser logic is than at the node of the densities in `compute` of the table."""
    compute: dict[str, Positive] = Field(default_factory=dict)
    """The same of a kind of engine, where it does not follow `logic`."""


class Phy(Section):
    """The interface of a memory or a link on a die."""

    bandwidth: Bandwidth
    """Bandwidth of one; a tier without stacks, or a link, has as many as its bandwidth needs."""
    area: SquareMetres
    """Area of one, alike at all nodes."""
    controller: Annotated[float, Unit("m^2"), Field(ge=0)] = 0.0
    """Area of the controller of one, which shrinks as logic does."""


class Technology(Section):
    """A memory or a link, as a die and a buyer see it."""

    phy: Phy | None = None
    """What it takes of the die; nothing unless given."""
    footprint: SquareMetres | None = None
    """What the memory behind one `phy` takes of an interposer; without it, none is needed."""
    price: DollarsPerByte | None = None
    """Price of the capacity; the price of a machine with such a tier needs it."""


class Package(Section):
    """What a device costs besides its dies and memories."""

    price: Dollars
    """Price of one package."""
    interposer: DollarsPerArea
    """Price of an interposer an area of the silicon on it: the die, and memories with a footprint."""


class CostTable(Section):
    """What area of dies and money are made of: `silicon` unless another table is named (`--costs`, or `costs:`)."""

    name: str = ""
    """What the table is called."""
    description: str = ""
    """One line for people."""
    wafer: Wafer
    """What all wafers have in common."""
    fixed: Share
    """The share of a die beside what its parts are counted with: network, input and output, spare units."""
    sram_efficiency: Fraction
    """The share of an SRAM's area that is cells."""
    processes: NonEmpty[dict[str, Process]]
    """Process nodes, by the names that machines give as `process`."""
    compute: dict[str, dict[str, dict[str, RatePerArea]]]
    """Peak rate an area, by kind of engine, part of it and dtype; the dtype that needs most of a part sizes it."""
    stacks: str
    """The process of the units on the logic die of a stack."""
    technologies: dict[str, Technology]
    """Memories and links as a die and a buyer see them, by any name."""
    tiers: dict[str, str]
    """The technology of a tier: by `machine.device.tier`, `device.tier` or its kind, the first that the table has."""
    links: dict[str, str]
    """The technology of a link: by `machine.link`, `link`, or what it joins a device to, `devices` or `node`."""
    package: Package
    """What a device costs besides its dies and memories."""
    life: Annotated[float, Unit("s"), Field(gt=0)] | None = None
    """Time over which a machine is written off: what it costs a second is its price over that; null: not known."""


@dataclass(frozen=True, eq=False)
class Costs:
    """A cost table and where its figures come from."""

    table: CostTable
    config: Config

    def process(self, name: str) -> Process:
        """A node by name.

        Raises:
            ConfigError: the table has none of this name; names the nearest.
        """
        processes = self.table.processes
        if name not in processes:
            raise unknown(name, processes, "no such process")
        return processes[name]

    def process_of(self, system: System, device: str) -> str:
        """The node of a device's die.

        Raises:
            ConfigError: its machine does not say, or the table has none of this name.
        """
        name = system.machine.devices[device].process
        if name in self.table.processes:
            return str(name)
        processes, path = self.table.processes, ("devices", device, "process")
        if name is None:
            raise system.config.error(path, "missing key", expected=one_of(processes))
        mark = system.config.mark(path)
        raise unknown(name, processes, "no such process", file=mark.file, line=mark.line, path=path)

    def tier(self, system: System, name: str) -> Technology:
        """What a tier is: `<machine>.<tier>`, `<tier>` or its kind, the first of them that the table has.

        Raises:
            ConfigError: it has none.
        """
        kind = system.tiers[name].kind
        return self._technology("tiers", self.table.tiers, (f"{system.name}.{name}", name, kind))

    def link(self, system: System, name: str, kind: str) -> Technology:
        """What a link is: by `<machine>.<link>`, `<link>` or its kind: `devices` or `node`.

        Raises:
            ConfigError: the table has none.
        """
        return self._technology("links", self.table.links, (f"{system.name}.{name}", name, kind))

    def price(self, technology: Technology) -> float:
        """USD a byte.

        Raises:
            ConfigError: the table has no price of it.
        """
        if technology.price is None:
            name = next(name for name, known in self.table.technologies.items() if known is technology)
            raise self.missing(("technologies", name, "price"), expected="a price such as '15 USD/GB'")
        return technology.price

    def missing(self, path: KeyPath, expected: str) -> ConfigError:
        """The error that says that the table lacks a key."""
        return self.config.error(path, "missing key", expected=expected)

    def _technology(self, section: str, uses: dict[str, str], names: Sequence[str]) -> Technology:
        name = next((name for name in names if name in uses), None)
        if name is None:
            raise self.missing((section, names[-1]), expected=one_of(self.table.technologies))
        return self.table.technologies[uses[name]]


def load_costs(name: str | Path = "silicon", overrides: Sequence[str] = ()) -> Costs:
    """Read a cost table by its name in `hwconfigs/costs/` or by its path; `overrides` are `path.to.key=value`.

    Raises:
        ConfigError: what is wrong with the file, with its line and key path.
    """
    config = load(name, FOLDER, overrides)
    table = validate(config, CostTable)
    for section, uses, known in (
        ("tiers", table.tiers, list(table.technologies)),
        ("links", table.links, list(table.technologies)),
        ("stacks", {"": table.stacks}, list(table.processes)),
    ):
        for key, used in uses.items():
            if used not in known:
                path = (section, key) if key else (section,)
                mark = config.mark(path)
                raise unknown(used, known, file=mark.file, line=mark.line, path=path)
    check_sizes("cost table", table, config)
    return Costs(table, config)
