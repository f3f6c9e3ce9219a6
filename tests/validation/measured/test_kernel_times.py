"""Measured operators on the kernels of a GPU: the same times as `tiersim operator` has, or none."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import simulator
from simulator.hardware.system import load_system
from simulator.validation.measured.kernel_times import kernel_times
from simulator.validation.measured.schema import OPERATORS, tidy

GEMM = {"op": "gemm_ffn_up", "m": 300, "n": 4096, "k": 8192}
DECODE = {
    "op": "attention_decode", "batch": 8, "heads": 32, "kv_heads": 8, "head_dim": 128, "seq_q": 1, "seq_kv": 4096,
}  # fmt: skip


def operators(engine: str, *rows: dict[str, Any]) -> pd.DataFrame:
    base = {"source": "s", "device": "d", "dtype": "bf16", "n_devices": 1, "metric": "latency", "unit": "s", "value": 1}
    table = pd.DataFrame([{**base, **row, "engine": engine} for row in rows])
    return tidy(table.reindex(columns=[*OPERATORS, "engine"]))


def test_rows_take_what_single_operators_take() -> None:
    times = kernel_times(operators("TensorRT-LLM v1.0", GEMM, DECODE), load_system("h100-sxm"))
    for row, seconds in zip((GEMM, DECODE), times["time_s"], strict=True):
        shape = {key: value for key, value in row.items() if key not in ("op", "seq_q")}
        (alone,) = simulator.operator(str(row["op"]), "h100-sxm", runtime="trt-llm", **shape).rows["time_s"]
        assert seconds == pytest.approx(alone, rel=1e-12)
    assert times["expected_error"].between(0, 0.5).all() and (times["bound_by"] != "").all()


def test_under_another_program_the_kernels_of_the_chip_count_and_no_error_is_expected() -> None:
    times = kernel_times(operators("another program", GEMM, DECODE), load_system("h100-sxm"))
    assert (times["time_s"] > 0).all() and times["expected_error"].isna().all()


def test_a_machine_whose_chip_nobody_fitted_has_no_time() -> None:
    assert kernel_times(operators("vLLM", GEMM), load_system("sn40l-node"))["time_s"].isna().all()
