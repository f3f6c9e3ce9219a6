"""The two forms of measured data, one row a measured value: of an operator, and of a run from end to end. All is SI."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.config import ROLES
from simulator.errors import nearest, one_of

if TYPE_CHECKING:
    import pandas as pd

OPERATORS = (
    "source", "device", "op", "dtype", "m", "n", "k", "batch", "heads", "kv_heads", "head_dim", "seq_q", "seq_kv",
    "experts", "top_k", "bytes", "n_devices", "metric", "value", "unit",
)  # fmt: skip
"""Of an operator: a product (m x k)(k x n) with the shapes of one device; m rows of n elements, row-wise; m tokens
through experts of width n and input k; `bytes`, the payload of a rank; `n_devices`, those that share the layer or the
collective."""

RUNS = (
    "source", "url", "device", "n_devices", "tp", "pp", "ep", "model", "engine", "dtype", "kv_dtype", "phase", "batch",
    "input_len", "output_len", "metric", "value", "unit",
)  # fmt: skip
"""Of a run: `phase` is prefill, decode, e2e, offline or server; lengths are tokens a sequence."""

NUMBERS = frozenset({
    "m", "n", "k", "batch", "heads", "kv_heads", "head_dim", "seq_q", "seq_kv", "experts", "top_k", "bytes",
    "n_devices", "tp", "pp", "ep", "input_len", "output_len", "value", "window", "matrices", "latent",
    "rope", "absorbed",
})  # fmt: skip
"""Columns of numbers; an empty cell is not stated, or does not apply."""

UNITS = {
    "latency": "s", "ttft": "s", "tpot": "s", "throughput": "token/s", "throughput_output": "token/s",
    "throughput_output_per_gpu": "token/s", "throughput_samples": "sample/s", "flops": "FLOP/s", "bandwidth": "B/s",
    "iops": "1/s", "avg_power": "W",
}  # fmt: skip
"""The unit that each metric is given in; `_p50`, `_p90`, `_p99` after its name are percentiles of it."""

BYTES = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5, "int4": 0.5}
"""Bytes an element of the types by their plain names; others have scales beside them."""


@dataclass(frozen=True)
class Problem:
    """A cell that cannot be used: the index of its row, its column, what is wrong and what was expected."""

    row: int
    column: str
    found: str
    expected: str
    nearest: str | None = None


def arranged(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns of its form first, those that it lacks empty: of `RUNS` where it names models."""
    columns = RUNS if "model" in frame else OPERATORS
    return frame.reindex(columns=[*columns, *(name for name in frame if name not in columns)])


def problems(frame: pd.DataFrame) -> list[Problem]:
    """The cells of a table that cannot be used, by row: no number, a negative one, an unknown metric, another unit."""
    import pandas as pd

    wrong = []
    for column in NUMBERS & set(frame.columns):
        numbers = pd.to_numeric(frame[column], errors="coerce").to_numpy(float)
        stated = frame[column].notna().to_numpy()
        allowed = "a number above 0" if column == "value" else "a number, at least 0"
        bad = stated & ~(np.isfinite(numbers) & (numbers >= 0)) | (~stated if column == "value" else False)
        wrong += [Problem(int(row), column, _cell(frame[column].iloc[row]), allowed) for row in np.flatnonzero(bad)]
    pairs = frame[["metric", "unit"]].astype(str).reset_index(drop=True)
    kinds: dict[Any, Any] = pairs.groupby(["metric", "unit"], sort=False).indices
    for (metric, unit), rows in kinds.items():
        expected = UNITS.get(plain(metric))
        if expected is None:
            known, near = f"one of {', '.join(UNITS)}", nearest(metric, UNITS)
            wrong += [Problem(int(row), "metric", f"'{metric}'", known, near) for row in rows]
        elif unit != expected:
            wrong += [Problem(int(row), "unit", f"'{unit}'", f"'{expected}'") for row in rows]
    if "role" in frame:
        strange = ~frame["role"].isin(ROLES).to_numpy()
        expected = one_of(ROLES)
        wrong += [
            Problem(int(row), "role", _cell(frame["role"].iloc[row]), expected) for row in np.flatnonzero(strange)
        ]
    for column in ("device", "model" if "model" in frame else "op"):
        empty = frame[column].isna().to_numpy()
        wrong += [Problem(int(row), column, "nothing", f"a name of a {column}") for row in np.flatnonzero(empty)]
    return sorted(wrong, key=lambda problem: (problem.row, problem.column))


def plain(metric: str) -> str:
    """A metric without its percentile: `ttft` of `ttft_p99`."""
    return re.sub(r"_p\d+$", "", metric)


def tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """The table arranged, and its numbers as numbers."""
    import pandas as pd

    frame = arranged(frame)
    for column in NUMBERS & set(frame.columns):
        frame[column] = pd.to_numeric(frame[column]).astype(float)
    return frame


def _cell(value: object) -> str:
    return "nothing" if value is None or value != value else f"'{value}'"
