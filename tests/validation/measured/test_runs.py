"""Measured runs as scenarios."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator.validation.measured.runs import QUEUED, SERVED, UNSTATED, cases_of

RUN = {
    "source": "s", "device": "d", "n_devices": 4, "tp": np.nan, "pp": np.nan, "ep": np.nan, "model": "Llama-2-70B",
    "engine": "e", "dtype": "fp16", "kv_dtype": "fp16", "phase": "e2e", "batch": 8, "input_len": 100, "output_len": 50,
    "metric": "latency", "value": 2.0, "unit": "s",
}  # fmt: skip


def case(**change: Any) -> pd.Series:
    return cases_of(pd.DataFrame([{**RUN, **change}])).iloc[0]


@pytest.mark.parametrize(
    ("change", "phase", "metric", "measured"),
    [
        ({}, "request", "e2e_s", 2.0),
        ({"output_len": 1}, "prefill", "ttft_s", 2.0),
        ({"metric": "ttft", "phase": "prefill"}, "prefill", "ttft_s", 2.0),
        ({"metric": "tpot", "phase": "decode"}, "decode", "tbt_s", 2.0),
        ({"metric": "throughput", "phase": "prefill", "batch": 1}, "prefill", "ttft_s", 50.0),
        ({"metric": "throughput", "phase": "decode", "batch": 1, "input_len": 0}, "decode", "tbt_s", 0.5),
        ({"metric": "throughput_output"}, "request", "e2e_s", 200.0),
        ({"metric": "throughput_output_per_gpu"}, "request", "e2e_s", 50.0),
        ({"metric": "avg_power"}, "request", "power_w", 2.0),
    ],
)
def test_a_value_is_a_metric_of_a_static_batch(
    change: dict[str, Any], phase: str, metric: str, measured: float
) -> None:
    one = case(**change)
    assert (one["workload.phase"], one["metric"], one["measured"], one["error"]) == (phase, metric, measured, "")
    assert one["workload.input"] >= 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"batch": np.nan}, UNSTATED),
        ({"phase": "server", "metric": "ttft_p99"}, SERVED),
        ({"metric": "ttft", "loop": "closed"}, QUEUED),
        ({"dtype": None}, "its types are not stated"),
        ({"model": "No-Such-1B"}, "no model 'No-Such-1B' is described"),
        ({"metric": "iops"}, "no model of the metric"),
    ],
)
def test_a_row_that_a_static_batch_does_not_answer_says_why(change: dict[str, Any], error: str) -> None:
    assert case(**change)["error"] == error


def test_devices_are_tensor_parallel_unless_they_are_stages() -> None:
    assert (case()["mapping.tensor"], case()["mapping.pipeline"]) == (4, 1)
    assert (case(pp=4)["mapping.tensor"], case(pp=4)["mapping.pipeline"]) == (1, 4)
    sizes = [case(n_devices=count) for count in (6, 12, 16)]
    assert [(each["sized.devices"], each["sized.nodes"]) for each in sizes] == [(6, 1), (4, 3), (8, 2)]


def test_a_context_that_a_model_was_not_made_for_is_allowed() -> None:
    assert np.isnan(case()["model.max_context"])
    assert case(input_len=8192)["model.max_context"] > 8242


def test_a_type_is_named_as_ours_are() -> None:
    one = case(dtype="Q4_K_M", kv_dtype="fp16")
    assert (one["mapping.dtype"], one["mapping.kv"]) == ("q4_k_m", "fp16")
    assert case(dtype="fp4")["mapping.dtype"] == "nvfp4"


def test_experts_over_devices_are_not_passed_over() -> None:
    assert case(ep=4)["error"].startswith("experts on several devices")
    assert case(ep=1)["error"] == ""
