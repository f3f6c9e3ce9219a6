"""Units in the memory: laws of their figures and of a GEMM on them, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.errors import ConfigError
from simulator.scenario.evaluate import evaluate

IN_DRAM = {"energy_per_flop": "1 pJ/FLOP", "area": 0.5, "beside": "duplex-node"}
PIM = "devices.xpu.engines.pim"


def metrics(hardware: Any = "duplex-node", engines: tuple[str, ...] = (), **work: Any) -> dict[str, Any]:
    scenario = {"hardware": hardware, "mapping": {"engines": engines}, "workload": {"kind": "engine_figures", **work}}
    return dict(evaluate(scenario).metrics)


def test_a_gemm_waits_for_its_weights_up_to_the_ridge_and_then_for_its_units() -> None:
    hardware = {"extends": "duplex-node", f"{PIM}.reads.hbm.efficiency": 1}
    for rows in (1, 7, 8, 9, 64):
        of = metrics(hardware, rows=rows)
        stacks, slower = of["stacks"], max(rows / of["ridge"], 1.0)
        assert of["delay_s"] == pytest.approx(slower * of["bytes"] / (stacks * of["bandwidth"]), rel=1e-9)
        assert of["flops"] == rows * of["bytes"]  # of FP16
        assert of["edap_j_s_m2"] == pytest.approx(of["energy_j"] * of["delay_s"] * of["area_m2"], rel=1e-12)


def test_figures_do_not_hang_on_the_gemm() -> None:
    figures = ("stack_bandwidth", "bandwidth", "peak", "ridge", "area_m2")
    one, other = metrics(), metrics(k=128, n=64, rows=3)
    assert {name: one[name] for name in figures} == {name: other[name] for name in figures}
    assert other["flops"] == 2 * 3 * 128 * 64


def test_parts_of_the_area_are_the_whole_and_the_product_is_of_the_whole() -> None:
    parts = [metrics(part=part) for part in ("tsvs", "gemm_modules", "buffers", "softmax")]
    whole = metrics()
    for name in ("area_m2", "area_share"):
        assert sum(part[name] for part in parts) == pytest.approx(whole[name], rel=1e-12)
    assert {part["edap_j_s_m2"] for part in parts} == {whole["edap_j_s_m2"]}


def test_only_units_in_dram_pay_for_its_process() -> None:
    with pytest.raises(ConfigError, match=r"workload\.in_dram: an engine on the logic die does not read it"):
        metrics(in_dram=IN_DRAM)
    paid, free = metrics("duplex-bank-pim", in_dram=IN_DRAM), metrics("duplex-bank-pim")
    assert paid["area_m2"] == 0.5 * metrics()["area_m2"]
    assert paid["arithmetic_energy_j"] == pytest.approx(1e-12 * paid["flops"])
    assert paid["memory_energy_j"] == free["memory_energy_j"]
    assert free["area_m2"] is None and free["edap_j_s_m2"] is None  # the machine gives none


def test_the_engine_may_be_named() -> None:
    assert metrics(engines=("xpu.pim",)) == metrics()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engines": ("xpu.xpu",)}, r"mapping\.engines: .*no units in the memory: found xpu\.xpu, expected 'xpu\.pim'"),
        ({"hardware": "dgx-h100"}, r"mapping\.engines: .*no units in the memory: found none"),
        ({"hardware": None}, "hardware: missing key"),
        ({"part": "tsv"}, r"workload\.part.*did you mean 'tsvs'"),
        ({"dtype": "fp4"}, r"no rate for this dtype"),
        ({"in_dram": {**IN_DRAM, "areas": 1}}, "did you mean 'area'"),
        ({"in_dram": {**IN_DRAM, "area": 0}}, "found 0, expected more than 0"),
        ({"in_dram": {**IN_DRAM, "area": "1 m"}}, "expected a plain number"),
        (
            {"hardware": "duplex-bank-pim", "in_dram": {**IN_DRAM, "beside": "duplex-bankgroup-pim"}},
            r"workload\.in_dram\.beside: found 'duplex-bankgroup-pim', expected a machine whose units have an area",
        ),
        ({"hardware": {"extends": "duplex-node", f"{PIM}.energy_per_flop": None}}, "gives no energy"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        metrics(**change)
