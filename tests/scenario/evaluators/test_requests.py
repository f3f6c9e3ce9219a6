"""Machines that serve requests, as these come or so many at a time: what must hold of any."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator import crossover, optimise, search, sensitivity, sweep
from simulator.errors import ConfigError
from simulator.scenario.cases import with_values
from simulator.scenario.evaluator import evaluated
from simulator.scenario.evaluators.requests import RequestsEvaluator
from simulator.scenario.form import Scenario
from simulator.study.load import load_study
from simulator.study.results import StudyResults, results_of

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
        pytest.param("dgx-h100", "qwen3-30b-a3b", {"devices": 4}, marks=pytest.mark.slow),
        ("dgx-a100", "mixtral-8x7b", {"devices": 2}),
        ("duplex-node", "mixtral-8x7b", {"devices": 4, "dispatch": "pim_only"}),
        ("family-logic-pim", "mixtral-8x7b", {"devices": 2, "dispatch": "static_by_layer"}),
        pytest.param("sn40l-node", "mixtral-8x7b", {}, marks=pytest.mark.slow),
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


COSTS = ("area_m2", "price_usd", "peak_power_w")
BY_PROGRAM = {
    "requests_per_s", "usd_per_million_tokens", "goodput_per_s", "ended", "preemptions", "hit_rate", "busy",
    "iterations", "hit_rate_behind", "loaded_bytes", "written_bytes",
    *(f"{name}_p{p}_s" for name in ("tpot", "normalised", "service") for p in (50, 90, 99)),
}  # fmt: skip
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def row(base: dict[str, Any]) -> dict[str, Any]:
    """The metrics of one scenario; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluated(with_values(REQUESTS, base), {"workload.seed": np.array([0])})
    return {name: values[0] for name, values in found.items()}


def blanks(metrics: dict[str, Any]) -> set[str]:
    return {name for name, value in metrics.items() if isinstance(value, float) and not np.isfinite(value)}


@given(requests=st.integers(1, 12), batch=st.integers(1, 12), output=st.integers(1, 3), rate=st.floats(0.01, 1e5))
@QUICK
def test_few_requests_give_finite_numbers(requests: int, batch: int, output: int, rate: float) -> None:
    metrics = row({**GPU, "workload.input": 16, "workload.output": output, "workload.rate": rate,
                   "workload.requests": requests, "mapping.scheduler.max_sequences": batch})  # fmt: skip
    gaps = () if output > 1 else ("tbt_p50_s", "tbt_p90_s", "tbt_p99_s")  # one token has none after it
    closed = {name for name in metrics if "share" in name or "energy" in name}
    assert blanks(metrics) - {*gaps, *closed, *BY_PROGRAM} == {"keeps_up", *COSTS}
    assert metrics["undecided"]


DUPLEX = {"model": "mixtral-8x7b", "sized.devices": 4, "workload.loop": "closed"}
TOGETHER = {**DUPLEX, "hardware": "duplex-h100"}
APART = {
    **DUPLEX, "hardware": "duplex-split", "sized.scale": 0, "mapping.engines": ["prompts.xpu", "prompts.pim"],
    "mapping.answers": ["answers.xpu", "answers.pim"], "mapping.dispatch": "static_by_layer", "mapping.together": True,
}  # fmt: skip


@pytest.mark.parametrize("base", [TOGETHER, APART], ids=["together", "apart"])
@given(
    batch=st.integers(1, 4), output=st.integers(1, 8), rounds=st.floats(0.01, 4.0), spread=st.sampled_from([0.0, 0.4])
)
@QUICK
def test_closed_loops_of_few_rounds(
    base: dict[str, Any], batch: int, output: int, rounds: float, spread: float
) -> None:
    metrics = row({**base, "workload.input": 16, "workload.output": output, "workload.batch": batch,
                   "workload.rounds": rounds, "workload.spread": spread})  # fmt: skip
    if metrics["error"]:
        assert "rounds" in metrics["error"] and rounds < 2
        return
    shares = {name for name in metrics if "_share_" in name}  # of iterations that there may be none of
    gaps = () if output > 1 else ("tbt_p50_s", "tbt_p90_s", "tbt_p99_s")
    assert blanks(metrics) <= {"energy_per_token_j", "utilisation", *gaps, *shares, *COSTS, *BY_PROGRAM}
    assert metrics["admitted"] == batch


def test_what_has_no_room_serves_no_request_and_says_why() -> None:
    for base in (TOGETHER, {**DUPLEX, "hardware": "duplex-node", "mapping.dispatch": "static_by_layer"}):
        metrics = row({**base, "sized.devices": 1, "workload.input": 128, "workload.output": 32})
        assert metrics["admitted"] == 0
        assert "one sequence of 160 tokens beside mixtral-8x7b on a xpu: needs" in metrics["error"]


STUDY = """\
schema: 1
title: small
base:
  model: mixtral-8x7b
  sized: {devices: 4}
  workload: {kind: requests, loop: closed, input: 128, output: 32, rounds: 2}
cases:
  system:
    gpu: {hardware: duplex-h100, label: GPU}
    both: {hardware: duplex-node, mapping: {dispatch: static_by_layer, together: true, split: greedy}}
runs:
  chat: {cases: {system: [gpu, both]}, axes: {workload.batch: [8, 16]}}
  open:
    workload: {loop: open, requests: 100}
    mapping: {scheduler: {max_sequences: 8}}
    cases: {system: [gpu]}
    axes: {workload.process: [even], workload.rate: [1, 500]}
metrics:
  throughput: {of: tokens_per_s, over: {system: gpu}, reads: {over: over.system, of: run, statistic: take}}
  saturation: {of: rate, while: keeps_up, along: rate, take: last, reads: {of: run}}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("requests") / "experiment.yaml"
    file.write_text(STUDY)
    return file


@pytest.fixture(scope="module")
def results(study: Path) -> StudyResults:
    return results_of(load_study(study))


def test_ratios_are_of_the_same_requests(results: StudyResults) -> None:
    ratio = results.measure("throughput", {"system": "both", "over": "gpu", "batch": 8})
    new, old = (results.measure("tokens_per_s", {"system": system, "batch": 8}) for system in ("both", "gpu"))
    assert new and old and ratio == pytest.approx(new / old)
    assert ratio > 1
    whole = {"system": "both", "over": "gpu", "of": "chat"}
    least, mean, most = (results.measure("throughput", {**whole, "statistic": s}) for s in ("min", "mean", "max"))
    assert least and mean and most and least < mean < most


def test_saturation_is_the_last_rate_that_is_followed(study: Path, results: StudyResults) -> None:
    followed = {"system": "gpu", "of": "open", "process": "even"}
    assert results.measure("saturation", followed) == 1
    few = results_of(load_study(study, ["runs.open.workload.requests=20"]), [("saturation", followed)])
    assert few.measure("saturation", followed) is None


def test_equal_runs_give_equal_tables(study: Path, results: StudyResults) -> None:
    again = results_of(load_study(study)).frames()
    assert again.keys() == results.frames().keys()
    for name, frame in results.frames().items():
        pd.testing.assert_frame_equal(frame, again[name], rtol=0, atol=0)


def test_a_statistic_over_a_point_that_has_no_room_has_no_value(study: Path) -> None:
    settings = ["base.sized.devices=1", "cases.system.gpu.sized={scale: 0}", "runs.open.workload.requests=5"]
    few = results_of(load_study(study, settings))
    for statistic in ("min", "mean", "max"):
        whole = {"system": "both", "over": "gpu", "of": "chat", "statistic": statistic}
        assert few.measure("throughput", whole) is None


def test_a_study_in_which_nothing_has_room_is_refused(study: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"none of 6 points .*one sequence of 160 tokens beside mixtral-8x7b on a xpu"
    ):
        results_of(load_study(study, ["base.sized.devices=1"]))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cases.system.both.mapping.dispatch=static_by_layr", "found 'static_by_layr', expected one of by_op"),
        ("cases.system.both.mapping.split=greed", "found 'greed', expected one of none,.* did you mean 'greedy'"),
        ("runs.chat.cases.system=[gpu, bot]", "expected one of gpu, both; did you mean 'both'"),
        ("cases.system.gpu.hardware=duplex-h10", "nothing in hwconfigs has this name: found 'duplex-h10'"),
        ("cases.system.gpu.hardware={extends: duplex-h100, devices.xpu.cuont: 3}", "cuont: unknown key"),
        ("workload.spread=1e9", "spread: found 1000000000.0, expected at most 10"),
        ("workload.router=unifrom", "did you mean 'uniform'"),
        ("workload.rounds=-1", "rounds: found -1, expected more than 0"),
    ],
)
def test_mistakes_are_named(study: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_study(study, [override])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"hardware": "duplex-h100", "mapping.split": "greedy"}, "split"),
        ({"hardware": "duplex-node", "mapping.engines": ["xpu.xpu", "xpu.pin"]}, "expected one of xpu.xpu, xpu.pim"),
        ({"hardware": "duplex-h100", "sized.devices": 3}, "3, which do not divide its 32 heads"),
        ({**APART, "workload.loop": "open"}, "mapping.answers: found some, in an open loop"),
    ],
)
def test_what_does_not_compose_is_the_error_of_its_point(keys: dict[str, Any], message: str) -> None:
    assert message in row({**DUPLEX, **keys})["error"]


TRACE = "request_id,arrival_s,input_tokens,output_tokens\na,0,64,4\nb,0.001,200,8\nc,0.002,16,1\n"


def test_a_trace_is_served_by_the_scheduler_of_a_program(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text(TRACE)
    served = {"workload.kind": "requests", "workload.trace": str(tmp_path / "trace.csv")}
    rows = {
        kind: row({**GPU, **served, "mapping.scheduler.kind": kind}) for kind in ("vllm-v1", "vllm-v0", "static")
    }  # fmt: skip
    assert all(metrics["ended"] == 3 and not metrics["error"] for metrics in rows.values())
    assert rows["static"]["e2e_p50_s"] > rows["vllm-v1"]["e2e_p50_s"], "who comes later waits for the batch before"
    several = row({**GPU, **served, "mapping.scheduler.kind": "vllm-v1", "mapping.scheduler.replicas": 3})
    assert several["queue_p99_s"] == 0, "each has a replica"
    assert several["busy"] < rows["vllm-v1"]["busy"]


def test_an_engine_compiled_for_lengths_serves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text(TRACE)
    served = {"workload.kind": "requests", "workload.trace": str(tmp_path / "trace.csv")}
    assert "runs a layer as a whole" in row({**GPU, "hardware": "sn40l-node", **served})["error"]


def test_drawn_requests_are_served_by_the_scheduler_of_a_program() -> None:
    chosen = {**GPU, "mapping.scheduler.kind": "vllm-v1", "workload.input": 32, "workload.output": 4}
    drawn = row({**chosen, "workload.requests": 40, "workload.rate": 500.0, "workload.ttft": 1e-6})
    assert (drawn["ended"], drawn["goodput_per_s"]) == (40, 0)
    closed = row({**chosen, "workload.loop": "closed", "workload.batch": 4, "workload.rounds": 3.0})
    assert closed["ended"] == 12
