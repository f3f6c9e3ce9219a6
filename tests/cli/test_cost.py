from __future__ import annotations

import pytest

from simulator import load_system
from simulator.hardware.cost import area, load_costs, peak_power, price


def test_a_machine_is_priced_part_by_part(run) -> None:
    told = run("cost", "dgx-a100")
    assert told.code == 0
    for text in ("gpu<->gpu", "826 mm^2", "8 x gpu", "22,595.70 USD", "550.6 W"):
        assert text in told.out
    assert "missing" not in told.out


def test_the_document_adds_up(run) -> None:
    document, system = run("cost", "duplex-node", "--json").json, load_system("duplex-node")
    whole = document["total"][-1]
    die = area(system, load_costs())
    assert (document["hardware"], document["costs"], document["missing"]) == ("duplex-node", "silicon", [])
    assert whole["area_m2"] == pytest.approx(4 * die.total)
    assert whole["in_memory_m2"] == pytest.approx(4 * die.in_memory["xpu.pim"])
    assert whole["price_usd"] == pytest.approx(price(system, load_costs()).total)
    assert whole["peak_power_w"] == pytest.approx(4 * peak_power(system).total)


def test_options_are_those_of_the_machine(run) -> None:
    one = run("cost", "dgx-h100", "--json").json["total"][0]
    two = run("cost", "dgx-h100", "--set", "devices.gpu.count=16", "--dtype", "bf16", "--json").json["total"][0]
    assert (one["count"], two["count"]) == (8, 16)
    assert two["area_m2"] < 2 * one["area_m2"] * (1 + 1e-12)


def test_a_figure_that_is_missing_is_named(run) -> None:
    told, document = run("cost", "sn40l-node"), run("cost", "sn40l-node", "--json").json
    assert "missing: devices.socket.static_power" in told.out
    assert document["total"][-1]["peak_power_w"] is None
    assert document["total"][-1]["price_usd"] > 0


def test_what_it_is_made_from_has_its_sources(run) -> None:
    told = run("cost", "dgx-a100", "--explain")
    assert "hbm2e" in told.out and "A100 data sheet: 2.039 TB/s over 5 stacks" in told.out
    assert "hbm3e" not in told.out and "N16" not in told.out
    figures = run("cost", "dgx-a100", "--explain", "--json").json["explain"]
    price = next(figure for figure in figures if figure["path"] == "technologies.hbm2e.price")
    assert (price["role"], price["written"]) == ("assumption", "11 USD/GB")


def test_a_table_of_ones_own(run, write) -> None:
    table = write("dear.yaml", "extends: silicon\nname: dear\ntechnologies: {hbm3: {price: 30 USD/GB}}\n")
    parts = run("cost", "dgx-h100", "--costs", table, "--json").json["parts"]
    hbm = next(part for part in parts if part["part"] == "gpu.hbm")
    assert hbm["price_usd"] == pytest.approx(2 * 15e-9 * load_system("dgx-h100").tiers["gpu.hbm"].capacity)


def test_a_machine_without_a_process_is_refused(run, chip) -> None:
    told = run("cost", chip())
    assert told.code == 2
    assert "devices.chip.process: missing key" in told.err
