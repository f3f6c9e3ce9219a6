"""Every machine that ships estimates a small model under its own runtime, and has no efficiency but a runtime's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simulator import data, estimate, load_model, load_system
from simulator.errors import dotted
from simulator.mapping.runtime.form import IDEAL, load_runtime
from simulator.workload import weight_bytes

NAMES = data.names("hwconfigs")
MODEL = load_model("llama-3-8b", ["layers=1", "vocab=1024", "ffn.intermediate=1024"])


@pytest.mark.parametrize("name", NAMES)
def test_a_small_model_runs_on_one_device_under_the_runtime_of_the_machine(name: str) -> None:
    system = load_system(name)
    found = estimate(system, MODEL, 1, 64, 8, devices=1)
    assert 0 < found.tbt_s < found.e2e_s
    device, part = next((name, each) for name, each in system.machine.devices.items() if each.engines)
    fastest = max(tier.bandwidth for full, tier in system.tiers.items() if full.startswith(f"{device}."))
    reads = max(float(port.bandwidth or 0) for engine in part.engines.values() for port in engine.reads.values())
    weights = 2 * 1024 * 4096 * 3  # bytes of the feed-forward alone
    assert found.tbt_s > weights / max(fastest, reads)


def efficiencies(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        if key == "efficiency":
            yield dotted((*path, key))
        yield from efficiencies(inner, (*path, key))


@pytest.mark.parametrize("name", NAMES)
def test_no_machine_has_an_efficiency_that_is_a_runtimes(name: str) -> None:
    assert not [*efficiencies(load_system(name).config.data)]


def test_cpus_have_libraries_of_their_own() -> None:
    figures = load_runtime("cpu-libraries").runtime.by_device["any"].engines
    assert set(figures) == {"cpu"}
    shipped = estimate("xeon-6454s", MODEL, 1, 64, 8).tbt_s
    assert shipped > estimate("xeon-6454s", MODEL, 1, 64, 8, runtime=IDEAL).tbt_s / 0.8


def test_a_grid_whose_weights_lie_on_the_chip_moves_them_over_one_bus() -> None:
    socket, engine = "devices.socket", "devices.socket.engines.rdu.reads"
    gone = [f"{path}=" for path in (f"{socket}.tiers.hbm", f"{socket}.tiers.ddr", f"{engine}.hbm", f"{engine}.ddr")]
    system = load_system("sn40l", [*gone, f"{socket}.links=", f"{socket}.tiers.sram.capacity=80 GB"])
    model = load_model("llama-3-8b")
    found = estimate(system, model, 1, 64, 8)
    assert set(found.footprint.tiers) == {"socket.sram"}
    assert found.tbt_s > 0.9 * weight_bytes(model) / system.tiers["socket.sram"].bandwidth
