from __future__ import annotations

import pytest

from simulator.core.account import energy, joules
from simulator.hardware import load_system
from simulator.hardware.energy import energy_key, missing, static_power


def test_nodes_and_devices_draw_their_static_power_all_the_time() -> None:
    system = load_system("dgx-a100", ["nodes=2"])
    machine = system.machine
    assert machine.static_power and machine.devices["gpu"].static_power
    watts = 2 * machine.static_power + 2 * 8 * machine.devices["gpu"].static_power
    assert joules(energy(static_power(system, 3.0))) == pytest.approx(3 * watts)


@pytest.mark.parametrize(
    ("resource", "key"),
    [
        ("gpu.hbm", "devices.gpu.tiers.hbm.energy"),
        ("gpu.gpu", "devices.gpu.engines.gpu.energy_per_flop"),
        ("gpu.hbm->gpu.gpu", "devices.gpu.engines.gpu.reads.hbm.energy"),
        ("static_power", "static_power"),
        ("devices.gpu.static_power", "devices.gpu.static_power"),
    ],
)
def test_a_resource_has_its_energy_in_the_machines_yaml(resource: str, key: str) -> None:
    assert energy_key(load_system("dgx-a100"), resource) == key


def test_what_is_missing_is_named_once() -> None:
    system = load_system("sn40l")
    terms = energy({system["socket.hbm"]: 1.0} | static_power(system, 1.0))
    assert missing(system, (*terms, *terms)) == (
        "devices.socket.tiers.hbm.energy",
        "static_power",
        "devices.socket.static_power",
    )
