"""Llama on SN40L beside its published rates: what the experiment's README claims."""

from __future__ import annotations

from statistics import median

import pytest

from simulator import data
from simulator.scenario.evaluate import evaluate
from simulator.study.load import load_study
from simulator.study.results import StudyResults, results_of
from simulator.validation.fit import fit
from simulator.validation.published import Published, read_published
from tests.deployed import under

HBM = "hardware.devices.socket.engines.rdu.reads.hbm.efficiency"
LINK = "hardware.links.socket<->socket.latency"

Ratios = list[tuple[Published, float]]


@pytest.fixture(scope="module")
def published() -> list[Published]:
    return read_published(data.folder("experiments") / "sn40l-decode" / "published.csv")


@pytest.fixture(scope="module")
def ratios(published: list[Published]) -> Ratios:
    """Simulated over published, of all that is not context."""
    rows = [row for row in published if row.role != "context"]
    results = results_of(load_study("sn40l-decode"), [(row.metric, row.condition) for row in rows])
    return [(row, row.from_si(results.measure(row.metric, row.condition) or 0.0) / row.published) for row in rows]


@pytest.mark.slow
def test_the_machine_has_the_figures_that_a_fit_from_elsewhere_finds() -> None:
    machine = under("sn40l-node").machine
    efficiency = machine.devices["socket"].engines["rdu"].reads["hbm"].efficiency
    latency = machine.links["socket<->socket"].latency
    found = fit("sn40l-decode", {HBM: 0.7, LINK: 5e-6}, {HBM: 1.0})
    assert found == pytest.approx({HBM: efficiency, LINK: latency}, rel=0.01)


def test_the_two_calibrations_come_out(ratios: Ratios) -> None:
    fitted = {row.condition["model"]: ratio for row, ratio in ratios if row.role == "calibration"}
    assert fitted == pytest.approx({"llama-3-8b": 1.0, "llama-3-70b": 1.0}, abs=2e-3)


def test_predictions_are_as_close_as_the_targets(ratios: Ratios) -> None:
    off = [(row, abs(ratio - 1)) for row, ratio in ratios if row.role == "prediction"]
    assert len(off) == 9
    assert median(error for _, error in off) <= 0.06
    for row, error in off:
        if row.condition["devices"] == 16:
            assert error <= 0.10
        elif row.condition["output"] == 128:
            assert error <= 0.12


def test_roles_are_those_fixed_before_the_first_run(published: list[Published]) -> None:
    assert all(row.source and row.tolerance for row in published)
    calibrations = [(row.condition["model"], row.condition["output"]) for row in published if row.role == "calibration"]
    assert calibrations == [("llama-3-8b", 1024), ("llama-3-70b", 1024)]
    predictions = {(row.condition["model"], row.condition["devices"]) for row in published if row.role == "prediction"}
    assert predictions == {("llama-3-8b", 8), ("llama-3-70b", 8), ("llama-3.1-8b", 16)}


SHORT = [
    "runs.lengths.zip=null",
    'runs.lengths.axes."workload.input"=[64]',
    'runs.lengths.axes."workload.output"=[64, 1]',
    "runs.rack=null",
    "runs.may-2024=null",
    "variants=null",
    "charts=null",
]
POINT = {"model": "llama-3-8b", "output": 64}


def short(*overrides: str, output: int = 64) -> StudyResults:
    """The 8B model alone, with answers of 64 tokens or of one."""
    wanted = [("latency", {**POINT, "output": output})]
    return results_of(load_study("sn40l-decode", [*SHORT, *overrides]), wanted)


@pytest.fixture(scope="module")
def results() -> StudyResults:
    return short()


def test_rates_follow_from_the_times(results: StudyResults) -> None:
    metrics = ("latency", "ttft", "tokens_per_s", "decode_tokens_per_s")
    latency, first, rate, later = (results.measure(metric, POINT) or 0.0 for metric in metrics)
    assert rate * latency == pytest.approx(64)
    assert later * (latency - first) == pytest.approx(63)


def test_one_token_alone_has_no_rate_after_the_first() -> None:
    one, point = short(output=1), {**POINT, "output": 1}
    assert one.measure("decode_tokens_per_s", point) is None
    assert one.measure("latency", point) == one.measure("ttft", point)


def test_rates_are_of_all_sequences_as_one_scenario_has_them() -> None:
    several = short("axes.workload.batch.values=[4]")
    workload = {"batch": 4, "input": 64, "output": 64}
    scenario = {"hardware": "sn40l-node", "model": "llama-3-8b", "mapping": {"devices": 8}, "workload": workload}
    one = evaluate(scenario).metrics
    assert several.measure("tokens_per_s", POINT) == pytest.approx(one["tokens_per_s"], rel=1e-9)
    later = 4 * 63 / (one["e2e_s"] - one["ttft_s"])
    assert several.measure("decode_tokens_per_s", POINT) == pytest.approx(later, rel=1e-9)


def test_settings_reach_the_machines(results: StudyResults) -> None:
    assert (short(f"{HBM}=0.4").measure("latency", POINT) or 0.0) > (results.measure("latency", POINT) or 0.0)


def test_what_does_not_fit_is_refused() -> None:
    assert short("hardware.devices.socket.tiers.hbm.capacity=1 GB").measure("latency", POINT) is None
