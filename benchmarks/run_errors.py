"""Errors of static batches on runs that gave no constant: each target, what was measured, and whether it holds.

Needs a folder with the published runs (`--data`): `e2e_argonne.csv`, `e2e_splitwise.csv`, `e2e_llamacpp_llama3.csv`;
and, for the closed loop, the registry package `aiconfigurator-core` (extra `gpu-baselines`, or `--root`, its folder
`systems`). `--only argonne` (or splitwise, llama_cpp, closed_loop) measures one set.

What was fitted to what stands in `hwconfigs/runtimes`: host times to Llama-2-7B of Argonne, and to TP 4 of Splitwise;
bandwidths of llama.cpp to four machines. Their rows are left out here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from targets import Row, Sets, show

from simulator.errors import ConfigError
from simulator.validation.compare import compare
from simulator.validation.measured.errors import errors

FITTED_TO = ("RTX 3090", "L40S", "A100 PCIe", "M1 Max")


def median(what: str, rows: pd.DataFrame, target: float | None = None) -> Row:
    told = errors(rows)
    note = f"of {len(rows):4d} rows in the median; mean {told['mape']:6.1%}, ratio {told['ratio']:.2f}"
    return Row(what, 100 * told["median_ape"], target, note)


def published(data: Path | None, name: str) -> pd.DataFrame:
    if data is None:
        raise ConfigError("the published runs are not in the package", expected="their folder, --data")
    return compare(data / name).counted


def argonne(root: Path | None, data: Path | None) -> Iterator[Row]:
    rows = published(data, "e2e_argonne.csv")
    rows = rows[rows["pp"].fillna(1).eq(1) & ~rows["model"].str.contains("Llama-2-7[bB]", regex=True)]
    for engine, target in (("TensorRT-LLM", 7.0), ("vLLM", 12.0)):
        for device in ("H100", "A100"):
            some = rows[rows["engine"].eq(engine) & rows["device"].str.contains(device)]
            yield median(f"Argonne {device} {engine}, models but Llama-2-7B", some, target)


def splitwise(root: Path | None, data: Path | None) -> Iterator[Row]:
    rows = published(data, "e2e_splitwise.csv")
    rows = rows[rows["tp"].ne(4)]
    for metric, name, target in (("tbt_s", "decode", 10.0), ("ttft_s", "prefill", 12.0)):
        for device in ("H100", "A100"):
            some = rows[rows["metric"].eq(metric) & rows["device"].str.contains(device)]
            yield median(f"Splitwise {device}, {name} at TP 2 and 8", some, target)
            for ways in (2, 8):
                yield median(f"Splitwise {device}, {name} at TP {ways}", some[some["tp"].eq(ways)])


def llama_cpp(root: Path | None, data: Path | None) -> Iterator[Row]:
    rows = published(data, "e2e_llamacpp_llama3.csv")
    fitted = rows["device"].str.contains("|".join(FITTED_TO)) & rows["n_devices"].eq(1)
    rows = rows[rows["metric"].eq("tbt_s") & ~fitted]
    for dtype, name, target in (("fp16", "F16", 10.0), ("q4_k_m", "Q4_K_M", 18.0)):
        yield median(f"llama.cpp decode, {name}, other machines", rows[rows["dtype"].str.lower().eq(dtype)], target)


def closed_loop(root: Path | None, data: Path | None) -> Iterator[Row]:
    file = "aiconfigurator/silicon_sample.csv" if root is None else root / "silicon_sample.csv"
    rows = compare(file).counted
    some = rows[
        rows["model"].str.contains("Llama-3.1-8B")
        & rows["device"].str.contains("h100")
        & rows["engine"].eq("TensorRT-LLM")
        & rows["metric"].eq("tbt_s")
    ]
    yield median("Llama-3.1-8B on H100 TensorRT-LLM, steady TPOT", some, 10.0)
    for ways, part in some.groupby("tp"):
        yield median(f"the same at TP {ways:g}", part)


SETS: Sets = {each.__name__: each for each in (argonne, splitwise, llama_cpp, closed_loop)}


if __name__ == "__main__":
    sys.exit(show(__doc__, SETS))
