"""Tables of public sources, in samples of ours with their columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from simulator.validation.measured.importers import offload, public_runs, requests, storage
from simulator.validation.measured.reader import read_measured


def read(tmp_path: Path, columns: tuple[str, ...], *rows: dict[str, object]) -> pd.DataFrame:
    pd.DataFrame(rows).reindex(columns=columns).to_csv(tmp_path / "data.csv", index=False)
    return read_measured(tmp_path / "data.csv").rows


RUN = {
    "source": "s", "device": "d", "model": "m", "phase": "e2e", "metric": "latency", "value": 1.0, "unit": "s",
    "batch": 1, "input_len": 128, "output_len": 128, "n_devices": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("engine", "dtype", "expected"),
    [
        ("TensorRT-LLM v0.9.0", "fp8", ("TensorRT-LLM", "v0.9.0", "fp8", "fp8", "kv_dtype")),
        ("TensorRT-LLM", "fp16", ("TensorRT-LLM", None, "fp16", "fp16", "kv_dtype")),
        ("vLLM", "fp8", ("vLLM", None, "fp8", "fp16", "kv_dtype")),
        ("vLLM", "bf16", ("vLLM", None, "bf16", "bf16", "kv_dtype")),
        ("TensorRT-LLM", "w_fp16+kv_int8", ("TensorRT-LLM", None, "fp16", "int8", "")),
        ("llama.cpp b1550", "Q4_0", ("llama.cpp", "b1550", "Q4_0", "fp16", "kv_dtype pp")),
        ("llama.cpp", "F16", ("llama.cpp", None, "fp16", "fp16", "kv_dtype pp")),
        ("TensorRT 10.2; CUDA 12.4", None, ("TensorRT", "10.2; CUDA 12.4", None, None, "")),
    ],
)
def test_the_type_of_the_kv_cache_is_inferred_and_said_to_be(
    tmp_path: Path, engine: str, dtype: str | None, expected: tuple[str | None, ...]
) -> None:
    rows = read(tmp_path, public_runs.COLUMNS, {**RUN, "engine": engine, "dtype": dtype})
    row = rows.iloc[0]
    columns = ("engine", "version", "dtype", "kv_dtype", "inferred")
    assert tuple(None if pd.isna(row[name]) else row[name] for name in columns) == expected


def test_llama_cpp_gives_each_device_some_layers(tmp_path: Path) -> None:
    run = {**RUN, "dtype": "fp16", "n_devices": 4}
    rows = read(tmp_path, public_runs.COLUMNS, {**run, "engine": "llama.cpp"}, {**run, "engine": "vLLM"})
    assert rows["pp"].iloc[0] == 4 and rows["inferred"].iloc[0] == "kv_dtype pp"
    assert rows["pp"].isna().iloc[1]


def test_a_time_of_another_output_is_a_latency_of_that_output(tmp_path: Path) -> None:
    rows = read(tmp_path, public_runs.COLUMNS, {**RUN, "engine": "vLLM", "metric": "latency_with_1024_out"})
    assert rows["metric"].iloc[0] == "latency" and rows["output_len"].iloc[0] == 1024


def test_a_request_gives_ttft_and_tpot(tmp_path: Path) -> None:
    times = {"arrival_s": 1.0, "scheduled_s": 1.5, "first_token_s": 3.0, "last_token_s": 7.0, "output_len": 5}
    one = {"source": "s", "device": "d", "model": "m", "engine": "vLLM", "dtype": "bf16", "request": 0, "input_len": 9}
    lone = {"output_len": 1, "last_token_s": 3.0}
    rows = read(tmp_path, requests.COLUMNS, {**one, **times}, {**one, **times, **lone})
    assert list(zip(rows["metric"], rows["value"], strict=True)) == [("ttft", 2.0), ("tpot", 1.0), ("ttft", 2.0)]


def test_storage_is_an_operator_by_pattern(tmp_path: Path) -> None:
    one = {"source": "s", "device": "d", "rw": "read", "pattern": "random", "block_bytes": 4096, "metric": "iops"}
    rows = read(tmp_path, storage.COLUMNS, {**one, "value": 1e6, "unit": "1/s", "queue_depth": 32})
    assert rows["op"].iloc[0] == "read_random" and rows["bytes"].iloc[0] == 4096 and rows["queue_depth"].iloc[0] == 32


def test_offload_names_its_machine(tmp_path: Path) -> None:
    one = {"source": "s", "machine": "2 CPUs", "model": "m", "quantization": "q4_0", "metric": "throughput"}
    rows = read(tmp_path, offload.COLUMNS, {**one, "value": 4.6, "unit": "token/s", "placement": "host"})
    assert rows["device"].iloc[0] == "2 CPUs" and rows["dtype"].iloc[0] == "q4_0"
