"""What a data sheet's parts allow: each machine that ships keeps to its own, and what is not stated follows."""

from __future__ import annotations

import numpy as np
import pytest

from simulator import data, load_system
from simulator.hardware.limits import ROUNDING, disagreements

NAMES = data.names("hwconfigs")
BANDWIDTH, RATE = "devices.gpu.tiers.hbm.bandwidth", "devices.gpu.tiers.hbm.bus.rate"
PEAK, CLOCK = "devices.gpu.engines.gpu.peak.bf16", "devices.gpu.engines.gpu.units.clock"


@pytest.mark.parametrize("name", NAMES)
def test_each_machine_keeps_to_the_limits_of_its_data_sheet(name: str) -> None:
    assert [str(each) for each in disagreements(load_system(name))] == []


def test_a_figure_that_its_parts_do_not_give_is_told_with_its_line(tmp_path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("extends: h100-sxm\ndevices: {gpu: {tiers: {hbm: {bandwidth: 3 TB/s}}}}\n")
    (told,) = disagreements(load_system(file))
    assert (told.file, told.line, str(told.found)) == (file, 2, "3 TB/s")
    assert "expected 3.352 TB/s within 2.5 %" in str(told)


def test_what_is_stated_holds_and_what_is_not_follows() -> None:
    stated, derived = load_system("h100-sxm"), load_system("h100-sxm", [f"{BANDWIDTH}=", f"{PEAK}="])
    assert stated.tiers["gpu.hbm"].bandwidth == 3.35e12
    assert derived.tiers["gpu.hbm"].bandwidth == pytest.approx(5 * 1024 * 5.238e9 / 8)
    assert derived.engines["gpu.gpu"].peak["bf16"] == pytest.approx(132 * 1.83e9 * 4096)
    assert derived.engines["gpu.gpu"].peak["fp8"] == stated.engines["gpu.gpu"].peak["fp8"] == 1979e12


def test_an_option_for_a_part_counts_and_one_for_the_figure_before_it() -> None:
    faster = load_system("h100-sxm", [f"{RATE}=8 Gbit/s", f"{CLOCK}=2 GHz"])
    assert faster.tiers["gpu.hbm"].bandwidth == pytest.approx(5 * 1024 * 1e9)
    assert faster.engines["gpu.gpu"].peak["bf16"] == pytest.approx(132 * 2e9 * 4096)
    assert faster.engines["gpu.gpu"].peak["fp32"] == 67e12
    both = load_system("h100-sxm", [f"{RATE}=8 Gbit/s", f"{BANDWIDTH}=4 TB/s"])
    assert both.tiers["gpu.hbm"].bandwidth == 4e12
    assert load_system("h100-sxm").replaced({RATE: 8e9}).tiers["gpu.hbm"].bandwidth == pytest.approx(5 * 1024 * 1e9)


def test_a_part_may_be_an_array_of_design_points() -> None:
    rates = np.array([4e9, 8e9])
    system = load_system("h100-sxm").at({RATE: rates})
    np.testing.assert_allclose(system["gpu.hbm"].capacity, 5 * 1024 * rates / 8)


def test_the_figures_of_a_data_sheet_are_not_far_from_what_its_parts_give() -> None:
    """The law would pass where no machine says its parts: most do."""
    systems = [load_system(name) for name in NAMES]
    assert sum(any(tier.bus for tier in system.tiers.values()) for system in systems) > 20
    assert sum(any(engine.units for engine in system.engines.values()) for system in systems) > 20
    assert ROUNDING < 0.03
