"""What runs, by law: the kernels of a pass take its time, fit on the chip, and move less the more is fused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import simulator
from simulator.core import closed_form
from simulator.errors import ConfigError, TiersimError
from simulator.mapping.lowering import graph_plan, model_plan
from simulator.scenario.evaluator import evaluated
from simulator.scenario.form import Scenario
from simulator.scenario.kernels import KernelReport
from simulator.scenario.one_pass import one_pass, pass_of
from simulator.workload import decode, prefill

FABRIC = "devices.socket.engines.rdu.fabric"
MACHINES = st.sampled_from(["sn40l-node", "sn40l", "dgx-a100"])
MODELS = st.sampled_from(["llama-2-7b", "mixtral-8x7b", "opt-6.7b", "bloom-176b", "llama-3-70b"])
PHASES = st.sampled_from(["prefill", "decode"])


@cache
def report(hardware: str, model: str, phase: str = "decode", *asked: int, **options) -> KernelReport:
    return simulator.kernels(hardware, model, phase, *asked, **options)


@settings(max_examples=8)
@given(MACHINES, MODELS, PHASES, st.sampled_from([1, 8]), st.sampled_from([64, 2048]))
def test_the_kernels_take_the_time_of_the_pass_and_fit_on_the_chip(
    hardware: str, model: str, phase: str, batch: int, context: int
) -> None:
    try:
        found = report(hardware, model, phase, batch, context)
    except TiersimError:  # does not fit
        assume(False)
    runner, loaded, *_ = one_pass(pass_of(hardware, model, phase, batch, context, (), {}))
    plan = model_plan(runner, loaded, (prefill if phase == "prefill" else decode)(batch, context))
    took = sum(row["repeat"] * (row["time_s"] + row["collectives_s"]) for row in found.rows)
    assert took == pytest.approx(float(closed_form(plan).time), rel=1e-9)
    assert found.totals["time_s"] == pytest.approx(took, rel=1e-12)
    for row in found.rows:
        busy = [busy["time_s"] for busy in found.busy if found.rows[busy["row"]] is row]
        assert max(busy) <= row["time_s"] * (1 + 1e-12) <= sum(busy) * (1 + 1e-9)
    if found.grid:
        for place, row in enumerate(found.rows):
            stages = [stage for stage in found.stages if stage["row"] == place]
            held = row["arriving_pmus"] + sum(stage["pmus"] + stage["kept_pmus"] for stage in stages)
            assert row["pcus"] == sum(stage["pcus"] for stage in stages) <= found.grid["usable_pcus"]
            assert held == row["pmus"] <= found.grid["usable_pmus"] - row["reserved_pmus"]
            assert row["operators"] == len(stages)


FIGURES = {
    "dgx-h100": ["gpu.engines.gpu.fusion=unfused", "gpu.engines.gpu.fusion=conventional",
                 "gpu.engines.gpu.launch_overhead=9 us", "gpu.tiers.hbm.bandwidth=1 TB/s"],
    "duplex-node": ["xpu.engines.xpu.fusion=unfused", "xpu.engines.xpu.launch_overhead=5 us"],
    "m1-max": ["soc.engines.gpu.fusion=unfused", "soc.tiers.dram.latency=3 us"],
    "sn40l-node": ["socket.engines.rdu.fabric.fusion=unfused", "socket.engines.rdu.fabric.fusion=conventional",
                   "socket.engines.rdu.fabric.max_span=none", "socket.engines.rdu.fabric.orchestration=software",
                   "socket.engines.rdu.fabric.prefetch=true", "socket.tiers.hbm.bandwidth=900 GB/s"],
}  # fmt: skip
"""Figures of machines that move the time of a pass, each by its path below `devices`."""


@pytest.mark.slow
@settings(max_examples=30)
@given(st.data(), st.sampled_from(list(FIGURES)), st.sampled_from(["llama-2-7b", "phi-2", "mixtral-8x7b"]))
def test_the_kernels_are_those_that_an_estimate_is_lowered_to(data: st.DataObject, hardware: str, model: str) -> None:
    """Whatever figure moves the time of a pass moves the times of its kernels together by as much."""
    figures = data.draw(st.lists(st.sampled_from(FIGURES[hardware]), unique_by=lambda f: f.partition("=")[0]))
    batch, context = data.draw(st.sampled_from([1, 4])), data.draw(st.sampled_from([96, 1024]))
    overrides = tuple(f"devices.{figure}" for figure in figures)
    try:
        whole = simulator.estimate(hardware, model, batch, context, 2, dtype="fp16", overrides=overrides)
    except TiersimError:  # does not fit
        assume(False)
    for phase, seconds in (("prefill", whole.ttft_s), ("decode", whole.tbt_s)):
        found = report(hardware, model, phase, batch, context, dtype="fp16", overrides=overrides)
        took = sum(row["repeat"] * (row["time_s"] + row["collectives_s"]) for row in found.rows)
        assert took == pytest.approx(seconds, rel=1e-9)
        roofs = simulator.roofline(hardware, model, phase, batch, context, dtype="fp16", overrides=overrides)
        for line, row in zip(roofs.rows, found.rows, strict=True):
            assert line["time_s"] == row["time_s"]
            assert line["bound_by"] == row["bound_by"]


@settings(max_examples=8)
@given(MACHINES, MODELS, PHASES, st.sampled_from([64, 2048]))
def test_the_more_is_fused_the_less_is_moved_and_the_streamed_pass_is_the_fastest(
    hardware: str, model: str, phase: str, context: int
) -> None:
    try:
        modes = {row["fusion"]: row for row in report(hardware, model, phase, 1, context).modes}
    except TiersimError:
        assume(False)
    least = modes.pop("whole")
    assert least["time_s"] is None
    for mode in modes.values():
        assert mode["flops"] == pytest.approx(least["flops"], rel=1e-12)  # fusion changes no arithmetic
        assert mode["bytes"] >= least["bytes"] * (1 - 1e-12)
        assert mode["kernels"] >= least["kernels"]
        assert mode["op_per_byte"] == pytest.approx(mode["flops"] / mode["bytes"])
    assert modes["conventional"]["bytes"] <= modes["unfused"]["bytes"]
    assert modes["conventional"]["kernels"] < modes["unfused"]["kernels"]
    if "streaming" in modes:
        assert modes["streaming"]["time_s"] <= min(mode["time_s"] for mode in modes.values()) * (1 + 1e-12)


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_the_stages_are_a_pipeline_in_the_order_of_the_pass(phase: str) -> None:
    found = report("sn40l-node", "llama-2-7b", phase)
    for place, row in enumerate(found.rows):
        stages = {stage["operator"]: stage for stage in found.stages if stage["row"] == place}
        seen: set[str] = set()
        for name, stage in stages.items():
            assert seen.issuperset(stage["after"])
            seen.add(name)
        assert any(stage["from_memory"] for stage in stages.values())
        assert any(stage["to_memory"] for stage in stages.values())
        slowest = max(stage["time_s"] for stage in stages.values())
        assert slowest <= row["time_s"]  # a call lasts as long as its slowest stage works
        pipeline = [b["time_s"] for b in found.busy if b["row"] == place and "pipeline" in b["resource"]]
        assert not pipeline or pipeline[0] >= slowest * (1 - 1e-12)


def test_a_mode_given_is_the_mode_of_the_fabric() -> None:
    given = report("sn40l-node", "llama-2-7b", "prefill", fusion="conventional")
    set_ = report("sn40l-node", "llama-2-7b", "prefill", overrides=(f"{FABRIC}.fusion=conventional",))
    assert given.rows == set_.rows
    assert given.fusion == set_.fusion == "conventional"
    assert len(given.rows) > len(report("sn40l-node", "llama-2-7b", "prefill").rows)


def test_one_launch_of_a_loop_serves_all_layers() -> None:
    plain = report("sn40l-node", "llama-2-7b")
    software = (f"{FABRIC}.orchestration=software", f"{FABRIC}.looping=true")
    looped = report("sn40l-node", "llama-2-7b", overrides=software)
    assert plain.totals["launches"] == plain.totals["kernels"] == looped.totals["kernels"]
    assert looped.totals["launches"] == len(looped.rows)


def test_a_program_that_is_loaded_beside_a_kernel_is_not_its_work() -> None:
    plain = report("sn40l-node", "llama-2-7b")
    software = report("sn40l-node", "llama-2-7b", overrides=(f"{FABRIC}.orchestration=software",))

    def working(found: KernelReport) -> list[tuple[int, str, float]]:
        return [(b["row"], b["resource"], b["time_s"]) for b in found.busy if b["resource"] == "socket.rdu (pipeline)"]

    assert working(software) == working(plain) != []


def test_only_a_grid_has_stages() -> None:
    found = report("dgx-a100", "llama-2-7b")
    assert found.grid is None and not found.stages
    assert not {"pcus", "pmus", "tiles", "sram_bytes"} & set(found.rows[0])
    assert [mode["fusion"] for mode in found.modes] == ["unfused", "conventional", "whole"]


def test_the_whole_is_an_ideal_of_one_kernel_a_block() -> None:
    found = report("sn40l-node", "llama-2-7b", "prefill", fusion="whole")
    assert [row["block"] for row in found.rows] == ["embedding", "dense", "head"]
    assert not found.stages


def test_frames_hold_what_the_document_does() -> None:
    found = report("sn40l-node", "llama-2-7b")
    frames, document = found.frames(), found.as_json()
    assert {name: len(frame) for name, frame in frames.items()} == {
        name: len(document[name]) for name in ("kernels", "stages", "modes")
    }
    np.testing.assert_array_equal(frames["kernels"]["time_s"], [row["time_s"] for row in document["kernels"]])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"phase": "training"}, "prefill"),
        ({"fusion": "streaming"}, "a gpu engine"),
        ({"batch": 0}, "batch: found 0, expected at least 1"),
        ({"context": 10**9}, "4,096"),
    ],
)
def test_what_cannot_be_is_refused(asked: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        simulator.kernels("dgx-a100", "llama-2-7b", **asked)


def test_modelled_kernels_are_shown_beside_their_roofline() -> None:
    how = {"devices": 2, "runtime": "vllm-v1", "kernels": "modelled"}
    found = report("h100-sxm", "llama-3.1-8b", "decode", 16, 1000, **how)
    runner, _, graph, *_ = one_pass(pass_of("h100-sxm", "llama-3.1-8b", "decode", 16, 1000, (), how))
    total = sum((row["time_s"] + row["collectives_s"]) * row["repeat"] for row in found.rows)
    assert total == pytest.approx(closed_form(graph_plan(runner, graph)).time, rel=1e-9)
    assert all(0 < row["roofline_s"] <= row["time_s"] for row in found.rows)
    with pytest.raises(ConfigError, match="fusion: found 'unfused' of modelled kernels"):
        report("h100-sxm", "llama-3.1-8b", "decode", 16, 1000, fusion="unfused", **how)
    graph_kind = {"kind": "pass", "phase": "decode", "batch": 16, "tokens": 1000}
    work = {"kind": "kernels", "graph": graph_kind}
    scenario = {"hardware": "h100-sxm", "model": "llama-3.1-8b", "mapping": how, "workload": work}
    assert evaluated(Scenario.model_validate(scenario), {})["time_s"][0] == pytest.approx(total, rel=1e-9)
