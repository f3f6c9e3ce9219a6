"""The tables of the package, in small ones of the same columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from simulator.errors import ConfigError
from simulator.validation.measured.importers import aiconfigurator
from simulator.validation.measured.reader import read_measured

ABOUT = {"framework": "TRTLLM", "version": "1.3", "device": "NVIDIA H100 80GB HBM3", "kernel_source": "k"}


def written(root: Path, place: str, **columns: object) -> Path:
    file = root / "data" / place
    file.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_parquet(file)
    return file


def test_a_table_has_all_versions_of_a_system(tmp_path: Path) -> None:
    for version, latency in (("1.0", 0.5), ("1.3", 2.0)):
        about = {**ABOUT, "version": version, "op_name": "gemm", "gemm_dtype": "bfloat16", "m": [1], "n": 2, "k": 3}
        place = f"h100_sxm/gemm/trtllm/{version}/gemm_perf.parquet"
        written(tmp_path, place, **about, latency=latency)
    rows = aiconfigurator.table("gemm", "h100_sxm", root=tmp_path)
    assert list(rows["version"]) == ["1.0", "1.3"]
    assert list(rows["value"]) == [0.5e-3, 2.0e-3]
    assert set(rows["dtype"]) == {"bf16"} and set(rows["engine"]) == {"TensorRT-LLM"}


def test_attention_counts_the_new_tokens_and_those_before(tmp_path: Path) -> None:
    shape = {"batch_size": [2, 2], "isl": [1, 128], "step": [31, 0], "num_heads": 8, "num_key_value_heads": [0, 2]}
    dtypes = {"attn_dtype": "bfloat16", "kv_cache_dtype": ["fp8", "bfloat16"], "window_size": [128, 0]}
    ops = {"op_name": ["generation_attention", "context_attention"], "head_dim": 64}
    place = "h100_sxm/attention/trtllm/1.3/generation_attention_perf.parquet"
    rows = read_measured(written(tmp_path, place, **ABOUT, **ops, **shape, **dtypes, latency=1.0)).rows
    assert list(rows["op"]) == ["attention_decode", "attention_prefill_causal"]
    assert list(rows["seq_q"]) == [1, 128] and list(rows["seq_kv"]) == [32, 128]
    assert list(rows["kv_heads"]) == [8, 2] and list(rows["kv_dtype"]) == ["fp8", "bf16"]
    assert list(rows["window"]) == [128, 0]


def test_a_message_is_counted_in_elements_of_its_type(tmp_path: Path) -> None:
    columns = {"nccl_dtype": ["half", "int8"], "num_gpus": 2, "message_size": 1000, "latency": [2.0, 1.0]}
    place = "h100_sxm/comm/nccl/2.23/nccl_perf.parquet"
    rows = read_measured(written(tmp_path, place, **columns, kernel_source="NCCL", op_name="alltoall")).rows
    assert list(rows["bytes"]) == [2000, 1000]
    assert set(rows["device"]) == {"h100_sxm"} and set(rows["version"]) == {"2.23"}  # of its folders
    assert set(rows["op"]) == {"all_to_all"}


def test_a_closed_loop_gives_ttft_and_tpot_of_the_whole_batch(tmp_path: Path) -> None:
    runs = {
        "id": ["a", "b"], "backend": ["trtllm", "vllm"], "backend_version": "1", "model_path": "m",
        "system": "h100_sxm", "precision": ["fp8", None], "mode": "agg", "isl": 8, "osl": 4, "batch_size": [16, 2],
        "tp_size": 2, "pp_size": 1, "attention_dp_size": [4, None], "moe_tp_size": 1, "moe_ep_size": 1,
        "silicon_ttft_ms": [5.0, 6.0], "silicon_tpot_ms": 2.0,
    }  # fmt: skip
    pd.DataFrame(runs).to_csv(tmp_path / "silicon_sample.csv", index=False)
    rows = aiconfigurator.silicon_sample(tmp_path)
    assert list(rows["metric"]) == ["ttft", "tpot"] * 2
    assert list(rows["value"]) == [5e-3, 2e-3, 6e-3, 2e-3]
    assert list(rows["batch"]) == [64, 64, 2, 2] and list(rows["n_devices"]) == [8, 8, 2, 2]
    assert list(rows["kv_dtype"]) == ["fp8", "fp8", "bf16", "bf16"]
    assert list(rows["inferred"]) == ["kv_dtype"] * 2 + ["dtype kv_dtype"] * 2


def test_a_system_that_is_not_in_the_package_is_named_with_those_that_are(tmp_path: Path) -> None:
    gemm = {"gemm_dtype": "fp8", "m": [1], "n": 1, "k": 1, "latency": 1.0, "op_name": "gemm"}
    written(tmp_path, "h100_sxm/gemm/trtllm/1/gemm_perf.parquet", **ABOUT, **gemm)
    with pytest.raises(ConfigError, match="h100_sxm"):
        aiconfigurator.table("gemm", "h100", root=tmp_path)


def test_without_the_package_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiconfigurator, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'tiersim\[gpu-baselines\]'"):
        aiconfigurator.table("gemm")


def test_prompts_of_a_latent_say_whether_it_is_read_as_it_is_and_an_exchange_is_in_seconds() -> None:
    about = {"framework": "SGLang", "version": "1", "device": "NVIDIA H100 80GB HBM3"}
    mla = pd.DataFrame([
        {**about, "op_name": "mla_context", "kernel_source": kernel, "mla_dtype": "bfloat16", "latency": 1.0,
         "kv_cache_dtype": "bfloat16", "num_heads": 16, "batch_size": 1, "isl": 64, "step": 0}
        for kernel in ("default", "flash_attention")
    ])  # fmt: skip
    rows = aiconfigurator.IMPORTERS["mla"].tidy(mla, Path("mla/sglang/1/context_mla_perf.parquet"))
    assert list(rows["absorbed"]) == [0, 1] and list(rows["value"]) == [1e-3, 1e-3]
    sent = pd.DataFrame([{
        **about, "comm_backend": "deepep_ll", "phase": "dispatch", "comm_dtype": "default", "kernel_source": "deepep",
        "num_tokens": 8, "hidden_size": 4096, "num_experts": 256, "topk": 8, "ep_size": 8, "latency": 45.0,
    }])  # fmt: skip
    (row,) = (
        aiconfigurator.IMPORTERS["exchange"].tidy(sent, Path("comm/sglang/1/moe_a2a_perf.parquet")).to_dict("records")
    )
    assert (row["op"], row["value"], row["n_devices"]) == ("moe_dispatch_ll", pytest.approx(45e-6), 8)
