from __future__ import annotations

import numpy as np
import pytest

import simulator
from simulator import data, load_system
from simulator.errors import ConfigError
from simulator.hardware.cost import area, load_costs, price
from simulator.study.cost import FIGURES

COSTS = load_costs()


@pytest.mark.parametrize("name", data.names("hwconfigs"))
def test_parts_add_up_to_what_there_is_in_all(name) -> None:
    if any(device.process is None for device in load_system(name).machine.devices.values()):
        with pytest.raises(ConfigError, match="process: missing key"):
            simulator.cost(name)
        return
    answer = simulator.cost(name)
    counts = answer.total.set_index("device")["count"]
    weighted = answer.parts[list(FIGURES)].mul(answer.parts["device"].map(counts), axis=0).sum()
    whole = answer.total.set_index("device").loc["all", list(FIGURES)].astype(float)
    known = whole.notna()
    np.testing.assert_allclose(weighted[known], whole[known])
    assert known["area_m2"]
    assert known["price_usd"] or any("area: missing key" in each for each in answer.missing)
    assert known["peak_power_w"] or any("energy" in each for each in answer.missing)


def test_tiers_beside_the_devices_are_those_of_the_node(tmp_path) -> None:
    file = tmp_path / "pair.yaml"
    file.write_text(
        "extends: dgx-h100\nname: pair\nnodes: 2\ntiers: {host: {kind: host, capacity: 2 TB, bandwidth: 1 TB/s}}"
    )
    answer, system = simulator.cost(file), load_system(file)
    node = answer.total.set_index("device").loc["node"]
    assert (node["count"], node["price_usd"]) == (2, pytest.approx(4e12 * 3.1e-9))
    assert answer.total["price_usd"].iloc[-1] == pytest.approx(price(system, COSTS).total)


def test_an_object_that_is_loaded_does_as_well_as_a_name() -> None:
    system = load_system("dgx-a100")
    answer = simulator.cost(system, COSTS, dtype="bf16")
    assert answer.total["area_m2"].iloc[0] == pytest.approx(8 * area(system, COSTS, dtype="bf16").total)
    assert ("technologies", "hbm2e") in answer.sections()
    assert ("processes", "N16") not in answer.sections()
    assert "gpu.hbm" in answer._repr_html_()
