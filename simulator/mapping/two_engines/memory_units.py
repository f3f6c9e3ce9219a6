"""Units in the memory: their rates by the stack, their area, and a GEMM on them by delay, energy and area."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

from simulator.config.choose import check_name
from simulator.core import Activity, Plan, closed_form
from simulator.core.account import energy
from simulator.errors import ConfigError, one_of
from simulator.hardware import Engine, System, Tier
from simulator.hardware.energy import missing
from simulator.hardware.stack import Pim, added_area
from simulator.mapping.engines import engine_names
from simulator.mapping.target import peak
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT, Dtype

ALL_PARTS = "all"
"""All parts of the area together."""


@dataclass(frozen=True)
class MemoryUnits:
    """Units in the memory of a machine: the full name of their engine, and of the tier of stacks that they sit in."""

    system: System
    name: str
    pim: Pim
    tier: str

    @property
    def engine(self) -> Engine:
        return self.system.engines[self.name]

    @property
    def memory(self) -> Tier:
        return self.system.tiers[self.tier]

    @property
    def port(self) -> str:
        return f"{self.tier}->{self.name}"

    @property
    def on_logic_die(self) -> bool:
        return self.pim.at == "logic_die"

    @property
    def bandwidth(self) -> float:
        """Bytes/s of all stacks of a device, over the units' own way to the cells."""
        return float(self.system[self.port].capacity)

    def peak(self, dtype: Dtype) -> float:
        """FLOP/s of all stacks of a device."""
        return peak(self.system, self.name, dtype)

    def area(self, part: str = ALL_PARTS) -> float:
        """m^2 of a part of the units of one stack, or of all of them; NaN where the machine does not give it.

        Raises:
            ConfigError: no such part.
        """
        parts = self.pim.area.parts if self.pim.area else {}
        check_name(part, [*parts, ALL_PARTS], "part")
        if self.pim.area is None:
            return nan
        return added_area(self.pim.area) if part == ALL_PARTS else parts[part]

    @property
    def die(self) -> float:
        """m^2 of the die that the units are added to; NaN where the machine does not give it."""
        return self.pim.area.die if self.pim.area else nan

    def computing_for(self, energy_per_flop: float) -> MemoryUnits:
        """The same units with another energy of arithmetic, J/FLOP."""
        device, _, engine = self.name.partition(".")
        other = self.system.replaced({f"devices.{device}.engines.{engine}.energy_per_flop": energy_per_flop})
        return MemoryUnits(other, self.name, self.pim, self.tier)


def memory_units(system: System, engines: Sequence[str] = ()) -> MemoryUnits:
    """The units of a machine, by what a mapping calls their engine; of a machine with one such engine, that one.

    Raises:
        ConfigError: no such engine; one, or several, that are no units in the memory.
    """
    known = [name for name, engine in system.engines.items() if engine.pim]
    names = engine_names(system, engines, False, None) if engines else known
    (name, *others), pim = (names or [""]), None
    if name in system.engines:
        pim = system.engines[name].pim
    if pim is None or others:
        found = ", ".join(engines or names) or "none"
        raise ConfigError(f"{system.name}: no units in the memory", path="engines", found=found, expected=one_of(known))
    device = name.partition(".")[0]
    return MemoryUnits(system, name, pim, f"{device}.{next(iter(system.engines[name].reads))}")


@dataclass(frozen=True)
class UnitGemm:
    """A GEMM on the units of one device: FLOPs, bytes of weights, seconds, and joules of memory and of arithmetic."""

    flops: float
    bytes: float
    delay: float
    memory_energy: float
    arithmetic_energy: float

    @property
    def energy(self) -> float:
        return self.memory_energy + self.arithmetic_energy


def unit_gemm(units: MemoryUnits, k: int, n: int, rows: int, dtype: Dtype) -> UnitGemm:
    """A GEMM of `rows` x k by k x n: its weights pass the units' port, inputs and results stay.

    `flops = 2 rows k n`, `bytes = k n bytes_per_element`: in FP16 rows are the FLOPs a byte. Delay: the closed form.
    Energy: `bytes x energy of the port (its rows opened) + flops x energy_per_flop` (arXiv 2409.01141, Fig. 8).

    Raises:
        ConfigError: no rate for the dtype; a machine that gives no energy.
    """
    engine, port = units.system[units.name], units.system[units.port]
    flops, weights = 2.0 * rows * k * n, k * n * BYTES_PER_ELEMENT[dtype]
    plan = Plan("gemm")
    plan.add(Activity("gemm", {engine: flops / units.peak(dtype), port: weights}))
    terms = {term.name: term for term in energy(plan.demand())}
    for key in missing(units.system, terms.values()):
        raise ConfigError(f"{units.system.name} gives no energy", path=("hardware", key), expected="a figure")
    memory, arithmetic = (float(t.amount * (t.each or 0.0)) for t in (terms[port.name], terms[engine.name]))
    return UnitGemm(flops, weights, float(closed_form(plan).time), memory, arithmetic)
