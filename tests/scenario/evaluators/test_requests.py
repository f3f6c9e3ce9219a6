"""Designs that serve requests as they come: what must hold of any, and what a serving experiment says of the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator import crossover, optimise, search, sensitivity, sweep
from simulator.baselines.simulate import simulate
from simulator.errors import ConfigError
from simulator.scenario.cases import with_values
from simulator.scenario.evaluator import evaluated
from simulator.scenario.evaluators.requests import RequestsEvaluator
from simulator.scenario.form import Scenario

GPU = {
    "hardware": "dgx-h100", "model": "llama-3-8b", "workload.input": 256, "workload.output": 32,
    "workload.requests": 120, "mapping.scheduler.max_sequences": 16,
}  # fmt: skip
HBM = "hardware.devices.gpu.tiers.hbm.bandwidth"
REQUESTS = Scenario(workload={"kind": "requests"})
METRICS = {metric.name for metric in RequestsEvaluator.metrics} | {"error"}


def run(base: dict[str, Any] | None = None, **columns: list[Any]) -> dict[str, Any]:
    points = {path: np.array(v, object if isinstance(v[0], str) else None) for path, v in columns.items()}
    found = evaluated(with_values(REQUESTS, {**GPU, **(base or {})}), points)
    assert found.keys() == METRICS
    assert found["error"].tolist() == [""] * len(found["error"]), found["error"]
    return found


def test_the_same_requests_faster_wait_no_less() -> None:
    found = run(**{"workload.rate": [1.0, 20.0, 100.0, 1000.0]})
    for name in ("ttft_p50_s", "ttft_p99_s", "queue_p99_s", "e2e_p99_s"):
        assert (np.diff(found[name]) >= 0).all(), name
    assert (np.diff(found["tokens_per_s"]) >= 0).all()
    assert (np.diff(found["utilisation"]) > 0).all()
    assert found["utilisation"] == pytest.approx(found["utilisation"][0] * np.array([1.0, 20.0, 100.0, 1000.0]))


def test_a_queue_that_grows_is_told_from_one_that_does_not() -> None:
    """Of 60 requests nothing is told; where more come than are served, a run says so or is too short to show it."""
    rates = [10.0, 60.0, 150.0, 1000.0]
    of = {n: run({"workload.requests": n}, **{"workload.rate": rates}) for n in (60, 120, 400)}
    assert np.isnan(of[60]["keeps_up"]).all() and all(of[60]["undecided"])
    assert of[400]["keeps_up"].tolist() == [1, 1, 0, 0]
    assert of[120]["keeps_up"][:2].tolist() == [1, 1]
    assert all(each != 1 for each in of[120]["keeps_up"][2:])
    for found in of.values():
        assert (np.isnan(found["keeps_up"]) == (found["undecided"] != "")).all()


def test_a_few_requests_an_hour_see_an_empty_machine() -> None:
    found = run({"workload.process": "even"}, **{"workload.rate": [1e-3]})
    assert found["queue_p99_s"] == pytest.approx(0)
    assert found["ttft_p50_s"] == pytest.approx(found["ttft_p99_s"])
    gaps = found["e2e_p50_s"] - found["ttft_p50_s"]
    assert gaps == pytest.approx(31 * found["tbt_p50_s"], rel=0.02)
    assert found["tokens_per_s"] == pytest.approx(1e-3 * 32, rel=0.02)


def test_a_faster_memory_is_never_slower() -> None:
    found = run({"workload.rate": 50.0}, **{HBM: [1e12, 2e12, 4e12]})
    assert (np.diff(found["tbt_p50_s"]) < 0).all()
    assert (np.diff(found["e2e_p99_s"]) < 0).all()


def test_as_many_are_served_at_once_as_there_is_room_for() -> None:
    found = run({"workload.requests": 5}, **{"mapping.scheduler.max_sequences": [4, 100_000]})
    assert found["admitted"][0] == 4
    assert 4 < found["admitted"][1] < 100_000


def test_it_is_what_a_serving_experiment_says(tmp_path: Any) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text("""\
schema: 1
kind: serving
title: the same
systems: {both: {hardware: duplex-node, dispatch: static_by_layer, experts: tensor}}
models: {mixtral-8x7b: {devices: 4}}
lengths: {spread: 0.0}
arrivals:
  open:
    systems: [both]
    model: mixtral-8x7b
    length: [128, 32]
    batch: 8
    rates: [5, 50]
    processes: [poisson]
    requests: 60
""")
    rows = simulate(file).frames()["arrivals"]
    duplex = {
        "hardware": "duplex-node", "model": "mixtral-8x7b", "mapping.dispatch": "static_by_layer",
        "mapping.scheduler.max_sequences": 8, "workload.input": 128, "workload.output": 32,
        "workload.requests": 60,
    }  # fmt: skip
    found = run(duplex, **{"workload.rate": [5.0, 50.0]})
    for name in ("ttft_p50_s", "ttft_p99_s", "tbt_p50_s", "tbt_p99_s", "e2e_p50_s", "queue_p50_s"):
        assert found[name] == pytest.approx(rows[name].to_numpy()), name


def test_what_is_wrong_with_a_point_is_its_error_and_the_others_go_on() -> None:
    points = {
        "model": ["mixtral-8x7b", "llama-3-8b", "llama-3.1-405b"],
        "workload.router": ["unifrom", *["uniform"] * 2],
    }
    columns = {path: np.array(values, dtype=object) for path, values in points.items()}
    found = evaluated(with_values(REQUESTS, GPU), columns)
    assert "did you mean 'uniform'" in found["error"][0]
    assert found["error"][1] == ""
    assert found["tokens_per_s"][1] > 0
    assert found["error"][2]


SWEEP = """\
schema: 1
base:
  hardware: dgx-h100
  model: llama-3-8b
  workload: {kind: requests, input: 64, output: 8, requests: 100}
axes:
  workload.rate: [10, 5000]
  mapping.scheduler.max_sequences: [2, 4]
objectives: {tokens_per_s: max, ttft_p50_s: min}
"""


def test_no_surface_offers_a_design_that_does_not_keep_up(tmp_path: Any) -> None:
    """The overloaded machine makes the most tokens a second; what is offered keeps up, or the answer says so."""
    file = tmp_path / "sweep.yaml"
    file.write_text(SWEEP)
    best = [
        optimise(file, "tokens_per_s", workers=1).best,
        search(file, evaluations=4, against=None).best,
        sweep(file, tmp_path / "out", workers=1).best.rename(columns={"workload.rate": "rate"}),
    ]
    for rows in best:
        assert len(rows)
        assert (rows["keeps_up"] == 1).all() and (rows["utilisation"] < 1).all() and (rows["rate"] == 10).all()
    with pytest.raises(ConfigError, match="'keeps_up == 1' does not hold"):
        crossover(file, "max_sequences", ("rate", 10, 5000), "ttft_p50_s")
    told = sensitivity(file, "tokens_per_s", {"rate": 5000}, samples=0)
    assert any("'keeps_up == 1' does not hold" in note for note in told.notes)


def test_a_sweep_that_judges_it_itself_may_have_designs_that_do_not_keep_up(tmp_path: Any) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(SWEEP + "constraints: [keeps_up >= 0]\n")
    best = optimise(file, "tokens_per_s", workers=1).best
    assert best["keeps_up"].iloc[0] == 0
    file.write_text(SWEEP + "constraints: [keeps_up > 0.5]\n")
    with pytest.raises(ConfigError, match=r"'keeps_up > 0\.5' does not hold"):
        crossover(file, "max_sequences", ("rate", 10, 5000), "ttft_p50_s")


def test_why_nothing_is_offered_is_told(tmp_path: Any) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(SWEEP.replace("requests: 100", "requests: 9"))
    with pytest.raises(ConfigError, match=r"'keeps_up == 1' rules out 4; .*9 requests are too few"):
        optimise(file, "tokens_per_s", workers=1)


@pytest.mark.parametrize(
    ("hardware", "model", "mapping"),
    [
        ("dgx-h100", "qwen3-30b-a3b", {"devices": 4}),
        ("dgx-a100", "mixtral-8x7b", {"devices": 2}),
        ("duplex-node", "mixtral-8x7b", {"devices": 4, "dispatch": "pim_only"}),
        ("family-logic-pim", "mixtral-8x7b", {"devices": 2, "dispatch": "static_by_layer"}),
        ("sn40l-node", "mixtral-8x7b", {}),
    ],
)
def test_a_request_alone_takes_what_a_pass_of_it_takes(hardware: str, model: str, mapping: dict[str, Any]) -> None:
    base = {
        "hardware": hardware, "model": model, "workload.input": 300, "workload.output": 20,
        **{f"mapping.{key}": value for key, value in mapping.items()},
    }  # fmt: skip
    one = with_values(REQUESTS, {**base, "workload.requests": 1})
    served = evaluated(one, {"workload.rate": np.array([1.0])})
    passed = evaluated(with_values(Scenario(), base), {"workload.batch": np.array([1])})
    assert (passed["error"][0], served["error"][0]) == ("", "")
    for name, of in (("ttft_p50_s", "ttft_s"), ("tbt_p50_s", "tbt_s"), ("e2e_p50_s", "e2e_s")):
        assert served[name][0] == pytest.approx(passed[of][0], rel=0.03), name
