"""The class of matrix products among the kernels of a GPU: what rows of a table ask for, timed by `gemm.py`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simulator.mapping.gpu.chip import Chip, width
from simulator.mapping.gpu.gemm import GemmLibrary, gemm_parts, gemm_seconds
from simulator.mapping.gpu.kernel import Array, GpuKernel, Shapes, column, text

COMPUTES = {"fp8_block": "fp8", "nvfp4": "fp4"}
"""Formats by the names of data whose scales are of blocks."""
FEW = 32
"""Rows below which products with scales of blocks have a kernel of their own."""


def _variant(shapes: Shapes) -> Any:
    """The format; with scales of blocks, whether there are few rows, or no whole blocks: kernels of their own each."""
    dtype, m, n, k = (text(shapes, "dtype", "bf16"), *(column(shapes, name) for name in ("m", "n", "k")))
    odd = (n % 64 > 0) | (k % 128 > 0)
    kind = np.select([odd, m < FEW], [" odd", " few"], "")
    return np.char.add(dtype.astype(str), np.where(dtype == "fp8_block", kind, ""))


class _Products(NamedTuple):
    """Products of a table: their shape, how many are one kernel, how many kernels one after another; their format."""

    m: Array
    n: Array
    k: Array
    together: Array
    times: Array
    dtype: str
    stored: float | None
    warm: bool
    launched: Array


def _products(shapes: Shapes) -> _Products:
    """A `batched_gemm` has `batch` (times `heads`) products in one kernel, a `grouped_gemm` one for each of `experts`,
    all of `m` rows; another with a `batch` is that many kernels. `count` products of either are one kernel.

    `stored` are bytes of an element of the weights, `warm` is 0 where no call before left them in L2, and `launched`
    where what a host takes to launch them is told apart.
    """
    m, n, k = (column(shapes, name) for name in ("m", "n", "k"))
    op = text(shapes, "op", "gemm").astype(str)
    batched, grouped = np.char.startswith(op, "batched"), np.char.startswith(op, "grouped")
    batch = column(shapes, "batch", 1.0)
    count = column(shapes, "count", 1.0) * np.where(batched, batch * column(shapes, "heads", 1.0), 1.0)
    count = np.where(grouped, column(shapes, "experts", 1.0), count)
    dtype = str(np.ravel(text(shapes, "dtype", "bf16"))[0])
    warm = bool(np.all(column(shapes, "warm", 1.0)))
    times = np.where(batched, 1.0, batch)
    return _Products(m, n, k, count, times, _format(dtype), shapes.get("stored"), warm, column(shapes, "launched", 1.0))


def _gemms(shapes: Shapes, chip: Chip, library: GemmLibrary) -> Array:
    p = _products(shapes)
    once = gemm_seconds(p.m, p.n, p.k, chip, library, p.dtype, count=p.together, warm=p.warm, stored=p.stored)
    seconds: Array = p.times * np.maximum(once, _host(p, library))
    return seconds


def _host(p: _Products, library: GemmLibrary) -> Array:
    """Seconds of the host that launches a product, where one does."""
    return p.launched * (library.host if library.launch == "host" else 0.0)


def _gemms_parts(shapes: Shapes, chip: Chip, library: GemmLibrary) -> dict[str, Array]:
    p = _products(shapes)
    parts = gemm_parts(p.m, p.n, p.k, chip, library, p.dtype, count=p.together, warm=p.warm)
    host = _host(p, library)
    parts["host"] = np.where(_gemms(shapes, chip, library) > p.times * host, 0.0, host)
    return {name: p.times * value for name, value in parts.items()}


def _work_of(shapes: Shapes) -> tuple[Array, Array]:
    p = _products(shapes)
    number = p.together * p.times
    moved = width(p.dtype) * (p.m * p.k + p.k * p.n) + 2.0 * p.m * p.n
    return 2 * number * p.m * p.n * p.k, number * moved


def _fixed(variant: str) -> tuple[str, ...]:
    """Operands of 16 bits are not quantised, and their products are cuBLAS's; scales of blocks are summed by steps."""
    if width(_format(variant)) >= 2:
        return ("quantised", "convert", "row", "tile", "wave", "step", "alone", "launch", "host")
    return () if variant.startswith("fp8_block") else ("step", "alone")


def _format(variant: str) -> str:
    name = variant.partition(" ")[0]
    return COMPUTES.get(name, name)


GEMM = GpuKernel(
    "gemm",
    GemmLibrary,
    ("gemm", "batched_gemm", "grouped_gemm"),
    ("m", "n", "k"),
    _variant,
    _gemms,
    _gemms_parts,
    _work_of,
    fixed=_fixed,
)
