"""A machine whose figures are known, and the table that measuring it would give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from simulator.validation.fitted.cpu import home, operand_bytes
from simulator.validation.measure.cpu import points
from simulator.validation.measure.disk import CHUNKS, THREADS, bench
from simulator.validation.measure.rows import Point, Row, Sample, append, start

HELD = {"l1": 32 * 2**10, "l2": 2**20, "l3": 32 * 2**20, "dram": 32 * 2**30}


@dataclass(frozen=True)
class Known:
    """Figures of a machine, in SI units."""

    floor: float = 1e-6
    peak: float = 1e11
    packing: tuple[tuple[str, float], ...] = (("l1", 40e9), ("l2", 40e9), ("l3", 30e9), ("dram", 5e9))
    bandwidth: tuple[tuple[str, float], ...] = (("l1", 160e9), ("l2", 160e9), ("l3", 90e9), ("dram", 20e9))
    wait: float = 40e-6
    each: float = 15e-6
    rate: float = 1.5e9

    def cpu(self, point: Point) -> float:
        if point.op == "memory":
            return HELD[point.kernel]
        if point.op == "chase":
            return 30e-9 + {"l1": 0.0, "l2": 2e-9, "l3": 20e-9, "dram": 90e-9}[home(HELD, point.bytes or 0)]
        if point.op == "triad":
            return 2e-7 + 1.5 * (point.bytes or 0) / dict(self.bandwidth)[home(HELD, point.bytes or 0)]
        m, n, k = point.m or 0, point.n or 0, point.k or 0
        if m * n * k <= 1e6:
            return self.floor
        size = operand_bytes(m, n, k, point.dtype)
        return self.floor + size / dict(self.packing)[home(HELD, size)] + 2.0 * m * n * k / self.peak

    def read(self, reads: int, chunk: int, threads: int, span: int = 0) -> float:
        served = self.each + chunk / self.rate
        return reads * max(served, (self.wait + served) / threads)


@pytest.fixture
def known() -> Known:
    return Known()


@pytest.fixture
def table(known: Known, tmp_path: Path) -> Callable[..., Path]:
    """Writes a table: rows that `keep` says, with what `change` makes of their points."""

    def write(keep: Callable[[Point], bool] = lambda point: True, change: dict[str, object] | None = None) -> Path:
        file = tmp_path / "rows.csv"
        start(file)
        storage = bench("a disk", 2**30, 10**12, CHUNKS, THREADS, known.read)
        for point in points("a CPU", HELD, (1, 2), ("fp32",), "a BLAS"):
            time = known.cpu(point)
            if keep(point):
                append(file, Row(replace(point, **(change or {})), Sample(time, time), "a test"))
        for point in storage.points:
            if keep(point):
                append(file, Row(point, storage.sample(point), "a test"))
        return file

    return write
