"""What made the times is found again, and data that cannot tell it are refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import simulator
from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.gpu.calibration import load_calibration
from simulator.mapping.gpu.chip import chip_of
from simulator.mapping.gpu.gemm import GemmLibrary, gemm_seconds
from simulator.validation.measured.held_out import held_out

CHIP = chip_of(load_system("h200-sxm"))
TRUE = GemmLibrary(t0=4e-6, emax=0.8, ebw=0.75, l2f=0.8, ts=3e-6, copies=5.0, p=3.0, epi=2.0)


def measured(rows: int = 600, noise: float = 0.0, device: str = "NVIDIA H200") -> pd.DataFrame:
    rng = np.random.default_rng(5)
    shapes = [np.floor(2 ** rng.uniform(low, high, rows)) for low, high in ((0, 13), (7, 15), (7, 15))]
    m, n, k = shapes[0], np.resize(shapes[1][:40], rows), np.resize(shapes[2][:40], rows)
    seconds = gemm_seconds(m, n, k, CHIP, TRUE) * np.exp(noise * rng.standard_normal(rows))
    about = {"source": "made", "device": device, "op": "gemm", "dtype": "bf16", "n_devices": 1}
    rest = {"engine": "TensorRT-LLM", "version": "1", "metric": "latency", "unit": "s"}
    return pd.DataFrame({**about, "m": m, "n": n, "k": k, **rest, "value": seconds})


def test_constants_that_made_the_times_are_found() -> None:
    fitted = simulator.calibrate("h200-sxm", measured()).calibration.kernels["gemm"]["bf16"]
    for name in ("t0", "emax", "ebw", "ts", "epi"):
        assert fitted.parameters[name] == pytest.approx(getattr(TRUE, name), rel=0.03)
    assert fitted.held_out is not None
    assert fitted.held_out.mean < 0.01


def test_noise_is_the_error_and_residuals_of_it_are_left_out() -> None:
    result = simulator.calibrate("h200-sxm", measured(noise=0.05), residuals=300)
    fitted = result.calibration.kernels["gemm"]["bf16"]
    assert fitted.held_out is not None
    assert 0.02 < fitted.held_out.mean < 0.06
    assert fitted.residuals_gain is not None
    assert fitted.residuals_gain <= 0
    assert fitted.with_residuals is None
    assert not result.tables
    assert fitted.uncertainty["t0"] > 0


def skewed() -> pd.DataFrame:
    """What no constant tells: products of more columns than rows take half as long again."""
    table = measured()
    return table.assign(value=table["value"] * np.where(table["n"] > table["m"], 1.5, 1.0))


def test_residuals_of_what_the_model_lacks_are_kept() -> None:
    fitted = simulator.calibrate("h200-sxm", skewed(), residuals=300).calibration.kernels["gemm"]["bf16"]
    assert fitted.residuals_gain is not None
    assert fitted.residuals_gain > 0.1
    assert fitted.held_out is not None
    assert fitted.with_residuals is not None
    assert fitted.with_residuals.mean < fitted.held_out.mean


def test_held_out_groups_give_nothing_to_the_fit() -> None:
    table = skewed()
    out = held_out(table, "gemm")
    spoilt = table.assign(value=table["value"].where(~out, 1.0))
    before, after = (simulator.calibrate("h200-sxm", each, residuals=200) for each in (table, spoilt))
    fits = [each.calibration.kernels["gemm"]["bf16"].parameters for each in (before, after)]
    assert fits[0] == fits[1]
    assert before.tables["gemm", "bf16"].equals(after.tables["gemm", "bf16"])


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    result = simulator.calibrate("h200-sxm", measured(200), runtime="trt-llm", residuals=50)
    result.write(tmp_path / "own.yaml")
    read = load_calibration(tmp_path / "own.yaml")
    assert (read.hardware, read.runtime, read.version) == ("h200-sxm", "trt-llm", "1")
    kept = read.kernels["gemm"]["bf16"]
    assert kept.residuals == "own.gemm.bf16.csv"
    assert kept.parameters["t0"] == pytest.approx(result.calibration.kernels["gemm"]["bf16"].parameters["t0"], rel=1e-4)
    shape = {"m": 64, "n": 4096, "k": 4096}
    told = simulator.operator("gemm", "h200-sxm", calibration=str(tmp_path / "own.yaml"), **shape).rows.iloc[0]
    assert told["constants"] == str(tmp_path / "own.yaml")
    assert told["time_s"] == pytest.approx(float(gemm_seconds(64, 4096, 4096, CHIP, TRUE)), rel=0.05)


def test_few_constants_may_be_fitted_to_few_rows() -> None:
    fitted = simulator.calibrate("h200-sxm", measured(30), free=["t0", "ebw"], share=0).calibration.kernels["gemm"]
    assert fitted["bf16"].uncertainty.keys() == {"t0", "ebw"}
    assert fitted["bf16"].parameters["epi"] == GemmLibrary().epi
    assert fitted["bf16"].held_out is None


@pytest.mark.parametrize(
    ("change", "options", "text"),
    [
        ({"device": "NVIDIA H100 80GB HBM3"}, {}, "data of another device.*H100"),
        ({"device": "a toaster"}, {}, "data of another device.*toaster"),
        ({}, {"runtime": "vllm"}, "runtime: found 'vllm'.*TensorRT-LLM"),
        ({}, {"free": ["speed"]}, "free: found 'speed'.*t0"),
        ({"op": "conv"}, {}, "no operator that has a model"),
        ({"metric": "bandwidth"}, {}, "no operator that has a model"),
    ],
)
def test_data_that_do_not_tell_are_refused(change: dict, options: dict, text: str) -> None:
    with pytest.raises(ConfigError) as error:
        simulator.calibrate("h200-sxm", measured(60).assign(**change), **options)
    assert re.search(text, str(error.value), re.DOTALL)


def test_fewer_rows_than_constants_are_refused() -> None:
    with pytest.raises(ConfigError, match="gemm: found 5 rows to fit, expected 10 rows or more"):
        simulator.calibrate("h200-sxm", measured(5), share=0)


def test_several_programs_are_fitted_one_by_one() -> None:
    table = measured(60)
    table.loc[::2, "engine"] = "vLLM"
    with pytest.raises(ConfigError, match="each is fitted by itself"):
        simulator.calibrate("h200-sxm", table)
    result = simulator.calibrate("h200-sxm", table, runtime="vllm", share=0)
    assert result.skipped == {"another program": 30}
    assert result.calibration.kernels["gemm"]["bf16"].rows == 30


def test_a_constant_at_its_bound_is_said() -> None:
    slow = measured(200)
    slow["value"] += 1e-3
    assert "t0" in simulator.calibrate("h200-sxm", slow).calibration.kernels["gemm"]["bf16"].at_bounds
