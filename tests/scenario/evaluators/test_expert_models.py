"""Designs for a Composition of Experts: what must hold of any, and a closed form for uniform requests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator import simulate
from simulator.scenario.cases import with_values
from simulator.scenario.evaluator import evaluated
from simulator.scenario.evaluators.expert_models import ExpertModelsEvaluator
from simulator.scenario.form import Scenario

SN40L = {
    "hardware": "sn40l-node", "model": "llama-2-7b", "workload.batch": 8, "workload.input": 512, "workload.output": 4,
    "mapping.residency.home": "socket.ddr", "mapping.residency.cache": "socket.hbm",
}  # fmt: skip
HBM, DDR = "hardware.devices.socket.tiers.hbm.capacity", "hardware.devices.socket.links.ddr<->hbm.bandwidth"

SERVICE = Scenario(workload={"kind": "expert_models"})
METRICS = {metric.name for metric in ExpertModelsEvaluator.metrics} | {"error"}


def run(**columns: list[Any]) -> dict[str, Any]:
    found = evaluated(with_values(SERVICE, SN40L), {path: np.array(values) for path, values in columns.items()})
    assert found.keys() == METRICS
    return found


def test_experts_that_all_fit_are_never_copied_again() -> None:
    found = run(**{"workload.experts": [5, 20, 39]})
    assert found["misses"].tolist() == [0, 0, 0]
    assert found["switch_s"].tolist() == [0, 0, 0]
    assert found["latency_s"] == pytest.approx(found["execute_s"])


@pytest.mark.parametrize("experts", [60, 150])
def test_uniform_requests_miss_as_often_as_experts_do_not_fit(experts: int) -> None:
    """What LRU keeps of n equally likely experts is any m of them: a prompt misses with `1 - m / n`."""
    found = run(**{"workload.experts": [experts]})
    expected = 8 * (1 - found["resident_experts"][0] / experts)
    assert found["misses"][0] == pytest.approx(expected, rel=0.03)


def test_more_memory_and_faster_copies_are_never_slower() -> None:
    sizes = np.array([16, 32, 64, 128, 192]) * 2.0**30
    by_size = run(**{HBM: sizes.tolist(), "workload.experts": [100] * 5})
    assert (np.diff(by_size["misses"]) <= 0).all()
    assert (np.diff(by_size["latency_s"]) <= 0).all()
    by_rate = run(**{DDR: [5e10, 1e11, 2e11], "workload.experts": [100] * 3})
    assert len(set(by_rate["misses"])) == 1
    assert (np.diff(by_rate["latency_s"]) < 0).all()
    assert by_rate["switch_s"][:-1] == pytest.approx(2 * by_rate["switch_s"][1:])


def test_a_batch_is_its_switches_and_its_work() -> None:
    found = run(**{"workload.experts": [25, 100]})
    assert found["latency_s"] == pytest.approx(found["switch_s"] + found["execute_s"])
    assert found["tokens_per_s"] == pytest.approx(8 * 4 / found["latency_s"])


def test_a_point_that_does_not_fit_says_so_and_the_others_go_on() -> None:
    found = run(**{HBM: [2.0**30, 2.0**36], "workload.experts": [50, 50]})
    assert found["error"][0]
    assert np.isnan(found["latency_s"][0])
    assert found["error"][1] == ""
    assert found["latency_s"][1] > 0


def test_a_batch_larger_than_all_rounds_is_served(recwarn: pytest.WarningsRecorder) -> None:
    found = run(**{"workload.batch": [1, 100], "workload.experts": [2, 2]})
    assert found["error"].tolist() == ["", ""]
    assert found["latency_s"][1] > found["latency_s"][0]
    assert not recwarn.list


def test_it_agrees_with_the_experiment_of_the_same_service(tmp_path: Path) -> None:
    """An experiment of the kind `coe` asks in another order, after a longer warm-up: the means are the same."""
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(
        """\
schema: 1
kind: coe
title: the same service
model: llama-2-7b
prompt: {tokens: 512, router_tokens: 1}
trace: {kind: uniform, warm_up: 15, rounds: 30}
experts: [20, 60, 150]
batches: [8]
tokens: [4]
nodes_for: [1]
bookkeeping: {kv_tokens: 516, router_in_cache: true}
systems: {node: {hardware: sn40l-node, home: socket.ddr, cache: socket.hbm, footprint: home}}
calibration: none
""",
        encoding="utf-8",
    )
    measured = simulate(experiment).frames()["points"]
    found = run(**{"workload.experts": measured["experts"].tolist()})
    assert found["execute_s"] == pytest.approx(measured["router_s"] + measured["expert_s"], rel=1e-9)
    assert found["misses"] == pytest.approx(measured["misses"].to_numpy(), abs=0.3), "three standard deviations"
    missed = found["misses"] > 0
    assert missed.tolist() == [False, True, True]
    one_copy = (measured["switch_s"] / measured["misses"])[missed]
    assert (found["switch_s"][missed] / found["misses"][missed]) == pytest.approx(one_copy.to_numpy(), rel=1e-9)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"mapping.residency.home": None}, r"^mapping\.residency\.home: missing key: expected one of"),
        ({"mapping.residency.cache": "hbm"}, r"^mapping\.residency\.cache: found 'hbm', expected one of"),
        ({"mapping.engines": "gpu"}, r"^mapping\.engines\.0: .*found 'gpu', expected .*'socket\.rdu'"),
        ({"workload.input": 5000}, "found 5004 tokens, expected at most the 4096"),
    ],
)
def test_what_cannot_be_served_is_the_error_of_its_point(said: dict[str, Any], message: str) -> None:
    found = evaluated(with_values(SERVICE, {**SN40L, **said}), {"workload.experts": np.array([5])})
    assert re.search(message, found["error"][0])
