from __future__ import annotations

from math import isnan

import pytest

from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.two_engines.memory_units import memory_units, unit_gemm


def test_the_units_of_a_machine_that_has_one_kind_need_no_name() -> None:
    system = load_system("duplex-node")
    units = memory_units(system)
    assert units == memory_units(system, ("xpu.pim",)) == memory_units(system, ("pim",))
    assert (units.name, units.tier, units.port) == ("xpu.pim", "xpu.hbm", "xpu.hbm->xpu.pim")
    assert units.area() == sum(units.area(part) for part in ("tsvs", "gemm_modules", "buffers", "softmax"))


def test_another_energy_of_arithmetic_leaves_all_else() -> None:
    units = memory_units(load_system("duplex-bank-pim"))
    dear = units.computing_for(2 * (units.engine.energy_per_flop or 0.0))
    one, other = (unit_gemm(each, 64, 32, 4, "fp16") for each in (units, dear))
    assert other.arithmetic_energy == pytest.approx(2 * one.arithmetic_energy)
    assert (other.delay, other.memory_energy, other.flops) == (one.delay, one.memory_energy, one.flops)
    assert isnan(units.area()) and isnan(units.die)


def test_a_gemm_is_linear_in_its_columns() -> None:
    units = memory_units(load_system("duplex-node"))
    one, two = (unit_gemm(units, 64, columns, 4, "fp16") for columns in (32, 64))
    for name in ("flops", "bytes", "delay", "energy"):
        assert getattr(two, name) == pytest.approx(2 * getattr(one, name))


@pytest.mark.parametrize(("machine", "engines"), [("dgx-h100", ()), ("duplex-node", ("xpu.xpu",))])
def test_an_engine_beside_the_memory_is_refused(machine: str, engines: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"engines: .*no units in the memory"):
        memory_units(load_system(machine), engines)
