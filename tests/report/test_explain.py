"""Each equation is worked out as a reader would: from the numbers printed."""

from __future__ import annotations

import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import estimate, kernels
from simulator.errors import TiersimError
from simulator.report.explain import Line, explain
from simulator.scenario.batch_detail import BatchDetail
from simulator.units import TABLE
from simulator.workload import weight_bytes

NUMBER = re.compile(r"(\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)(?: ([A-Za-z]+(?:/[A-Za-z]+)?))?")
ROUNDING = 0.01


def worked_out(expression: str) -> float:
    """The value of an expression of numbers with units, `x`, `/`, `+`, `-` and parentheses, in SI."""
    bare = re.sub(r"\[[^]]*\]", "", expression).replace(" x ", " * ")

    def si(match: re.Match[str]) -> str:
        number, unit = match.groups()
        worth = 1 if unit in (None, "tok/s") else TABLE[unit][1]
        return repr(float(number.replace(",", "")) * float(worth))

    expression = NUMBER.sub(si, bare)
    assert re.fullmatch(r"[\d.e+\-*/() ]+", expression), expression
    return float(eval(expression))


def check(line: Line) -> None:
    *left, right = line.equation.split(" = ")
    assert len(left) == 1, line
    assert worked_out(left[0]) == pytest.approx(worked_out(right), rel=ROUNDING, abs=1e-12), line
    assert worked_out(right) == pytest.approx(line.value, rel=ROUNDING), line


@cache
def answer(hardware: str, model: str, *asked: int, **options) -> BatchDetail:
    return estimate(hardware, model, *asked, **options)


def lines(result: BatchDetail, figure: str, part: str) -> list[Line]:
    return [line for line in explain(result) if (line.figure, line.part) == (figure, part)]


MACHINES = st.sampled_from(["dgx-a100", "dgx-h100", "sn40l-node", "sn40l-rack16", "sn40l"])
MODELS = st.sampled_from(["llama-2-7b", "mixtral-8x7b", "opt-6.7b", "deepseek-v3", "llama-3-70b", "bloom-176b"])


@settings(max_examples=25)
@given(MACHINES, MODELS, st.integers(1, 32), st.integers(1, 1000), st.integers(1, 400), st.integers(1, 16))
def test_every_equation_multiplies_out(
    hardware: str, model: str, batch: int, input: int, output: int, devices: int
) -> None:
    try:
        result = estimate(hardware, model, batch, input, output, devices=devices)
    except TiersimError:  # does not fit, or the engine lacks the format
        return
    explained = explain(result)
    for line in explained:
        if line.part != "input" and line.value is not None:
            check(line)
    values = {line.figure: line.value for line in explained if line.part == "total"}
    assert values["ttft"] == pytest.approx(result.ttft_s, rel=1e-9)
    assert values["tbt"] == pytest.approx(result.tbt_s, rel=1e-9)
    assert values["e2e"] == result.e2e_s
    assert values["throughput"] == result.tokens_per_s
    assert values["energy"] == result.energy_j
    for figure, seconds in (("ttft", result.ttft_s), ("tbt", result.tbt_s)):
        kernels = [line for line in explained if (line.figure, line.part) == (figure, "kernel")]
        assert sum(line.times * line.value for line in kernels) == pytest.approx(seconds, rel=1e-9)


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_a_phase_alone_has_its_own_equations(phase: str) -> None:
    result = estimate("dgx-h100", "llama-2-7b", 2, 100, 20, phase=phase, devices=1)
    explained = explain(result)
    for line in explained:
        if line.part != "input" and line.value is not None:
            check(line)
    assert {line.figure for line in explained} & {"ttft", "tbt", "e2e"} == {{"prefill": "ttft", "decode": "tbt"}[phase]}


def test_an_engine_is_busy_with_the_operations_of_all_devices() -> None:
    result = answer("dgx-a100", "llama-2-7b", 8, 512, 128)
    engine = next(line for line in lines(result, "ttft", "resource") if line.name == "gpu.gpu")
    assert re.fullmatch(r"[\d.]+ TFLOP \[bf16\] / \(0\.75 x 8 x 312 TFLOP/s\) = [\d.]+ ms", engine.equation)
    flops = worked_out(engine.equation.split(" / ")[0])
    assert flops == pytest.approx(2 * 8 * 512 * weight_bytes(result.model) / 2, rel=0.05)


def test_main_memory_is_read_at_the_fraction_that_the_kernels_achieve() -> None:
    result = answer("dgx-a100", "llama-2-7b", 8, 512, 128)
    port = next(line for line in lines(result, "tbt", "resource") if line.name == "gpu.hbm->gpu.gpu")
    achieved = float(re.search(r"\(([\d.]+) x 8 x 2\.039 TB/s\)", port.equation)[1])
    assert 0.30 <= achieved <= 0.78


def test_what_binds_first_stands_first() -> None:
    result = answer("dgx-a100", "llama-2-7b", 8, 512, 128)
    for figure in ("ttft", "tbt"):
        total = lines(result, figure, "total")[0]
        assert re.search(r"\[([^]]*)\]", total.equation)[1] == result.bound_by[figure]


def test_the_energies_add_up() -> None:
    result = answer("dgx-a100", "llama-2-7b", 8, 512, 128)
    parts = lines(result, "energy", "resource")
    assert sum(line.value for line in parts) == pytest.approx(result.energy_j, rel=1e-9)
    assert {"gpu.hbm", "gpu.gpu", "static_power", "devices.gpu.static_power"} <= {line.name for line in parts}


def test_figures_that_the_machine_lacks_are_named() -> None:
    result = answer("sn40l-node", "llama-2-7b")
    missing = [line.name for line in lines(result, "energy", "resource") if line.value is None]
    assert missing == list(result.missing)
    assert lines(result, "energy", "total")[0].value is None


def test_the_capacity_leaves_room_for_the_largest_batch() -> None:
    result = answer("dgx-a100", "llama-2-7b", 8, 512, 128)
    capacity = {line.name: line.value for line in lines(result, "capacity", "total")}
    assert int(capacity["largest batch"]) == result.max_batch
    assert capacity["needed"] == result.footprint.total.used
    assert capacity["needed"] <= capacity["largest context"] <= capacity["gpu.hbm"] == 8 * (80 * 2**30 * 0.9)


def test_each_input_has_its_source() -> None:
    inputs = {line.name: line for line in lines(answer("dgx-a100", "llama-2-7b"), "input", "input")}
    bandwidth = inputs["devices.gpu.tiers.hbm.bandwidth"]
    assert (bandwidth.equation, bandwidth.source, bandwidth.role) == ("2.039 TB/s", "D", "input")
    assert inputs["devices.gpu.engines.gpu.reads.hbm.efficiency"].equation == "0.3 at 6 MB to 0.78 at 200 MB"
    assert inputs["links.gpu<->gpu.latency"].role == "calibration"
    assert inputs["devices.gpu.engines.gpu.launch_overhead"].role == "assumption"
    assert "Llama-2-7b-hf" in inputs["llama-2-7b"].source
    assert "devices.gpu.tiers.hbm.capacity" in inputs
    assert not any("host" in name or name == "devices.gpu.tiers.sram.capacity" for name in inputs)  # not used


def test_one_device_uses_no_link() -> None:
    result = answer("dgx-a100", "llama-2-7b", devices=1)
    explained = explain(result)
    assert not any("gpu->gpu" in line.name or "gpu<->gpu" in line.name for line in explained)
    count = next(line for line in explained if line.name == "devices.gpu.count")
    assert (count.equation, count.source) == ("1", "--devices")


def test_what_an_option_sets_says_so() -> None:
    result = estimate("dgx-a100", "llama-2-7b", overrides=["devices.gpu.tiers.hbm.bandwidth=3 TB/s"])
    line = next(line for line in explain(result) if line.name == "devices.gpu.tiers.hbm.bandwidth")
    assert (line.equation, line.source, line.role) == ("3 TB/s", "--set", "assumption")


def test_a_model_of_two_formats_uses_both_rates() -> None:
    result = answer("dgx-h100", "deepseek-v3", 1, 128, 8, overrides=("devices.gpu.count=16",))
    names = {line.name for line in lines(result, "input", "input")}
    assert {"devices.gpu.engines.gpu.peak.fp8", "devices.gpu.engines.gpu.peak.bf16"} <= names
    engine = next(line for line in lines(result, "ttft", "resource") if line.name == "gpu.gpu")
    assert "[fp8]" in engine.equation


def test_fp16_stands_on_the_rate_of_bf16_where_the_engine_has_no_other() -> None:
    result = estimate("sn40l", "llama-2-7b", dtype="fp16")
    assert "devices.socket.engines.rdu.peak.bf16" in {line.name for line in explain(result)}


@pytest.mark.parametrize("hardware", ["dgx-a100", "dgx-h100"])
def test_what_binds_a_kernel_is_what_the_kernels_say(hardware: str) -> None:
    result = answer(hardware, "llama-2-7b", 1, 512, 2)
    for figure, phase in (("ttft", "prefill"), ("tbt", "decode")):
        told = {line.name: line.bound_by for line in lines(result, figure, "kernel")}
        rows = {row["kernel"]: row["bound_by"] for row in kernels(hardware, "llama-2-7b", phase, 1, 512).rows}
        assert {name: told[name] for name in rows} == rows


@pytest.mark.parametrize("prefetch", [None, 0.5])
def test_hits_of_a_cache_of_experts_are_equations_and_what_is_copied_crosses_the_link(prefetch: float | None) -> None:
    rule = {"of": "experts", "in": "host.dram", "cache": {"experts": 3, "prefetch": prefetch}}
    result = estimate("rtx4090-gen4", "mixtral-8x7b", 1, 32, 6, dtype="q4_k_m", placement=[rule])
    shown = [line for line in lines(result, "placement", "total") if "cache" in line.name]
    assert [line.name for line in shown] == 2 * ["hit rate of the cache", "copied to the cache"]
    for line in shown:
        check(line)
    (link,) = (line for line in lines(result, "tbt", "resource") if line.name == "host.dram->gpu.vram")
    assert shown[3].value == pytest.approx(worked_out(link.equation.partition(" / ")[0]), rel=ROUNDING)
