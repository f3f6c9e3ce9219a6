"""Which constants count for a kernel: one order, whoever asks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from simulator.errors import ConfigError
from simulator.files import forget
from simulator.hardware import load_system
from simulator.mapping.deployment import resolve
from simulator.mapping.form import MappingForm
from simulator.mapping.gpu.calibration import FAMILY, constants, known_of
from simulator.mapping.gpu.products import GEMM
from simulator.mapping.runtime.form import load_runtime
from simulator.scenario.evaluator import evaluated
from simulator.scenario.form import Scenario
from simulator.validation.measured.kernel_times import kernel_times
from simulator.workload import load_model

SHAPE = {"op": "gemm", "m": 100.0, "n": 4096.0, "k": 4096.0, "dtype": "bf16"}
STATED = """
extends: {base}
by_device:
  any: {{kernels: {{gemm: {{bf16: {{t0: 9 us}}, fp8: {{t0: 8 us}}}}}}}}
  {device}: {{kernels: {{gemm: {{bf16: {{t0: 7 us}}}}}}}}
"""


def origin(runtime: str | None, hardware: str = "h100-sxm", variant: str = "bf16") -> str:
    software = None if runtime is None else load_runtime(runtime)
    return constants(GEMM, variant, known_of(load_system(hardware), None, software)).origin


@pytest.mark.parametrize("runtime", ["vllm-v1", "trt-llm", "gpu-libraries", "sglang"])
def test_operators_passes_and_comparisons_take_the_same_constants(runtime: str) -> None:
    expected, work = origin(runtime), {key: SHAPE[key] for key in ("op", "m", "n", "k")}
    scenario = {"hardware": "h100-sxm", "workload": {"kind": "operators", **work}, "mapping": {"runtime": runtime}}
    operator = evaluated(Scenario.model_validate(scenario), {})
    assert operator["constants"][0] == expected
    system, form = load_system("h100-sxm"), MappingForm(kernels="modelled", runtime=runtime, devices=1)
    models = resolve(form, system, load_model("llama-3.1-8b")).engine.models
    assert models is not None
    assert models.constants(GEMM, "bf16").origin == expected
    rows = pd.DataFrame([SHAPE | {"engine": "vLLM nightly"}])
    assert kernel_times(rows, system, runtime).time_s[0] == pytest.approx(operator["time_s"][0], rel=1e-12)


def test_a_program_of_another_year_has_the_kernels_that_its_runtime_says(tmp_path: Path) -> None:
    assert origin("vllm-v1") == origin("vllm") == "h100-sxm.vllm"
    assert origin("trt-llm") == "h100-sxm.trt-llm"
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: vllm-v1\n")
    assert origin(str(mine)) == "h100-sxm.vllm"
    assert origin("gpu-libraries", "rtx4090-gen4") == FAMILY


def test_what_a_runtime_states_comes_after_its_calibrations_and_before_those_of_others(tmp_path: Path) -> None:
    for base, expected in (("vllm-v1", "h100-sxm.vllm"), ("gpu-libraries", "mine")):
        mine = tmp_path / "mine.yaml"
        mine.write_text(STATED.format(base=base, device="h100") + "name: mine\n")
        assert origin(str(mine)) == expected
        known = known_of(load_system("h100-sxm"), None, load_runtime(mine))
        forget()
    bf16, fp8 = (constants(GEMM, variant, known).library.t0 for variant in ("bf16", "fp8"))
    assert (bf16, fp8) == (pytest.approx(7e-6), pytest.approx(8e-6)), "the device's own name before `any`"


def test_constants_that_no_kernel_has_are_refused_with_their_line(tmp_path: Path) -> None:
    for stated, expected in (("gem: {bf16: {t0: 9 us}}", "nearest"), ("gemm: {bf16: {t0: 9 s}}", "t0")):
        mine = tmp_path / f"{expected}.yaml"
        mine.write_text(f"by_device:\n  any:\n    kernels: {{{stated}}}\n")
        with pytest.raises(ConfigError) as refused:
            load_runtime(mine)
        assert expected in str(refused.value)
        assert "by_device" in str(refused.value)
