"""Errors of the kernel models on what they were not fitted to: each target, what was measured, and whether it holds.

Needs the tables of the registry package `aiconfigurator-core` (extra `gpu-baselines`, or `--root`, its folder
`systems`); with `--data`, a folder with `ops_vidur_layers.csv`, `ops_llmcompass.csv` and `ops_gpt3_layer_a100x4.csv`,
the second opinions too. `--only gemm` (or attention, moe, fp8, fp4, all_reduce, layer, mla, exchange) measures one.

A class is split by groups of shapes, half of them held out (seed 0); residuals are of 2,000 rows of the other half, and
count where they help in cross-validation within it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from targets import Row, Sets, show

from simulator.hardware import load_system
from simulator.mapping.gpu.calibration import Constants, Errors, times
from simulator.mapping.gpu.chip import chip_of
from simulator.mapping.gpu.kernels import KERNELS, kernel_of
from simulator.mapping.gpu.products import GEMM
from simulator.mapping.gpu.residuals import tabulated
from simulator.validation.calibration.calibrate import calibrate
from simulator.validation.calibration.calibrated import Calibrated
from simulator.validation.calibration.fit import fit_kernel
from simulator.validation.measured.errors import errors_between
from simulator.validation.measured.held_out import held_out
from simulator.validation.measured.importers.aiconfigurator import table
from simulator.validation.measured.kernel_times import columns
from simulator.validation.measured.reader import read_measured

MACHINES = {
    "h100_sxm": "h100-sxm", "a100_sxm": "a100-sxm-80gb", "h200_sxm": "h200-sxm", "b200_sxm": "b200-sxm",
    "l40s": "l40s", "rtx_pro_6000_server": "rtx-pro-6000",
}  # fmt: skip
NEWEST = {
    ("h100_sxm", "trtllm"): "1.3.0rc20", ("h100_sxm", "vllm"): "0.24.0", ("h100_sxm", "sglang"): "0.5.14",
    ("a100_sxm", "trtllm"): "1.0.0", ("a100_sxm", "vllm"): "0.14.0", ("a100_sxm", "sglang"): "0.5.10",
}  # fmt: skip
OF_A_DEVICE = ["t0", "emax", "ebw", "l2f"]


def rows(root: Path | None, name: str, system: str, engine: str, dtype: str = "bf16") -> pd.DataFrame:
    found = table(name, system, engine, root)
    found = found[(found["dtype"] == dtype) & (found["value"] > 0)]
    if "kv_dtype" in found:
        found = found[found["kv_dtype"] == "bf16"]
    if (system, engine) in NEWEST and name != "nccl":
        found = found[found["version"] == NEWEST[system, engine]]
    if "window" in found:
        found = found[found["window"].fillna(0) == 0]
    return found.reset_index(drop=True)


def gemm(root: Path | None, data: Path | None) -> Iterator[Row]:
    own = {"h100_sxm": (7.5, 6.5), "a100_sxm": (9.5, 7.5)}
    few = {"h200_sxm": 8.5, "b200_sxm": 13.0, "l40s": 20.0, "rtx_pro_6000_server": 17.5}
    hopper = None
    fits = {}
    for system, machine in MACHINES.items():
        known = rows(root, "gemm", system, "trtllm")
        fitted = calibrate(machine, known, residuals=2000).calibration.kernels["gemm"]["bf16"]
        plain, near = own.get(system, (None, None))
        assert fitted.held_out is not None
        yield Row(f"GEMM {machine}, own fit", 100 * fitted.held_out.mean, plain)
        yield Row(f"GEMM {machine}, with residuals", 100 * (fitted.with_residuals or fitted.held_out).mean, near)
        seeds = [
            calibrate(machine, known, seed=seed).calibration.kernels["gemm"]["bf16"].held_out for seed in range(1, 6)
        ]
        others = float(np.mean([each.mean for each in seeds if each]))
        yield Row(f"GEMM {machine}, own fit, mean of 5 other splits", 100 * others)
        library = GEMM.library.model_validate(fitted.parameters)
        hopper, fits[machine] = hopper or library, library
        if system in few:
            yield from _few(known, machine, hopper, few[system], 8.5 if system == "h200_sxm" else None)
    if data is not None:
        layers = read_measured(data / "ops_vidur_layers.csv").rows
        layers = layers[layers["op"].str.startswith("gemm")].assign(warm=0.0)  # a whole layer, over and over: no L2
        targets = (("A100-SXM4-80GB", "a100-sxm-80gb", 8.0), ("H100-SXM5-80GB", "h100-sxm", 12.0))
        for device, machine, target in targets:
            some = layers[layers["device"] == device]
            modelled = GEMM.seconds(columns(some), chip_of(load_system(machine)), fits[machine])
            yield Row(
                f"GEMM Vidur's layers {machine}, unfitted",
                100 * errors_between(modelled, some["value"].to_numpy()).mean,
                target,
            )


def _few(known: pd.DataFrame, machine: str, hopper: Any, target: float, none: float | None) -> Iterator[Row]:
    chip = chip_of(load_system(machine))
    out = held_out(known, "gemm")
    scored, free = known[out], known[~out]
    measured = scored["value"].to_numpy()

    def error(library: Any) -> float:
        return 100 * errors_between(GEMM.seconds(columns(scored), chip, library), measured).mean

    draws = [free.sample(30, random_state=seed) for seed in range(10)]
    fits = [
        fit_kernel(GEMM, columns(each), each["value"].to_numpy(), chip, hopper, OF_A_DEVICE).library for each in draws
    ]
    yield Row(f"GEMM {machine}, 30 rows, mean of 10 draws", float(np.mean([error(each) for each in fits])), target)
    yield Row(f"GEMM {machine}, H100's constants", error(hopper), none)


def attention(root: Path | None, data: Path | None) -> Iterator[Row]:
    for system in ("h100_sxm", "a100_sxm"):
        for engine in ("trtllm", "vllm"):
            known = rows(root, "context_attention", system, engine)
            for name, error in _errors(system, known, "attention_prefill").items():
                yield Row(f"prefill {MACHINES[system]} {engine}{name}", error.mean(), 12.0)
    for system in ("h100_sxm", "a100_sxm"):
        for engine in ("trtllm", "vllm"):
            known = rows(root, "generation_attention", system, engine)
            target = {"vllm": 12.0, "h100_sxm": 18.0, "a100_sxm": 25.0}
            for name, error in _errors(system, known, "attention_decode").items():
                for where, some in (
                    ("", error),
                    (" below 30 us", error[error.index < 3e-5]),
                    (" above", error[error.index >= 3e-5]),
                ):
                    yield Row(
                        f"decode {MACHINES[system]} {engine}{name}{where}",
                        some.mean(),
                        target.get(engine, target[system]),
                    )


def _errors(system: str, known: pd.DataFrame, name: str) -> dict[str, pd.Series]:
    """Percent by measured seconds, of all rows that are held out: with the plain model, and with residuals."""
    kernel, machine = KERNELS[name], MACHINES[system]
    chip = chip_of(load_system(machine))
    found: dict[str, list[pd.Series]] = {"": [], ", with residuals": []}
    result = calibrate(machine, known, residuals=2000)
    fits = result.calibration.kernels[name]
    for variant, some in known.groupby(np.ravel(kernel.variant(columns(known))).astype(str)):
        library = kernel.library.model_validate(fits[str(variant)].parameters)
        out = held_out(some, name)
        table = result.tables.get((name, str(variant)))
        residuals = None if table is None else tabulated(table.to_numpy(float))
        measured = some[out]["value"].to_numpy()
        for key, of in zip(found, (Constants(library, ""), Constants(library, "", None, residuals)), strict=True):
            off = 100 * np.abs(times(kernel, columns(some[out]), chip, {"": of}) / measured - 1)
            found[key].append(pd.Series(off, index=measured))
    return {key: pd.concat(each) for key, each in found.items()}


def moe(root: Path | None, data: Path | None) -> Iterator[Row]:
    for system in ("h100_sxm", "a100_sxm"):
        for engine in ("trtllm", "vllm"):
            known = rows(root, "moe", system, engine)
            for by, told in ((None, ""), (["n", "k", "experts", "top_k"], ", whole shapes held out")):
                fits = calibrate(MACHINES[system], known, by=by, residuals=2000).calibration.kernels["moe"]
                for variant, fit in fits.items():
                    for key, errors in (("", fit.held_out), (", with residuals", fit.with_residuals or fit.held_out)):
                        assert errors is not None
                        what = f"MoE {MACHINES[system]} {engine} {variant}{told}{key}"
                        yield Row(f"{what}, median", 100 * errors.median, None if by else 15.0)
                        yield Row(f"{what}, mean", 100 * errors.mean, None if by else 25.0)


def fp8(root: Path | None, data: Path | None) -> Iterator[Row]:
    for engine in ("trtllm", "vllm", "sglang"):
        for dtype in ("fp8", "fp8_block"):
            known = rows(root, "gemm", "h100_sxm", engine, dtype)
            yield Row(f"{dtype} {engine}: rows faster than its own quantising alone", _faster(root, known, engine))
            fits = calibrate("h100-sxm", known, residuals=2000).calibration.kernels["gemm"].values()
            for key, errors in (
                ("", [e.held_out for e in fits]),
                (", residuals", [e.with_residuals or e.held_out for e in fits]),
            ):
                total = sum(each.mean * each.rows for each in errors if each)
                mean = 100 * total / sum(each.rows for each in errors if each)
                yield Row(f"{dtype} GEMM h100-sxm {engine}{key}", mean, 10.0)


def fp4(root: Path | None, data: Path | None) -> Iterator[Row]:
    for engine in ("trtllm", "vllm", "sglang"):
        known = rows(root, "gemm", "b200_sxm", engine, "nvfp4")
        for fit in calibrate("b200-sxm", known, residuals=2000).calibration.kernels["gemm"].values():
            assert fit.held_out is not None
            yield Row(f"nvfp4 GEMM b200-sxm {engine}", 100 * fit.held_out.mean)
            yield Row(f"nvfp4 GEMM b200-sxm {engine}, residuals", 100 * (fit.with_residuals or fit.held_out).mean)


def _faster(root: Path | None, gemms: pd.DataFrame, engine: str) -> float:
    """Percent of products of 1,024 rows or more and 2,048 columns or fewer that take less than scaling their rows.

    None where a table times quantising the activations too; nearly all where it does not.
    """
    scaling = table("scale_matrix", "h100_sxm", engine, root).groupby(["m", "n"])["value"].median()
    some = gemms[(gemms["m"] >= 1024) & (gemms["n"] <= 2048)]
    alone = scaling.reindex(pd.MultiIndex.from_frame(some[["m", "k"]])).to_numpy()
    known = np.isfinite(alone)
    return 100 * float((some["value"].to_numpy()[known] < alone[known]).mean())


def mla(root: Path | None, data: Path | None) -> Iterator[Row]:
    for name in ("context_mla", "generation_mla"):
        for engine in ("trtllm", "sglang"):
            known = rows(root, name, "h100_sxm", engine)
            for variant, fit in _fits(calibrate("h100-sxm", known, residuals=500)):
                yield Row(f"{variant} h100-sxm {engine}", 100 * fit.mean)


def exchange(root: Path | None, data: Path | None) -> Iterator[Row]:
    for engine in ("trtllm", "vllm"):
        known = table("moe_a2a", "h100_sxm", engine, root)
        known = known[(known["value"] > 0) & (known["dtype"] == "bf16")].reset_index(drop=True)
        for variant, fit in _fits(calibrate("h100-sxm", known)):
            yield Row(f"{variant} h100-sxm {engine}", 100 * fit.mean)


def _fits(result: Calibrated) -> Iterator[tuple[str, Errors]]:
    """The kernel and variant of each fit, and its errors on what was held out."""
    for name, variants in result.calibration.kernels.items():
        for variant, fit in variants.items():
            if fit.held_out is not None:
                yield f"{name} {variant}", fit.held_out


def all_reduce(root: Path | None, data: Path | None) -> Iterator[Row]:
    for system, engine in NEWEST:
        fits = calibrate(MACHINES[system], rows(root, "custom_allreduce", system, engine)).calibration.kernels
        for variant, fit in fits["collective"].items():
            assert fit.held_out is not None
            yield Row(f"{variant} {MACHINES[system]} {engine}", 100 * fit.held_out.mean, 15.0)


def layer(root: Path | None, data: Path | None) -> Iterator[Row]:
    if data is None:
        return
    fits = calibrate("dgx-a100", data / "ops_llmcompass.csv", share=0).calibration.kernels
    chip = chip_of(load_system("dgx-a100"))
    whole = read_measured(data / "ops_gpt3_layer_a100x4.csv").rows.reset_index(drop=True)
    seconds = []
    for at in whole.index:
        one = columns(whole.loc[[at]])
        kernel = kernel_of(str(whole.loc[at, "op"]))
        fit = fits[kernel.name][str(np.ravel(kernel.variant(one))[0])]
        seconds.append(float(np.ravel(kernel.seconds(one, chip, kernel.library.model_validate(fit.parameters)))[0]))
    half = len(whole) // 2
    for name, of, target in (("prefill", slice(half), 5.0), ("decode", slice(half, None), 10.0)):
        total = sum(seconds[of]) / whole["value"].to_numpy()[of].sum()
        yield Row(f"GPT-3 layer on 4 A100, {name}, total", 100 * abs(total - 1), target)


CLASSES: Sets = {each.__name__: each for each in (gemm, attention, moe, fp8, fp4, all_reduce, layer, mla, exchange)}


if __name__ == "__main__":
    sys.exit(show(__doc__, CLASSES))
