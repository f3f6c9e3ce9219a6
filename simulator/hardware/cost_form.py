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
    """What all wafers have in common; `clustering` is alpha of the yield."""

    diameter: Metres
    clustering: Positive


class Process(Section):
    """A node. `logic` and `compute` say how much denser it is than the one at which the table has its densities."""

    wafer_price: Dollars
    defect_density: PerArea
    sram_cell: SquareMetres  # of one bit
    logic: Positive
    compute: dict[str, Positive] = Field(default_factory=dict)  # by kind of engine, where it does not follow logic


class Phy(Section):
    """What each `bandwidth` takes of a die: `area`, alike at all nodes, and a `controller`, which shrinks as logic."""

    bandwidth: Bandwidth
    area: SquareMetres
    controller: Annotated[float, Unit("m^2"), Field(ge=0)] = 0.0


class Technology(Section):
    """A memory or a link, as a die and a buyer see it; `footprint` is what one `phy` of it takes of an interposer."""

    phy: Phy | None = None
    footprint: SquareMetres | None = None
    price: DollarsPerByte | None = None


class Package(Section):
    """What a device costs besides its dies: a package, and an interposer where its memories have footprints."""

    price: Dollars
    interposer: DollarsPerArea  # of the silicon that it carries


class CostTable(Section):
    """A whole table. `tiers` and `links` say which technology each is: by full name or by kind."""

    name: str = ""
    description: str = ""
    wafer: Wafer
    fixed: Share  # of a die: network, input and output, spare units
    sram_efficiency: Fraction  # of an SRAM's area that is cells
    processes: NonEmpty[dict[str, Process]]
    compute: dict[str, dict[str, dict[str, RatePerArea]]]  # kind of engine -> parts of it -> dtype
    stacks: str  # the process of units on the logic die of a stack
    technologies: dict[str, Technology]
    tiers: dict[str, str]
    links: dict[str, str]
    package: Package


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
        there = self.table.processes
        if name not in there:
            raise unknown(name, there, "no such process")
        return there[name]

    def process_of(self, system: System, device: str) -> str:
        """The node of a device's die.

        Raises:
            ConfigError: its machine does not say, or the table has none of this name.
        """
        name = system.machine.devices[device].process
        if name in self.table.processes:
            return str(name)
        there, path = self.table.processes, ("devices", device, "process")
        if name is None:
            raise system.config.error(path, "missing key", expected=one_of(there))
        mark = system.config.mark(path)
        raise unknown(name, there, "no such process", file=mark.file, line=mark.line, path=path)

    def tier(self, system: System, name: str) -> Technology:
        """What a tier is: `<machine>.<tier>`, `<tier>` or its kind, the first of them that the table has.

        Raises:
            ConfigError: it has none.
        """
        kind = system.tiers[name].kind
        return self._found("tiers", self.table.tiers, (f"{system.name}.{name}", name, kind))

    def link(self, system: System, name: str, kind: str) -> Technology:
        """What a link is: by `<machine>.<link>`, `<link>` or its kind: `devices` or `node`.

        Raises:
            ConfigError: the table has none.
        """
        return self._found("links", self.table.links, (f"{system.name}.{name}", name, kind))

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

    def _found(self, section: str, uses: dict[str, str], names: Sequence[str]) -> Technology:
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
    for section, uses, there in (
        ("tiers", table.tiers, list(table.technologies)),
        ("links", table.links, list(table.technologies)),
        ("stacks", {"": table.stacks}, list(table.processes)),
    ):
        for key, used in uses.items():
            if used not in there:
                path = (section, key) if key else (section,)
                mark = config.mark(path)
                raise unknown(used, there, file=mark.file, line=mark.line, path=path)
    check_sizes("cost table", table, config)
    return Costs(table, config)
