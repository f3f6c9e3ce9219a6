"""Llama on SN40L beside its published rates: what the experiment's README claims."""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest
from simulator.baselines.decode import DecodeExperiment

from simulator import data
from simulator.baselines.experiment import Outcome, load_experiment, run
from simulator.baselines.fit import fit
from simulator.baselines.published import Published, read_published
from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.scenario.evaluate import estimate

HBM = "devices.socket.engines.rdu.reads.hbm.efficiency"
LINK = "links.socket<->socket.latency"

Ratios = list[tuple[Published, float]]


@pytest.fixture(scope="module")
def published() -> list[Published]:
    return read_published(data.folder("experiments") / "sn40l-decode" / "published.csv")


@pytest.fixture(scope="module")
def ratios(published: list[Published]) -> Ratios:
    """Simulated over published, of all that is not context."""
    rows = [row for row in published if row.role != "context"]
    form, _ = load_experiment("sn40l-decode")
    assert isinstance(form, DecodeExperiment)
    outcome = run(form.only([row.condition for row in rows]), lambda done, total: None)
    return [(row, row.from_si(outcome.measure(row.metric, row.condition) or 0.0) / row.published) for row in rows]


def test_the_machine_has_the_figures_that_a_fit_from_elsewhere_finds() -> None:
    machine = load_system("sn40l-node").machine
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


SMALL = ["runs.llama-3-8b.tokens=[[64, 64], [64, 1]]", "variants=null"]
OTHERS = [f"runs.{name}=null" for name in ("llama-3-70b", "llama-2-7b", "rack-8b", "rack-70b", "rack-405b", "may-2024")]


def small(*overrides: str) -> Outcome:
    form, _ = load_experiment("sn40l-decode", [*SMALL, *OTHERS, *overrides])
    return run(form, lambda done, total: None)


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return small()


def test_rates_follow_from_the_times(outcome: Outcome) -> None:
    metrics = ("latency", "ttft", "tokens_per_s", "decode_tokens_per_s")
    latency, first, rate, later = (outcome.measure(metric, {"output": 64}) or 0.0 for metric in metrics)
    assert rate * latency == pytest.approx(64)
    assert later * (latency - first) == pytest.approx(63)
    assert outcome.measure("decode_tokens_per_s", {"output": 1}) is None
    assert outcome.measure("latency", {"output": 1}) == pytest.approx(outcome.measure("ttft", {"output": 1}))


def test_rates_are_of_all_sequences_as_an_estimate_has_them() -> None:
    several, point = small("runs.llama-3-8b.batch=4"), {"output": 64}
    one = estimate("sn40l-node", "llama-3-8b", 4, 64, 64, devices=8)
    assert several.measure("tokens_per_s", point) == pytest.approx(one.tokens_per_s, rel=1e-12)
    assert several.measure("decode_tokens_per_s", point) == pytest.approx(4 * 63 / (one.e2e_s - one.ttft_s))


def test_settings_reach_the_machines(outcome: Outcome) -> None:
    slower = small(f'set=["{HBM}=0.4"]').measure("latency", {"output": 64}) or 0.0
    assert slower > (outcome.measure("latency", {"output": 64}) or 0.0)


def test_what_does_not_fit_is_refused() -> None:
    refused = small('set=["devices.socket.tiers.hbm.capacity=1 GB"]')
    assert refused.measure("latency", {"output": 64}) is None


@pytest.mark.parametrize(
    ("metric", "condition", "message"),
    [
        ("latencies", {}, "did you mean 'latency'"),
        ("latency", {"outputs": 64}, "did you mean 'output'"),
        ("latency", {"output": 65}, "one of the lengths of a run"),
        ("latency", {"model": "llama-3-8b"}, "one point; 2 of the runs 'llama-3-8b' meet it"),
    ],
)
def test_an_unknown_metric_or_point_is_refused(
    outcome: Outcome, metric: str, condition: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        outcome.measure(metric, condition)


def test_only_what_is_asked_for_is_left() -> None:
    form, _ = load_experiment("sn40l-decode")
    assert isinstance(form, DecodeExperiment)
    left = form.only([{"model": "llama-3-70b", "output": 256}, {"run": "rack-8b"}])
    assert {name: run.tokens for name, run in left.runs.items()} == {
        "llama-3-70b": [(256, 256)],
        "rack-8b": form.runs["rack-8b"].tokens,
    }
