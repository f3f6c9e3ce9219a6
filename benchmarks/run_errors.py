"""Errors of static batches on runs that gave no constant: each target, what was measured, and whether it holds.

Needs a folder with the published runs (`--data`): `e2e_argonne.csv`, `e2e_splitwise.csv`, `e2e_llamacpp_llama3.csv`;
and, for the closed loop, the registry package `aiconfigurator-core` (extra `gpu-baselines`, or `--root`, its folder
`systems`). `--only argonne` (or splitwise, llama_cpp, closed_loop) measures one set.

What was fitted to what stands in `hwconfigs/runtimes`: host times to Llama-2-7B of Argonne, and to TP 4 of Splitwise;
bandwidths of llama.cpp to four machines. Their rows are left out here.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from simulator.errors import ConfigError
from simulator.validation.compare import compare
from simulator.validation.measured.errors import errors

Row = tuple[str, pd.DataFrame, float | None]
"""What is measured, its rows, and the target of the median in percent."""

FITTED_TO = ("RTX 3090", "L40S", "A100 PCIe", "M1 Max")


def argonne(root: Path | None, data: Path) -> Iterator[Row]:
    rows = compare(data / "e2e_argonne.csv").counted
    rows = rows[rows["pp"].fillna(1).eq(1) & ~rows["model"].str.contains("Llama-2-7[bB]", regex=True)]
    for engine, target in (("TensorRT-LLM", 7.0), ("vLLM", 12.0)):
        for device in ("H100", "A100"):
            some = rows[rows["engine"].eq(engine) & rows["device"].str.contains(device)]
            yield f"Argonne {device} {engine}, models but Llama-2-7B", some, target


def splitwise(root: Path | None, data: Path) -> Iterator[Row]:
    rows = compare(data / "e2e_splitwise.csv").counted
    rows = rows[rows["tp"].ne(4)]
    for metric, name, target in (("tbt_s", "decode", 10.0), ("ttft_s", "prefill", 12.0)):
        for device in ("H100", "A100"):
            some = rows[rows["metric"].eq(metric) & rows["device"].str.contains(device)]
            yield f"Splitwise {device}, {name} at TP 2 and 8", some, target
            for ways in (2, 8):
                yield f"Splitwise {device}, {name} at TP {ways}", some[some["tp"].eq(ways)], None


def llama_cpp(root: Path | None, data: Path) -> Iterator[Row]:
    rows = compare(data / "e2e_llamacpp_llama3.csv").counted
    fitted = rows["device"].str.contains("|".join(FITTED_TO)) & rows["n_devices"].eq(1)
    rows = rows[rows["metric"].eq("tbt_s") & ~fitted]
    for dtype, name, target in (("fp16", "F16", 10.0), ("q4_k_m", "Q4_K_M", 18.0)):
        yield f"llama.cpp decode, {name}, other machines", rows[rows["dtype"].str.lower().eq(dtype)], target


def closed_loop(root: Path | None, data: Path) -> Iterator[Row]:
    file = "aiconfigurator/silicon_sample.csv" if root is None else root / "silicon_sample.csv"
    rows = compare(file).counted
    some = rows[
        rows["model"].str.contains("Llama-3.1-8B")
        & rows["device"].str.contains("h100")
        & rows["engine"].eq("TensorRT-LLM")
        & rows["metric"].eq("tbt_s")
    ]
    yield "Llama-3.1-8B on H100 TensorRT-LLM, steady TPOT", some, 10.0
    for ways, part in some.groupby("tp"):
        yield f"the same at TP {ways:g}", part, None


SETS: dict[str, Callable[[Path | None, Path], Iterator[Row]]] = {
    each.__name__: each for each in (argonne, splitwise, llama_cpp, closed_loop)
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--only", choices=SETS, action="append")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in chosen.only or SETS:
        try:
            for what, rows, target in SETS[name](chosen.root, chosen.data):
                told = errors(rows)
                median, mean, ratio = (told[each] for each in ("median_ape", "mape", "ratio"))
                holds = (
                    "" if target is None else f"  target {target:g}  {'holds' if 100 * median <= target else 'MISSED'}"
                )
                shown = f"{len(rows):5d} rows  median {median:6.1%}  mean {mean:6.1%}  ratio {ratio:.2f}"
                print(f"{what:52s} {shown}{holds}", flush=True)
        except ConfigError as error:
            print(f"{name}: not measured: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
