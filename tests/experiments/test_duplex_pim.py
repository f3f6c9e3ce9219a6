"""Logic-PIM, BankGroup-PIM and Bank-PIM beside what is published of them: what the experiment's README claims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.scenario.evaluators.engine_figures import EngineFigures
from simulator.study.load import load_study
from simulator.study.results import StudyResults
from simulator.validation.fit import fit
from simulator.validation.published import Published

ROWS = (1, 2, 4, 8, 16, 32)
BANK, GROUP, LOGIC = UNITS = ("bank-pim", "bankgroup-pim", "logic-pim")


@pytest.fixture(scope="module")
def results(simulated: Callable[..., StudyResults]) -> StudyResults:
    return simulated("duplex-pim")


@pytest.fixture(scope="module")
def rows(published: Callable[[str], list[Published]]) -> list[Published]:
    return published("duplex-pim")


def at(results: StudyResults, unit: str, rows: int) -> dict[str, Any]:
    """The point of a GEMM on a unit, with its EDAP over the worst."""
    frame = results.named("gemm")
    frame = frame.assign(edap=results.looked_up("edap", "gemm"))
    (point,) = frame[(frame["unit"] == unit) & (frame["op_per_byte"] == rows)].to_dict("records")
    return dict(point)


def test_delays_are_those_of_the_rooflines(results: StudyResults) -> None:
    """In units of one read of the weights over the bus: nothing but bandwidths and peaks enters.

    The clock of 650 MHz has six digits as tCCD.
    """
    bus = 16384 * 4096 * 2 / (5 * (results.measure("stack_bandwidth", {"unit": LOGIC}) or 0.0))
    for m in ROWS:
        assert at(results, BANK, m)["delay_s"] / bus == pytest.approx(max(1 / 16, m / 16), rel=1e-5)
        for unit in (GROUP, LOGIC):
            assert at(results, unit, m)["delay_s"] / bus == pytest.approx(max(1 / 4, m / 32), rel=1e-5)


def test_edap_is_the_product_and_the_worst_is_one(results: StudyResults) -> None:
    for m in ROWS:
        column = [at(results, unit, m) for unit in UNITS]
        for point in column:
            assert point["edap_j_s_m2"] == pytest.approx(
                point["energy_j"] * point["delay_s"] * point["area_m2"], rel=1e-12
            )
            assert point["energy_j"] == point["memory_energy_j"] + point["arithmetic_energy_j"]
        assert max(point["edap"] for point in column) == 1.0


def test_the_orderings_of_the_paper_come_out(results: StudyResults) -> None:
    for m in ROWS:
        edap = {unit: at(results, unit, m)["edap"] for unit in UNITS}
        assert min(edap, key=lambda unit: edap[unit]) == (BANK if m <= 4 else LOGIC)
        assert edap[LOGIC] < edap[GROUP]


def test_predictions_of_edap_are_within_12_percent(rows: list[Published], results: StudyResults) -> None:
    others = [row for row in rows if row.metric == "edap" and row.condition["op_per_byte"] not in (2, 32)]
    assert len(others) == 12 and {row.role for row in others} == {"prediction"}
    for row in others:
        assert results.measure(row.metric, row.condition) == pytest.approx(row.published, rel=0.12), row


def test_all_else_that_is_predicted_comes_out(rows: list[Published], results: StudyResults) -> None:
    others = [row for row in rows if row.metric != "edap" and row.role == "prediction"]
    assert {row.metric for row in others} == {"peak", "bandwidth_ratio", "ridge", "area", "area_share"}
    for row in others:
        assert row.from_si(results.measure(row.metric, row.condition) or 0.0) == pytest.approx(row.published, rel=5e-3)


def test_parts_of_the_area_add_up(results: StudyResults) -> None:
    parts = {row["part"]: row for row in results.named("areas").to_dict("records")}
    whole = parts.pop("all")
    for column in ("area_m2", "area_share"):
        assert sum(part[column] for part in parts.values()) == pytest.approx(whole[column], rel=1e-12)


def test_the_two_numbers_solve_the_two_equations(rows: list[Published], results: StudyResults) -> None:
    """Energy x area of Bank-PIM over Logic-PIM, at 2 and 32 rows, is that of the labels: two linear equations."""
    labels = {(r.condition["unit"], r.condition["op_per_byte"]): r.published for r in rows if r.metric == "edap"}
    work = results.study.runs["gemm"].sweep.base.workload
    assert isinstance(work, EngineFigures) and work.in_dram
    lines, sides = [], []
    for m in (2, 32):
        bank, logic = at(results, BANK, m), at(results, LOGIC, m)
        ratio = labels[BANK, m] / labels[LOGIC, m] * logic["delay_s"] / bank["delay_s"]
        lines.append([bank["memory_energy_j"], bank["flops"]])  # of the area, and of the area x energy a FLOP
        sides.append(ratio * logic["energy_j"])
    area, energy = np.linalg.solve(lines, sides)
    assert (work.in_dram.area, work.in_dram.energy_per_flop) == pytest.approx((area, energy / area), rel=1e-3)


def test_a_fit_to_all_labels_of_the_two_columns_is_near() -> None:
    energy, area = (f"workload.in_dram.{key}" for key in ("energy_per_flop", "area"))
    found = fit("duplex-pim", {energy: 2e-12, area: 3.0})
    assert found == pytest.approx({energy: 0.732e-12, area: 0.974}, rel=1e-3)


def test_roles_are_those_fixed_before_the_first_run(rows: list[Published]) -> None:
    calibrations = {(r.metric, r.condition.get("op_per_byte")) for r in rows if r.role == "calibration"}
    assert calibrations == {("edap", 2), ("edap", 32)}
    assert sum(row.role == "calibration" for row in rows) == 6


def test_the_two_numbers_concern_units_in_dram_only(
    results: StudyResults, simulated: Callable[..., StudyResults]
) -> None:
    settings = ["workload.in_dram.area=2", "workload.in_dram.energy_per_flop=2 pJ/FLOP"]
    other = simulated("duplex-pim", [*settings, "runs.gemm.axes.workload.rows.values=[8]"])
    for unit, differs in ((BANK, True), (GROUP, True), (LOGIC, False)):
        before, after = at(results, unit, 8), at(other, unit, 8)
        assert (after["area_m2"] != before["area_m2"]) is differs
        assert (after["arithmetic_energy_j"] != before["arithmetic_energy_j"]) is differs
        assert after["memory_energy_j"] == before["memory_energy_j"]


def test_achieved_rates_stretch_what_waits_for_memory(
    results: StudyResults, simulated: Callable[..., StudyResults]
) -> None:
    achieved = simulated("duplex-pim", list(results.study.form.variants["achieved"].set.items()))
    for unit in UNITS:
        assert at(achieved, unit, 1)["delay_s"] > at(results, unit, 1)["delay_s"]
        assert at(achieved, unit, 32)["delay_s"] == at(results, unit, 32)["delay_s"]


@pytest.mark.parametrize(
    ("metric", "condition", "message"),
    [
        ("edpa", {}, "did you mean 'edap'"),
        ("edap", {"unit": LOGIC}, "6 with unit=logic-pim, expected one: say its op_per_byte"),
        ("peak", {"unit": "logic"}, "did you mean 'logic-pim'"),
    ],
)
def test_what_does_not_exist_is_refused(
    results: StudyResults, metric: str, condition: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        results.measure(metric, condition)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("workload.in_dram.areas=1", "did you mean 'area'"),
        ("workload.in_dram.area=0", "found 0, expected more than 0"),
        ("workload.in_dram.area=1 m", "expected a plain number"),
    ],
)
def test_numbers_that_cannot_be_are_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_study("duplex-pim", [override])
