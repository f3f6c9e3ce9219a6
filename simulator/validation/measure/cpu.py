"""Measures a CPU: matrix products by shape and threads, and memories by working set.

A product is numpy's, of C-ordered matrices, which its BLAS computes. `triad` is `y = a x + y` (BLAS's axpy: two numbers
read and one written, as the triad of STREAM has it) over two vectors that fill the working set. `chase` follows a chain
of indices, one a cache line, in an order at random: a step of Python's, and what the memory takes to give the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isqrt
from typing import Any

import numpy as np

from simulator.errors import ConfigError
from simulator.extra import imported
from simulator.validation.measure.host import capacities, cores, processor
from simulator.validation.measure.rows import Point, Sample
from simulator.validation.measure.run import Bench
from simulator.validation.measure.sample import sampled

SECONDS = 0.4
"""How long a point is repeated."""

LINE = 64
"""Bytes of a cache line."""

STEPS = 2000
"""Steps of a chain that are timed together."""

DTYPES = {"fp32": "float32", "fp64": "float64"}
"""What numpy's BLAS computes in, and numpy's names."""

SHAPES = (
    (8, 8, 8), (16, 440, 440), (32, 320, 320), (100, 300, 350), (64, 250, 250), (256, 200, 200),
    (2, 1000, 1000), (8, 1000, 1000), (32, 1000, 1000), (128, 1000, 1000), (16, 1500, 900), (64, 700, 1400),
    (1000, 1000, 16), (1000, 1000, 64), (1000, 32, 1000), (500, 500, 500), (300, 700, 700), (900, 600, 300),
)  # fmt: skip
"""Products (m, n, k) within the caches of most machines. No dimension is a power of two: rows that lie a multiple of a
page apart fall into the same few places of a cache, and such a product takes up to four times as long."""

OUTSIDE = (8, 32, 64)
"""Rows of products whose weights no cache holds."""


def cpu_bench(threads: Sequence[int] = (), dtypes: Sequence[str] = ("fp32",)) -> Bench:
    """The CPU of the machine at hand, with so many threads: with one and with all cores, unless given.

    Raises:
        ConfigError: more threads than cores, or a dtype that no BLAS computes in; threadpoolctl is not installed.
    """
    most = cores()
    threads = tuple(threads) or tuple(dict.fromkeys((1, most)))
    for count in threads:
        if not 1 <= count <= most:
            raise ConfigError(path="threads", found=count, expected=f"1 to {most}, the cores at hand")
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise ConfigError(path="dtype", found=f"'{dtype}'", expected=f"one of {', '.join(DTYPES)}")
    limited = imported("threadpoolctl", "measure", "measuring").threadpool_limits
    held = capacities()
    runs: dict[str, Callable[[Point], Callable[[], object]]] = {"gemm": _gemm, "triad": _triad, "chase": _chase}

    def sample(point: Point) -> Sample:
        if point.metric == "capacity":
            size = float(held[point.kernel][0])
            return Sample(size, size)
        with limited(limits=point.threads, user_api="blas"):
            measured = sampled(runs[point.op](point), SECONDS)
        if point.op != "chase":
            return measured
        return Sample(measured.value / STEPS, measured.least / STEPS, measured.spread, measured.repeats)

    sizes = {tier: size for tier, (size, _) in held.items()}
    source = f"measured by tiersim with numpy {np.__version__}, {_library()}; capacities from the operating system"
    return Bench(source, points(processor(), sizes, threads, dtypes, f"numpy {np.__version__}, {_library()}"), sample)


def points(
    device: str, held: Mapping[str, int], threads: Sequence[int], dtypes: Sequence[str], engine: str
) -> list[Point]:
    """What is measured of a CPU whose memories hold so many bytes, innermost first: products, triads, chains."""
    cached = [size for tier, size in held.items() if tier != "dram"]
    last = max(cached, default=32 * 2**20)
    made = [
        Point(device, "memory", bytes=None, n_devices=None, metric="capacity", kernel=tier, engine=engine)
        for tier in held
    ]
    made += [Point(device, "chase", bytes=size, threads=1, engine=engine) for size in working_sets(held, last)]
    for count in threads:
        made += [
            Point(device, "triad", "fp64", bytes=size, threads=count, engine=engine)
            for size in working_sets(held, last)
        ]
        for dtype in dtypes:
            width = _width(last, np.dtype(DTYPES[dtype]).itemsize)
            shapes = (*SHAPES, *((rows, width, width) for rows in OUTSIDE))
            made += [Point(device, "gemm", dtype, m=m, n=n, k=k, threads=count, engine=engine) for m, n, k in shapes]
    return made


def working_sets(held: Mapping[str, int], last: int) -> list[int]:
    """Bytes of working sets, rising: a quarter, a half and three quarters of each cache, and beyond the last."""
    inner = [size * quarters // 4 for tier, size in held.items() if tier != "dram" for quarters in (1, 2, 3)]
    room = held.get("dram", 64 * last)
    outer = [size for size in (4 * last, 6 * last) if size <= room // 4] or [room // 4]
    return sorted({size // 128 * 128 for size in (*inner, *outer) if size >= 4096})


def _width(last: int, element: int) -> int:
    """The width of a square matrix of 2.5 times the last cache: a multiple of 40 that is none of 16."""
    width = isqrt(5 * last // (2 * element)) // 40 * 40
    return width + 40 if width % 16 == 0 else width


def _gemm(point: Point) -> Callable[[], object]:
    assert point.m and point.n and point.k
    return product(point.m, point.n, point.k, DTYPES[point.dtype])


def product(m: int, n: int, k: int, dtype: str) -> Callable[[], object]:
    """A call that multiplies two matrices of random numbers, m x k and k x n, into a third."""
    draw = np.random.default_rng(0)
    a, b = draw.random((m, k)).astype(dtype), draw.random((k, n)).astype(dtype)
    out = np.empty((m, n), dtype)
    return lambda: np.matmul(a, b, out=out)


def _triad(point: Point) -> Callable[[], object]:
    from scipy.linalg import blas

    assert point.bytes
    x, y = (np.ones(point.bytes // 16) for _ in range(2))
    return lambda: blas.daxpy(x, y, a=1e-9)


def _chase(point: Point) -> Callable[[], object]:
    assert point.bytes
    lines, stride = point.bytes // LINE, LINE // 8
    order = np.random.default_rng(0).permutation(lines) * stride
    chain = np.zeros(lines * stride, dtype=np.int64)
    chain[order] = np.roll(order, -1)
    follow, place = chain.data, [int(order[0])]

    def steps() -> None:
        at = place[0]  # goes on where the last steps ended, in lines that have left the caches since
        for _ in range(STEPS):
            at = follow[at]
        place[0] = at

    return steps


def _library() -> str:
    """The BLAS of numpy, with its version."""
    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'BLAS')} {blas.get('version', '')}".strip()
