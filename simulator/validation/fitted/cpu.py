"""A CPU and its memories, as an engine and tiers of a machine, from what was measured of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from simulator.errors import ConfigError, warn
from simulator.units import show
from simulator.validation.measure.rows import Row, Sample, of
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT

Statistic: TypeAlias = Callable[[Sample], float]
Section: TypeAlias = dict[str, object]

ELEMENT: dict[str, float] = {**dict(BYTES_PER_ELEMENT.items()), "fp64": 8.0}
SMALL = 1e6
"""Multiply-adds up to which a BLAS multiplies in place (OpenBLAS's kernels for small matrices, `m n k <= 100^3`)."""

OWN = "l1"
"""The cache that a BLAS cuts its products for: what it gives is in the peak rate that they reach, and it is no tier of
its own, unless it is the only cache."""

FEWEST = 3
"""Rows that each figure needs at least."""


def fitted_cpu(
    file: Path, rows: Sequence[Row], threads: int, statistic: Statistic, source: str
) -> tuple[Section, Section]:
    """The tiers and the engine, as sections of a machine's YAML.

    With `t0` the time of the smallest product, m x n x k takes `t0 + (bytes of operands) / packing + 2 m n k / peak`:
    least squares of the relative error, none of the terms below 0. `packing` is that of the innermost memory that holds
    the operands. Bandwidths are of triads, capacities the operating system's. A latency is what a step of a chain
    takes beyond the shortest. Warns where the figures miss many of the products (`tell_misfit`).

    Raises:
        ConfigError: fewer rows than a figure needs; no capacities; times that do not grow with the operations.
    """
    held = {row.point.kernel: row.sample.value for row in of(rows, "memory")}
    if "dram" not in held:
        expected = "rows of 'memory', as 'tiersim measure cpu' writes them"
        raise ConfigError("too few rows", file=file, found="no capacity of 'dram'", expected=expected)
    caches = {tier: size for tier, size in held.items() if tier != OWN}
    tiers = dict(sorted((caches if len(caches) > 1 else held).items(), key=lambda item: item[1]))
    own = [row for row in rows if row.point.threads == threads]
    products = [row for row in of(own, "gemm")]
    floor = min((statistic(row.sample) for row in products if _work(row) <= SMALL), default=None)
    large = [row for row in products if _work(row) > SMALL and 1 not in (row.point.m, row.point.n)]
    needed = FEWEST + len({row.point.dtype for row in large})
    if floor is None or len(large) < needed:
        found = f"{len(large)} products of {threads} threads" + ("" if floor else ", none of them small")
        raise ConfigError("too few rows", file=file, found=found, expected=f"{needed} and a small one, of 'gemm'")
    peaks, packing, off = _products(large, tiers, floor, statistic)
    if not all(np.isfinite(list(peaks.values()))):
        found, expected = "times that do not grow with the operations", "products of a machine that does nothing else"
        raise ConfigError("no peak rate follows from 'gemm'", file=file, found=found, expected=expected)
    tell_misfit(file, "products", off)
    rates = _bandwidths(file, list(of(own, "triad")), tiers, statistic)
    waits = _latencies(list(of(rows, "chase")), tiers, statistic)

    def figure(value: float, unit: str, of: str) -> Section:
        return {"value": show(value, unit), "source": f"{source}: {of}", "role": "calibration"}

    memories: Section = {}
    for tier, size in tiers.items():
        memories[tier] = {
            "kind": "ddr" if tier == "dram" else "cache",
            "capacity": {"value": f"{size:.0f} B", "source": "the operating system", "role": "input"},
            "bandwidth": figure(rates[tier], "B/s", "triads y = a x + y within it"),
            "latency": figure(waits[tier], "s", "a step of a chain of indices, less the shortest"),
        }
    reads: Section = {}
    for tier in tiers:
        reads[tier] = {}
        if tier in packing:
            reads[tier] = {"packing": figure(packing[tier], "B/s", "products whose operands lie in it")}
    engine: Section = {
        "kind": "cpu",
        "peak": {dtype: figure(rate, "FLOP/s", f"products, {dtype}, as reached") for dtype, rate in peaks.items()},
        "launch_overhead": figure(floor, "s", "the smallest product"),
        "reads": reads,
    }
    return memories, engine


def tell_misfit(file: Path, what: str, off: NDArray[np.float64]) -> None:
    """Warn where figures miss more than a tenth of the rows that they were made of by more than half.

    Args:
        file: the table.
        what: the rows are.
        off: computed time over measured, less 1.
    """
    missed = int(np.sum(np.abs(off) > 0.5))
    if missed > len(off) / 10:
        found, expected = f"{missed} of {len(off)} {what} off by more than half", "a machine that does nothing else"
        warn(ConfigError("figures that explain little", file=file, found=found, expected=expected))


def home(tiers: Mapping[str, float], size: float) -> str:
    """The innermost memory that holds so many bytes; the outermost where none does."""
    return next((tier for tier, capacity in tiers.items() if size <= capacity), list(tiers)[-1])


def operand_bytes(m: int, n: int, k: int, dtype: str) -> float:
    """Bytes of the three matrices of a product."""
    return ELEMENT[dtype] * (m * k + k * n + m * n)


def _work(row: Row) -> float:
    point = row.point
    return float((point.m or 0) * (point.n or 0) * (point.k or 0))


def _products(
    rows: Sequence[Row], tiers: Mapping[str, float], floor: float, statistic: Statistic
) -> tuple[dict[str, float], dict[str, float], NDArray[np.float64]]:
    """Peak rates by dtype; rates of packing by tier, where that takes any time; and what each row is off."""
    sizes = [operand_bytes(row.point.m or 0, row.point.n or 0, row.point.k or 0, row.point.dtype) for row in rows]
    homes = [home(tiers, size) for size in sizes]
    dtypes = list(dict.fromkeys(row.point.dtype for row in rows))
    packed = [tier for tier in tiers if homes.count(tier) >= FEWEST]
    times = np.array([statistic(row.sample) for row in rows])
    terms = np.zeros((len(rows), len(packed) + len(dtypes)))
    for index, (row, size, tier) in enumerate(zip(rows, sizes, homes, strict=True)):
        if tier in packed:
            terms[index, packed.index(tier)] = size
        terms[index, len(packed) + dtypes.index(row.point.dtype)] = 2 * _work(row)
    scale = terms.max(axis=0)
    inverse = nnls(terms / scale / times[:, None], 1 - floor / times)[0] / scale
    packing = {tier: 1 / float(each) for tier, each in zip(packed, inverse, strict=False) if each > 0}
    ends = zip(dtypes, inverse[len(packed) :].tolist(), strict=True)
    peaks = {dtype: 1 / each if each else inf for dtype, each in ends}
    return peaks, packing, (floor + terms @ inverse) / times - 1


def _bandwidths(file: Path, rows: Sequence[Row], tiers: Mapping[str, float], statistic: Statistic) -> dict[str, float]:
    """Bytes/s of each tier: `1.5 bytes / (t - t0)`, the median over its triads, t0 being what a call takes.

    t0 is where the line through the two smallest working sets meets nothing. An inner memory is at least as fast as the
    next.
    """
    known = sorted({row.point.bytes or 0: statistic(row.sample) for row in rows}.items())
    if len(known) < FEWEST:
        raise ConfigError("too few rows", file=file, found=f"{len(known)} of 'triad'", expected=f"{FEWEST} or more")
    (small, first), (larger, second), *_ = known
    call = float(np.clip(first - (second - first) / (larger - small) * small, 0, 0.9 * first))
    bandwidths: dict[str, float] = {}
    least = 0.0
    for tier in reversed(list(tiers)):
        rates = [1.5 * size / (time - call) for size, time in known if home(tiers, size) == tier]
        if not rates and not bandwidths:
            last = max((size for name, size in tiers.items() if name != tier), default=0.0)
            lacks, expected = f"no 'triad' of more than {show(last, 'B')}", "one that no cache holds"
            raise ConfigError("too few rows", file=file, found=lacks, expected=expected)
        least = max(least, float(np.median(rates)) if rates else least)
        bandwidths[tier] = least
    return bandwidths


def _latencies(rows: Sequence[Row], tiers: Mapping[str, float], statistic: Statistic) -> dict[str, float]:
    """Seconds of each tier: the median over its chains, less the least of all, which is Python's step."""
    known = [(row.point.bytes or 0, statistic(row.sample)) for row in rows]
    least = min((time for _, time in known), default=0.0)
    latencies: dict[str, float] = {}
    wait = 0.0
    for tier in tiers:
        steps = [time for size, time in known if home(tiers, size) == tier]
        wait = max(wait, float(np.median(steps)) - least if steps else wait)
        latencies[tier] = wait
    return latencies
