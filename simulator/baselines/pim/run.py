"""How a `pim` experiment runs: the figures of each unit, and a GEMM of each number of rows on each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulator.baselines.experiment import Progress, part_of
from simulator.baselines.pim.form import Gemm, InDram, PimExperiment, PimUnit
from simulator.baselines.pim.outcome import PimOutcome
from simulator.core import Activity, Plan, closed_form
from simulator.core.account import energy
from simulator.errors import ConfigError, one_of
from simulator.hardware import Engine, System, Tier, load_system
from simulator.hardware.energy import missing
from simulator.hardware.stack import Pim, added_area
from simulator.mapping.target import peak
from simulator.registry import register
from simulator.workload.dtypes import BYTES_PER_ELEMENT


@register("experiment", "pim")
class PimKind:
    """Compares the units of machines, and times a GEMM on each."""

    form = PimExperiment

    @staticmethod
    def check(experiment: PimExperiment) -> None:
        in_dram, settings = experiment.settings()
        placed = {}
        for name, unit in experiment.units.items():
            with part_of("units", name):
                placed[name] = _placed(unit, in_dram, settings)
        _areas(placed, in_dram)

    @staticmethod
    def run(experiment: PimExperiment, progress: Progress) -> PimOutcome:
        in_dram, settings = experiment.settings()
        placed = {name: _placed(unit, in_dram, settings) for name, unit in experiment.units.items()}
        areas = _areas(placed, in_dram)
        points: list[dict[str, Any]] = []
        for rows in experiment.gemm.rows:
            column = [
                {"unit": name, **_gemm(unit, experiment.gemm, rows, areas[name])} for name, unit in placed.items()
            ]
            worst = max(point["edap"] for point in column)
            points += [{**point, "edap_over_worst": point["edap"] / worst} for point in column]
            progress(len(points), len(placed) * len(experiment.gemm.rows))
        return PimOutcome(
            units=[{"unit": name, **_figures(unit), "area_m2": areas[name]} for name, unit in placed.items()],
            areas=[row for name, unit in placed.items() for row in _parts(name, unit)],
            points=points,
            inputs={"systems": {unit.system.name: unit.system.config.data for unit in placed.values()}},
        )


@dataclass(frozen=True)
class _Placed:
    """Units in the memory of a machine: its device and engine by name, and the tier of stacks that they sit in."""

    system: System
    device: str
    name: str
    engine: Engine
    pim: Pim
    tier: str

    @property
    def memory(self) -> Tier:
        return self.system.tiers[self.tier]

    @property
    def port(self) -> str:
        return f"{self.tier}->{self.device}.{self.name}"


def _placed(unit: PimUnit, in_dram: InDram, settings: list[str]) -> _Placed:
    """The machine of a unit; on a die of the DRAM, with the energy of arithmetic there."""
    system = load_system(unit.hardware, settings)
    device, described = system.device()
    engine = described.engines.get(unit.engine)
    if engine is None or engine.pim is None:
        there = [name for name, engine in described.engines.items() if engine.pim]
        raise ConfigError(f"{unit.hardware}: no units in the memory", found=f"'{unit.engine}'", expected=one_of(there))
    if engine.pim.at != "logic_die":
        figure = f"devices.{device}.engines.{unit.engine}.energy_per_flop={in_dram.energy_per_flop!r}"
        system = load_system(unit.hardware, [*settings, figure])
        engine = system.engines[f"{device}.{unit.engine}"]
    assert engine.pim is not None
    return _Placed(system, device, unit.engine, engine, engine.pim, f"{device}.{next(iter(engine.reads))}")


def _areas(placed: dict[str, _Placed], in_dram: InDram) -> dict[str, float]:
    """m^2 of the units of one stack: as the machine has it; on a die of the DRAM, `in_dram.area` times that.

    Raises:
        ConfigError: no machine has the area of its units.
    """
    known = [added_area(unit.pim.area) for unit in placed.values() if unit.pim.area]
    if not known:
        raise ConfigError(path="units", found="none with an area", expected="'pim.area' in one of their machines")
    return {
        name: added_area(unit.pim.area) if unit.pim.area else in_dram.area * known[0] for name, unit in placed.items()
    }


def _gemm(unit: _Placed, gemm: Gemm, rows: int, area: float) -> dict[str, Any]:
    """A GEMM of `rows` x k by k x n on the units of one device: its weights pass the port, inputs and results stay.

    `flops = 2 rows k n`, `bytes = k n bytes_per_element`: in FP16 rows are the FLOPs a byte. Delay: the closed form.
    Energy: `bytes x energy of the port (its rows opened) + flops x energy_per_flop`, J; None where a machine lacks one.
    EDAP: energy x delay x area of the units, J s m^2 (arXiv 2409.01141, Fig. 8).
    """
    system, name = unit.system, f"{unit.device}.{unit.name}"
    engine, port = system[name], system[unit.port]
    flops = 2.0 * rows * gemm.k * gemm.n
    weights = gemm.k * gemm.n * BYTES_PER_ELEMENT[gemm.dtype]
    plan = Plan("gemm")
    plan.add(Activity("gemm", {engine: flops / peak(system, name, gemm.dtype), port: weights}))
    delay = float(closed_form(plan).time)
    terms = {term.name: term for term in energy(plan.demand())}
    for key in missing(system, terms.values()):
        raise ConfigError(f"{system.name} gives no energy", path=key, expected="a figure")
    spent = {
        f"{part}_energy_j": float(term.amount * (term.each or 0.0))
        for part, term in (("memory", terms[port.name]), ("arithmetic", terms[engine.name]))
    }
    total = sum(spent.values())
    return {
        "op_per_byte": rows,
        "flops": flops,
        "bytes": weights,
        "delay_s": delay,
        **spent,
        "energy_j": total,
        "area_m2": area,
        "edap": total * delay * area,
    }


def _figures(unit: _Placed) -> dict[str, Any]:
    """What follows from the stacks: of one stack, but the ratios."""
    stacks, memory, port = unit.memory.stacks, unit.memory, unit.system[unit.port]
    rate, bandwidth = peak(unit.system, f"{unit.device}.{unit.name}", "fp16"), float(port.capacity)
    return {
        "system": unit.system.name,
        "at": unit.pim.at,
        "stacks": stacks,
        "stack_bandwidth": memory.bandwidth / stacks,
        "bandwidth": bandwidth / stacks,
        "bandwidth_ratio": bandwidth / memory.bandwidth,
        "peak": rate / stacks,
        "ridge": rate / bandwidth,
    }


def _parts(name: str, unit: _Placed) -> list[dict[str, Any]]:
    """The areas that a machine has of its units, part by part."""
    area = unit.pim.area
    if area is None:
        return []
    return [
        {"unit": name, "part": part, "area_m2": size, "share_of_die": size / area.die}
        for part, size in {**area.parts, "all": added_area(area)}.items()
    ]
