"""Figures of engines in the memory: what follows from the stacks, the area, and a GEMM by energy, delay and area."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from simulator.config.section import Section
from simulator.errors import ConfigError, one_of
from simulator.hardware import load_system
from simulator.mapping.target import rate_for
from simulator.mapping.two_engines.memory_units import ALL_PARTS, MemoryUnits, memory_units, unit_gemm
from simulator.registry import register
from simulator.scenario.cases import Columns, with_values
from simulator.scenario.evaluator import EachAlone
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import Metric
from simulator.scenario.parts import at_key, machine
from simulator.scenario.reads import is_set
from simulator.units import Count, EnergyPerFlop, Unit
from simulator.workload.formats.dtypes import Dtype


class InDram(Section):
    """What units on the dies of the DRAM pay for its process; those on the logic die do not."""

    energy_per_flop: EnergyPerFlop
    """Of arithmetic, in the place of the machine's."""
    area: Annotated[float, Unit("1"), Field(gt=0)]
    """Of the units, over that of those of the machine `beside`."""
    beside: str
    """A machine whose units have an area, by its name or path."""


class EngineFigures(Workload):
    """`rows` x k times k x n: each row of the weights is used by so many rows of inputs."""

    kind: Literal["engine_figures"]
    k: Count = 4096
    """Rows of the weights."""
    n: Count = 4096
    """Columns of the weights."""
    rows: Count = 1
    """Rows of inputs."""
    dtype: Dtype = "fp16"
    """The format of weights, and what the products compute in."""
    part: str = ALL_PARTS
    """The part of the units whose area is wanted, as the machine calls it; or all of them."""
    in_dram: InDram | None = None
    """What units on the dies of the DRAM pay; null: nothing."""


@register("evaluator", "engine_figures")
class EngineFiguresEvaluator(EachAlone):
    """Gives rates and areas of the units of one stack, and a GEMM on those of one device, in closed form.

    `bandwidth` is that of the units' own way to the cells, `stack_bandwidth` that of the bus, and `ridge` the FLOPs a
    byte at which bandwidth and peak meet. EDAP is energy x delay x area of all units of a stack. Missing is the area
    that a machine does not give.
    """

    form = EngineFigures
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("stacks", "1", None, "stacks of a device"),
        Metric("stack_bandwidth", "B/s", "max", "bandwidth of the bus", per="stack"),
        Metric("bandwidth", "B/s", "max", "bandwidth of the units", per="stack"),
        Metric("bandwidth_ratio", "1", "max", "bandwidth over the bus"),
        Metric("peak", "FLOP/s", "max", "peak rate", per="stack"),
        Metric("ridge", "FLOP/B", None, "ridge"),
        Metric("area_m2", "m^2", "min", "area", per="stack"),
        Metric("area_share", "1", "min", "share of the die"),
        Metric("flops", "FLOP", None, "FLOPs"),
        Metric("bytes", "B", None, "bytes of weights"),
        Metric("delay_s", "s", "min", "delay"),
        Metric("flop_per_s", "FLOP/s", "max", "rate of the GEMM"),
        Metric("memory_energy_j", "J", "min", "energy of memory"),
        Metric("arithmetic_energy_j", "J", "min", "energy of arithmetic"),
        Metric("energy_j", "J", "min", "energy"),
        Metric("edap_j_s_m2", "J s m^2", "min", "energy x delay x area"),
    )
    needs: ClassVar[Collection[str]] = ("hardware",)
    mapping: ClassVar[Collection[str]] = ("engines",)
    files: ClassVar[Mapping[str, Callable[[str], Any]]] = {
        "workload.in_dram.beside": lambda name: load_system(name).config.data
    }

    @staticmethod
    def unread(scenario: Scenario) -> Mapping[str, str]:
        """What units on the dies of the DRAM pay, of those that are on the logic die."""
        if not is_set(scenario, "workload.in_dram") or not _units(scenario).on_logic_die:
            return {}
        return {"workload.in_dram": "an engine on the logic die"}

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        work = scenario.workload
        assert isinstance(work, EngineFigures)
        units = _units(scenario)
        with at_key("workload"):
            part, total = units.area(work.part), units.area()
        if rate_for(units.engine.peak, work.dtype) is None:
            expected, found = one_of(units.engine.peak), f"'{work.dtype}'"
            raise ConfigError(
                f"{units.name}: no rate for this dtype", path="workload.dtype", found=found, expected=expected
            )
        if work.in_dram and not units.on_logic_die:
            units = units.computing_for(work.in_dram.energy_per_flop)
            if np.isnan(total):
                total = part = work.in_dram.area * _area_beside(scenario, work.in_dram.beside)
        stacks, bus, peak = units.memory.stacks, units.memory.bandwidth, units.peak(work.dtype)
        gemm = unit_gemm(units, work.k, work.n, work.rows, work.dtype)
        return {
            "stacks": float(stacks),
            "stack_bandwidth": bus / stacks,
            "bandwidth": units.bandwidth / stacks,
            "bandwidth_ratio": units.bandwidth / bus,
            "peak": peak / stacks,
            "ridge": peak / units.bandwidth,
            "area_m2": part,
            "area_share": part / units.die,
            "flops": gemm.flops,
            "bytes": gemm.bytes,
            "delay_s": gemm.delay,
            "flop_per_s": gemm.flops / gemm.delay,
            "memory_energy_j": gemm.memory_energy,
            "arithmetic_energy_j": gemm.arithmetic_energy,
            "energy_j": gemm.energy,
            "edap_j_s_m2": gemm.energy * gemm.delay * total,
        }


def _units(scenario: Scenario) -> MemoryUnits:
    """The units that a scenario names."""
    with at_key("mapping"):
        return memory_units(machine(scenario), scenario.mapping.engines)


def _area_beside(scenario: Scenario, name: str) -> float:
    """m^2 of the units of one stack of another machine.

    Raises:
        ConfigError: no such machine, or one that gives no area of its units.
    """
    with at_key("workload", "in_dram", "beside"):
        area = memory_units(machine(with_values(scenario, {"hardware": name}))).area()
        if np.isnan(area):
            raise ConfigError(found=f"'{name}'", expected="a machine whose units have an area")
    return area
