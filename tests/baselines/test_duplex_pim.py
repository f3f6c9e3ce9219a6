"""Logic-PIM, BankGroup-PIM and Bank-PIM beside what is published of them: what the experiment's README claims."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator import data
from simulator.baselines.experiment import load_experiment, run
from simulator.baselines.fit import fit
from simulator.baselines.pim import PimExperiment, PimOutcome
from simulator.baselines.published import Published, read_published
from simulator.errors import ConfigError

ROWS = (1, 2, 4, 8, 16, 32)
BANK, GROUP, LOGIC = UNITS = ("bank-pim", "bankgroup-pim", "logic-pim")


def simulated(*overrides: str) -> PimOutcome:
    form, _ = load_experiment("duplex-pim", overrides)
    outcome = run(form, lambda done, total: None)
    assert isinstance(outcome, PimOutcome)
    return outcome


@pytest.fixture(scope="module")
def outcome() -> PimOutcome:
    return simulated()


@pytest.fixture(scope="module")
def published() -> list[Published]:
    return read_published(data.folder("experiments") / "duplex-pim" / "published.csv")


def at(outcome: PimOutcome, unit: str, rows: int) -> dict[str, Any]:
    return next(p for p in outcome.points if (p["unit"], p["op_per_byte"]) == (unit, rows))


def test_delays_are_those_of_the_rooflines(outcome: PimOutcome) -> None:
    """In units of one read of the weights over the bus: nothing but bandwidths and peaks enters.

    The clock of 650 MHz has six digits as tCCD.
    """
    bus = 16384 * 4096 * 2 / (5 * outcome.measure("stack_bandwidth", {"unit": LOGIC}))
    for m in ROWS:
        assert at(outcome, BANK, m)["delay_s"] / bus == pytest.approx(max(1 / 16, m / 16), rel=1e-5)
        for unit in (GROUP, LOGIC):
            assert at(outcome, unit, m)["delay_s"] / bus == pytest.approx(max(1 / 4, m / 32), rel=1e-5)


def test_edap_is_the_product_and_the_worst_is_one(outcome: PimOutcome) -> None:
    for m in ROWS:
        column = [at(outcome, unit, m) for unit in UNITS]
        for point in column:
            assert point["edap"] == pytest.approx(point["energy_j"] * point["delay_s"] * point["area_m2"], rel=1e-12)
            assert point["energy_j"] == point["memory_energy_j"] + point["arithmetic_energy_j"]
        assert max(point["edap_over_worst"] for point in column) == 1.0


def test_the_orderings_of_the_paper_come_out(outcome: PimOutcome) -> None:
    for m in ROWS:
        edap = {unit: at(outcome, unit, m)["edap"] for unit in UNITS}
        assert min(edap, key=lambda unit: edap[unit]) == (BANK if m <= 4 else LOGIC)
        assert edap[LOGIC] < edap[GROUP]


def test_predictions_of_edap_are_within_12_percent(outcome: PimOutcome, published: list[Published]) -> None:
    rows = [row for row in published if row.metric == "edap" and row.condition["op_per_byte"] not in (2, 32)]
    assert len(rows) == 12 and {row.role for row in rows} == {"prediction"}
    for row in rows:
        assert outcome.measure(row.metric, row.condition) == pytest.approx(row.published, rel=0.12), row


def test_all_else_that_is_predicted_comes_out(outcome: PimOutcome, published: list[Published]) -> None:
    rows = [row for row in published if row.metric != "edap" and row.role == "prediction"]
    assert {row.metric for row in rows} == {"peak", "bandwidth_ratio", "ridge", "area", "area_share"}
    for row in rows:
        assert row.from_si(outcome.measure(row.metric, row.condition)) == pytest.approx(row.published, rel=5e-3)


def test_parts_of_the_area_add_up(outcome: PimOutcome) -> None:
    parts = {row["part"]: row for row in outcome.areas}
    whole = parts.pop("all")
    for column in ("area_m2", "share_of_die"):
        assert sum(part[column] for part in parts.values()) == pytest.approx(whole[column], rel=1e-12)


def test_the_two_numbers_solve_the_two_equations(outcome: PimOutcome, published: list[Published]) -> None:
    """Energy x area of Bank-PIM over Logic-PIM, at 2 and 32 rows, is that of the labels: two linear equations."""
    labels = {(r.condition["unit"], r.condition["op_per_byte"]): r.published for r in published if r.metric == "edap"}
    form, _ = load_experiment("duplex-pim")
    assert isinstance(form, PimExperiment)
    lines, sides = [], []
    for m in (2, 32):
        bank, logic = at(outcome, BANK, m), at(outcome, LOGIC, m)
        ratio = labels[BANK, m] / labels[LOGIC, m] * logic["delay_s"] / bank["delay_s"]
        lines.append([bank["memory_energy_j"], bank["flops"]])  # of the area, and of the area x energy a FLOP
        sides.append(ratio * logic["energy_j"])
    area, energy = np.linalg.solve(lines, sides)
    assert (form.in_dram.area, form.in_dram.energy_per_flop) == pytest.approx((area, energy / area), rel=1e-3)


def test_a_fit_to_all_labels_of_the_two_columns_is_near() -> None:
    found = fit("duplex-pim", {"in_dram.energy_per_flop": 2e-12, "in_dram.area": 3.0})
    assert found == pytest.approx({"in_dram.energy_per_flop": 0.732e-12, "in_dram.area": 0.974}, rel=1e-3)


def test_roles_are_those_fixed_before_the_first_run(published: list[Published]) -> None:
    calibrations = {(r.metric, r.condition.get("op_per_byte")) for r in published if r.role == "calibration"}
    assert calibrations == {("edap", 2), ("edap", 32)}
    assert sum(row.role == "calibration" for row in published) == 6


def test_the_two_numbers_concern_units_in_dram_only(outcome: PimOutcome) -> None:
    other = simulated('set=["in_dram.area=2", "in_dram.energy_per_flop=2 pJ/FLOP"]', "gemm.rows=[8]")
    for unit, differs in ((BANK, True), (GROUP, True), (LOGIC, False)):
        before, after = at(outcome, unit, 8), at(other, unit, 8)
        assert (after["area_m2"] != before["area_m2"]) is differs
        assert (after["arithmetic_energy_j"] != before["arithmetic_energy_j"]) is differs
        assert after["memory_energy_j"] == before["memory_energy_j"]


def test_achieved_rates_stretch_what_waits_for_memory(outcome: PimOutcome) -> None:
    achieved = simulated("set=[]")
    for unit in UNITS:
        assert at(achieved, unit, 1)["delay_s"] > at(outcome, unit, 1)["delay_s"]
        assert at(achieved, unit, 32)["delay_s"] == at(outcome, unit, 32)["delay_s"]


@pytest.mark.parametrize(
    ("metric", "condition", "message"),
    [
        ("edpa", {}, "did you mean 'edap'"),
        ("edap", {"unit": LOGIC}, "a condition that one row meets, not 6"),
        ("peak", {"unit": "logic"}, "a condition that one row meets, not 0"),
    ],
)
def test_what_is_not_there_is_refused(
    outcome: PimOutcome, metric: str, condition: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        outcome.measure(metric, condition)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('set=["in_dram.areas=1"]', "did you mean 'area'"),
        ('set=["in_dram.area=0"]', "found 0, expected more than 0"),
        ('set=["in_dram.area=1 m"]', "expected a plain number"),
        ("units.logic-pim.engine=xpu", "no units in the memory: found 'xpu', expected 'pim'"),
        ("units.logic-pim=null", "found none with an area"),
        ('set=["devices.xpu.engines.pim.energy_per_flop=null"]', "gives no energy"),
    ],
)
def test_an_experiment_that_cannot_be_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        simulated(override)


def test_only_the_rows_asked_for_are_left() -> None:
    form, _ = load_experiment("duplex-pim")
    assert isinstance(form, PimExperiment)
    assert form.only([{"op_per_byte": 32}, {"op_per_byte": 2}]).gemm.rows == [2, 32]
    assert form.only([{"unit": LOGIC}]) == form
