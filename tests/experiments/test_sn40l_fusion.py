"""Fusion on SN40L: Table I, Fig 10 and Fig 11 of arXiv 2405.07518, and the laws behind them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.hardware import load_system
from simulator.study.results import StudyResults
from simulator.validation.published import Published
from simulator.workload import decode, load_model, operator_graph, prefill, training_graph
from simulator.workload.eager import dispatched_calls
from simulator.workload.eager_graph import eager


@pytest.fixture(scope="module")
def rows(published: Callable[[str], list[Published]]) -> list[Published]:
    return published("sn40l-fusion")


@pytest.fixture(scope="module")
def results(simulated: Callable[..., StudyResults]) -> StudyResults:
    return simulated("sn40l-fusion")


def of(rows: list[Published], metric: str) -> list[Published]:
    return [row for row in rows if row.metric == metric]


def test_operational_intensities_follow_from_the_counting_of_the_paper(
    rows: list[Published], simulated: Callable[..., StudyResults]
) -> None:
    published = {row.condition["fusion"]: row for row in of(rows, "op_per_byte")}
    strict = [{"fusion": name, "counting": "strict"} for name in published]
    conditions = [*(row.condition for row in published.values()), *strict]
    results = simulated("sn40l-fusion", (), [("op_per_byte", condition) for condition in conditions])
    for fusion in ("none", "gemm0-scale-transpose"):
        row = published[fusion]
        assert results.measure(row.metric, row.condition) == pytest.approx(row.published, rel=0.002)
    assert published["full"].role == "disputed"
    full = results.measure("op_per_byte", published["full"].condition)
    assert full == pytest.approx(513.0, rel=1e-3)  # four tensors of 128 x 1024, and no fifth
    assert [results.measure("op_per_byte", condition) for condition in strict] == pytest.approx(
        [34.2, 73.3, 171.0], rel=2e-3
    )


@pytest.mark.slow
def test_kernel_calls_come_out_within_a_factor_of_two_for_most(rows: list[Published], results: StudyResults) -> None:
    off = [(results.measure(row.metric, row.condition) or 0.0) / row.published for row in of(rows, "calls_ratio")]
    assert len(off) == 17
    assert sum(0.5 <= ratio <= 2 for ratio in off) >= 12


@pytest.mark.slow
def test_hardware_orchestration_helps_decode_more_than_prefill(rows: list[Published], results: StudyResults) -> None:
    named = of(rows, "orchestration_gain")
    gain = {row.condition["benchmark"]: results.measure(row.metric, row.condition) or 0.0 for row in named}
    pairs = {name: name.replace("prefill", "decode") for name in gain if "prefill" in name}
    assert len(pairs) == 7
    assert all(gain[decoding] > gain[prefilling] for prefilling, decoding in pairs.items())
    amortised = [value for name, value in gain.items() if "prefill" in name or "train" in name]
    assert all(1 <= value <= 1.10 for value in amortised)


def test_the_machine_has_the_fitted_launch_constants() -> None:
    source = load_system("sn40l").config.sources
    at = ("devices", "socket", "engines", "rdu", "fabric", "launch", "software")
    assert [source[(*at, key)].role for key in ("load", "execute")] == ["calibration", "calibration"]


@pytest.mark.slow
def test_the_launch_constants_are_what_the_fit_finds() -> None:
    from simulator.validation.fit import fit

    launch = "hardware.devices.socket.engines.rdu.fabric.launch.software"
    found = fit("sn40l-fusion", {f"{launch}.load": 1.7e-7, f"{launch}.execute": 5e-6})
    phases = load_system("sn40l").machine.devices["socket"].engines["rdu"].fabric.launch.software  # type: ignore[union-attr]
    assert found[f"{launch}.load"] == pytest.approx(phases.load, rel=0.05)
    assert found[f"{launch}.execute"] == pytest.approx(phases.execute, rel=0.05)


@pytest.mark.parametrize("name", ["llama-2-7b", "mistral-7b", "falcon-40b", "bloom-176b", "sparse-gpt-13b"])
def test_spelling_out_calls_keeps_the_work_and_adds_one_operator_a_call(name: str) -> None:
    model = load_model(name)
    graphs = [operator_graph(model, prefill(1, 64)), operator_graph(model, decode(2, 64))]
    graphs += [training_graph(model, prefill(1, 64))]
    for graph in graphs:
        spelled = eager(graph)
        assert sum(block.repeat * len(block.graph) for block in spelled.blocks) == dispatched_calls(graph)
        whole, parts = graph.totals(), spelled.totals()
        assert parts.flops == pytest.approx(whole.flops)
        for operand in set(whole.bytes) - {"input", "output"}:
            assert parts.bytes[operand] == pytest.approx(whole.bytes[operand])
        assert parts.bytes["output"] >= whole.bytes["output"] * (1 - 1e-12)
