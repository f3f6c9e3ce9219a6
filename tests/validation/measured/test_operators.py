"""The roofline of measured operators: what each asks of the machine."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.hardware.system import load_system
from simulator.validation.measured.operators import class_of, in_seconds, operator_times, work_of
from simulator.validation.measured.plain import plain
from simulator.validation.measured.schema import OPERATORS, tidy
from tests.deployed import under

LOSSLESS = load_system(plain("dgx-h100"))
TODAY = under("dgx-h100")


def operators(*rows: dict[str, Any]) -> pd.DataFrame:
    base = {"source": "s", "device": "d", "dtype": "bf16", "n_devices": 1, "metric": "latency", "unit": "s"}
    extra = [name for name in {key for row in rows for key in row} if name not in OPERATORS]
    return tidy(pd.DataFrame([{**base, "value": 1.0, **row} for row in rows]).reindex(columns=[*OPERATORS, *extra]))


@pytest.mark.parametrize(
    ("row", "seconds", "bound"),
    [
        ({"op": "gemm", "m": 8192, "n": 8192, "k": 8192}, 2 * 8192**3 / 989.4e12, "gpu.gpu"),
        ({"op": "gemm_qkv", "m": 1, "n": 8192, "k": 8192}, 2 * (8192**2 + 2 * 8192) / 3.35e12, "gpu.hbm"),
        ({"op": "gemm", "dtype": "fp8", "m": 8192, "n": 8192, "k": 8192}, 2 * 8192**3 / 1979e12, "gpu.gpu"),
        ({"op": "softmax", "m": 4096, "n": 4096}, 4 * 4096**2 / 3.35e12, "gpu.hbm"),
        ({"op": "all_reduce", "bytes": 2**28, "n_devices": 8}, 1.75 * 2**28 / 450e9, "gpu->gpu"),
    ],
)
def test_an_operator_takes_its_flops_at_the_peak_or_its_bytes_at_the_bandwidth(
    row: dict[str, Any], seconds: float, bound: str
) -> None:
    answer = operator_times(operators(row), LOSSLESS).iloc[0]
    assert answer["time_s"] == pytest.approx(seconds, rel=1e-12)
    assert answer["bound_by"].startswith(bound) and answer["error"] == ""


def test_a_machine_with_its_losses_is_never_faster() -> None:
    rows = operators(
        *({"op": "gemm", "m": m, "n": 4096, "k": 4096} for m in (1, 64, 4096)),
        {"op": "all_reduce", "bytes": 4096, "n_devices": 4},
        {"op": "rms_norm", "m": 1, "n": 4096},
    )
    assert (operator_times(rows, TODAY)["time_s"] > operator_times(rows, LOSSLESS)["time_s"]).all()


@given(st.integers(1, 64), st.integers(0, 64), st.integers(0, 80))
def test_attention_counts_the_pairs_that_a_query_sees(queries: int, past: int, window: int) -> None:
    heads = {"batch": 2, "heads": 3, "kv_heads": 1, "head_dim": 8}
    row = {"op": "attention_prefill_causal", "seq_q": queries, "seq_kv": queries + past, "window": window, **heads}
    seen = [min(past + i + 1, window or past + i + 1) for i in range(queries)]
    work = work_of(operators(row), "attention_prefill", "bf16")
    assert work.flops[0] == 4 * 2 * 3 * 8 * sum(seen)
    kept = min(queries + past, max(seen) + queries - 1)
    assert work.read[0] == 2 * (2 * queries * 3 * 8) + 2 * 2 * (2 * kept * 8)


def test_collectives_of_one_size_are_told_apart() -> None:
    size = {"bytes": 2**28, "n_devices": 8, "dtype": "fp16"}
    both, half = operator_times(operators({"op": "all_reduce", **size}, {"op": "all_gather", **size}), LOSSLESS)[
        "time_s"
    ]
    assert both == pytest.approx(2 * half, rel=1e-12)


def test_a_cache_of_8_bits_is_read_in_half_the_bytes() -> None:
    row = {"op": "attention_decode", "batch": 8, "heads": 32, "kv_heads": 8, "head_dim": 128, "seq_q": 1}
    rows = operators(*({**row, "seq_kv": 8192, "kv_dtype": dtype} for dtype in ("bf16", "fp8")))
    wide, narrow = work_of(rows, "attention_decode", "bf16").read
    assert narrow / wide == pytest.approx(0.5, rel=1e-3)


def test_experts_that_are_reached_are_read() -> None:
    row = {"op": "moe_ffn", "n": 768, "k": 2048, "experts": 128, "top_k": 8}
    rows = operators({**row, "m": 1}, {**row, "m": 4096}, {**row, "m": 64, "op": "moe_ffn_activated_16"})
    weights = 3 * 768 * 2048 * 2.0
    one, many, some = work_of(rows, "moe", "bf16").read / weights
    assert one == pytest.approx(8, rel=1e-2) and some == pytest.approx(16, rel=1e-1)
    assert many > 128 and many == pytest.approx(128, rel=0.1)
    (plain,) = work_of(operators({**row, "m": 1, "matrices": 2}), "moe", "bf16").read / weights
    assert plain / one == pytest.approx(2 / 3, rel=1e-3)


def test_a_rate_becomes_the_time_of_what_it_was_counted_of() -> None:
    row = {"op": "gemm", "m": 64, "n": 64, "k": 64, "metric": "flops", "unit": "FLOP/s", "value": 1e12}
    assert in_seconds(operators(row)).iloc[0] == 2 * 64**3 / 1e12


@pytest.mark.parametrize(
    ("op", "kind"),
    [
        ("gemm_ffn_up", "gemm"), ("batched_gemm_qk", "gemm"), ("attention_fwd_causal", "attention_prefill"),
        ("attention_fwd_bwd", ""), ("layernorm_mha", "row_wise"), ("all_reduce_ffn", "collective"),
        ("copy_device_local", "copy"), ("mla_decode", "mla_decode"), ("dram_read", ""), ("moe_ffn_activated_8", "moe"),
    ],
)  # fmt: skip
def test_an_operator_is_of_the_class_that_its_name_says(op: str, kind: str) -> None:
    assert class_of(op) == kind


def test_what_has_no_model_says_why() -> None:
    rows = operators({"op": "dram_read"}, {"op": "gemm"}, {"op": "gemm", "m": 1, "n": 1, "k": 1, "dtype": "?"})
    answer = operator_times(rows, TODAY)
    assert answer["time_s"].isna().all()
    assert list(answer["error"]) == ["no model of the operator", "a shape is not stated", "no type '?'"]
