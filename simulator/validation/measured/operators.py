"""Measured operators on a machine: what each asks of it by its shape, and the roofline of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.core import Plan, closed_form
from simulator.core.account import bound_by
from simulator.errors import TiersimError
from simulator.hardware import System
from simulator.mapping.gpu.kernels import KERNELS, kernel_of
from simulator.mapping.gpu.row_wise import MOVED
from simulator.mapping.kernels.kernels import Kernel
from simulator.mapping.lowering import kernel_activity
from simulator.mapping.parallel.collective import collective
from simulator.mapping.target import target
from simulator.workload import Operator

if TYPE_CHECKING:
    import pandas as pd

Numbers = NDArray[np.float64]

FORMATS = {
    "fp32": ("fp32", 4.0, 4.0), "tf32": ("tf32", 4.0, 4.0), "bf16": ("bf16", 2.0, 2.0), "fp16": ("fp16", 2.0, 2.0),
    "fp8": ("fp8", 1.0, 1.0), "fp8_block": ("fp8", 1.0, 1.0), "int8": ("int8", 1.0, 1.0), "sq": ("int8", 1.0, 1.0),
    "int8_wo": ("bf16", 1.0, 2.0), "int4_wo": ("bf16", 0.5, 2.0), "w4a16_mxfp4": ("bf16", 0.53125, 2.0),
    "nvfp4": ("fp4", 0.5625, 0.5625),
}  # fmt: skip
"""What a type of the data computes in, and its bytes a weight and an activation, scales of blocks with them."""

WIDE = 2.0  # bytes an element of what an operator in a narrow type writes


@dataclass(frozen=True)
class Work:
    """What operators of one type ask of one device: FLOPs, and bytes read and written, of each of them."""

    flops: Numbers
    read: Numbers
    written: Numbers


def class_of(op: str) -> str:
    """The class of an operator by its name; '' where no model covers it."""
    try:
        return kernel_of(op).name
    except TiersimError:
        return ""


def operator_times(rows: pd.DataFrame, system: System) -> pd.DataFrame:
    """The roofline of measured operators: `time_s`, what binds (`bound_by`), and `error` where there is none.

    The index of the rows must be unique. One kernel each, with the launch overhead and the achieved fractions of the
    machine; a collective, over its links.
    """
    import pandas as pd

    answer = pd.DataFrame({"time_s": nan, "bound_by": "", "error": "no model of the operator"}, index=rows.index)
    collectives = rows["op"].str.extract(_COLLECTIVE)[0]
    kinds = [rows["op"].map(class_of), collectives, rows["dtype"], rows["n_devices"].fillna(1.0)]
    groups: Any = rows.groupby(kinds, dropna=False, sort=False)
    for (kind, _, dtype, devices), group in groups:
        if not kind:
            continue
        stated = group[group[list(KERNELS[kind].shape)].notna().all(axis=1)]
        answer.loc[group.index, "error"] = "a shape is not stated"
        if stated.empty:
            continue
        try:
            plan = _plan(stated, kind, dtype, int(devices), system)
        except TiersimError as error:
            answer.loc[group.index, "error"] = str(error)
            continue
        answer.loc[stated.index, "time_s"] = closed_form(plan).time
        answer.loc[stated.index, "bound_by"] = bound_by(plan)
        answer.loc[stated.index, "error"] = ""
    return answer


def work_of(rows: pd.DataFrame, kind: str, dtype: str) -> Work:
    """What operators of one class and type ask.

    A product (m x k)(k x n) is 2 m n k FLOPs; attention 4 d a head and a pair of query and key that it sees; an expert
    FFN three products, or as many as `matrices` says, with the experts that tokens reach when each chooses alike,
    `E (1 - (1 - k / E)^m)`.
    """
    if kind in _WORK:
        return _WORK[kind](rows, FORMATS[dtype][1], FORMATS[dtype][2])
    flops, moved = KERNELS[kind].work({str(name): rows[name].to_numpy() for name in rows if rows[name].notna().any()})
    return Work(flops, moved, np.zeros_like(moved))


def activated(rows: pd.DataFrame) -> pd.Series:
    """How many experts tokens reached, of operators whose names say so; NaN of others."""
    return rows["op"].str.extract(r"_activated_(\d+)$")[0].astype(float)


def in_seconds(rows: pd.DataFrame) -> pd.Series:
    """Seconds of measured operators: those given as a rate of FLOPs, by what `work_of` counts; NaN of other metrics.

    A bandwidth of a copy is its bytes over the time.
    """
    seconds = rows["value"].where(rows["metric"] == "latency")
    copies = rows["metric"].eq("bandwidth") & rows["op"].map(class_of).eq("copy")
    seconds = seconds.mask(copies, rows["bytes"] / rows["value"])
    rates = rows[rows["metric"] == "flops"]
    for (kind, dtype), group in rates.groupby([rates["op"].map(class_of), rates["dtype"]], sort=False):
        if kind in _WORK and dtype in FORMATS:
            seconds.loc[group.index] = work_of(group, kind, dtype).flops / group["value"]
    return seconds


def _plan(rows: pd.DataFrame, kind: str, dtype: Any, devices: int, system: System) -> Plan:
    """One operator after another, as arrays, of one class and type."""
    plan = Plan(kind)
    if kind == "collective":
        nodes = max(1, devices // 8)
        device, _ = system.device()
        sized = system.put({"nodes": nodes, f"devices.{device}.count": devices // nodes})
        size = rows["bytes"].to_numpy(float)
        for phase in collective(sized, device, size, rows["op"].str.extract(_COLLECTIVE)[0].iloc[0]):
            plan.add(phase)
        return plan
    if dtype not in FORMATS:
        raise TiersimError(f"no type '{dtype}'")
    work, compute = work_of(rows, kind, dtype), FORMATS[dtype][0]
    runs_on = target(system.with_devices(1), dtype=compute)
    operator = Operator(kind, "gemm", work.flops, {}, compute)
    plan.add(kernel_activity(runs_on, Kernel(kind, (operator,), work.read, work.written, work.read, ())))
    return plan


def _gemm(rows: pd.DataFrame, weight: float, activation: float) -> Work:
    m, n, k = (_column(rows, name) for name in ("m", "n", "k"))
    batch = _column(rows, "batch", 1.0) * _column(rows, "heads", 1.0) * _column(rows, "experts", 1.0)
    read = batch * (m * k * activation + k * n * weight)
    return Work(2 * batch * m * n * k, read, batch * m * n * max(activation, WIDE))


def _attention(rows: pd.DataFrame, weight: float, activation: float) -> Work:
    batch, heads, width = (_column(rows, name) for name in ("batch", "heads", "head_dim"))
    queries, keys = _column(rows, "seq_q"), _column(rows, "seq_kv")
    window = np.minimum(_column(rows, "window", inf), keys) if "window" in rows else keys
    window = np.where(window > 0, window, keys)
    causal = rows["op"].str.contains("causal|decode").to_numpy(bool)
    growing = np.clip(window - (keys - queries), 0, queries)  # queries that see one key more than the one before
    first = keys - queries + 1
    ramp = growing * first + growing * (growing - 1) / 2 + (queries - growing) * window
    pairs = np.where(causal, ramp, queries * keys)
    kept = rows["kv_dtype"].map(_kv_bytes).to_numpy(float) if "kv_dtype" in rows else activation
    cached = 2 * batch * _column(rows, "kv_heads") * np.minimum(keys, window + queries - 1) * width * kept
    tokens = batch * queries * heads * width
    return Work(4 * batch * heads * width * pairs, tokens * activation + cached, tokens * max(activation, WIDE))


def _moe(rows: pd.DataFrame, weight: float, activation: float) -> Work:
    m, n, k, experts, top_k = (_column(rows, name) for name in ("m", "n", "k", "experts", "top_k"))
    tp, ep = (_column(rows, name, 1.0) if name in rows else np.ones(len(rows)) for name in ("tp", "ep"))
    active = activated(rows).to_numpy()
    reached = np.where(np.isnan(active), experts * (1 - (1 - top_k / experts) ** m), active) / ep
    rows_in = m * top_k / ep
    matrices = _column(rows, "matrices", 3.0) if "matrices" in rows else 3.0
    weights = matrices * reached * (n / tp) * k * weight
    return Work(2 * matrices * rows_in * (n / tp) * k, weights + m * k * WIDE, m * k * WIDE)


def _row_wise(rows: pd.DataFrame, weight: float, activation: float) -> Work:
    elements = _column(rows, "m") * _column(rows, "n")
    moved = rows["op"].map(lambda op: next((MOVED[name] for name in MOVED if op.startswith(name)), 2.0)).to_numpy(float)
    return Work(np.zeros(len(rows)), elements * WIDE * moved / 2, elements * WIDE * moved / 2)


def _column(rows: pd.DataFrame, name: str, default: float = nan) -> Numbers:
    return rows[name].fillna(default).to_numpy(float)


def _kv_bytes(dtype: object) -> float:
    return FORMATS[dtype][2] if dtype in FORMATS else WIDE


_WORK: dict[str, Callable[[Any, float, float], Work]] = {
    "gemm": _gemm,
    "attention_prefill": _attention,
    "attention_decode": _attention,
    "moe": _moe,
    "row_wise": _row_wise,
}
_COLLECTIVE = r"^(all_reduce|all_gather|reduce_scatter|all_to_all)"
