"""What is measured of a CPU, and what the operating system says of it."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.validation.fitted.cpu import operand_bytes
from simulator.validation.measure import cpu
from simulator.validation.measure.cpu import cpu_bench, points, product, working_sets
from simulator.validation.measure.host import caches, cores, processor
from simulator.validation.measure.rows import Point

HELD = {"l1": 32 * 2**10, "l2": 2**20, "l3": 32 * 2**20, "dram": 32 * 2**30}


def test_points_are_distinct_and_reach_every_memory() -> None:
    made = points("cpu", HELD, (1, 2), ("fp32", "fp64"), "blas")
    assert len(set(made)) == len(made)
    for threads in (1, 2):
        sets = [p.bytes for p in made if (p.op, p.threads) == ("triad", threads)]
        assert min(sets) < HELD["l1"]
        assert max(sets) > 2 * HELD["l3"]
        for dtype in ("fp32", "fp64"):
            products = [p for p in made if (p.op, p.threads, p.dtype) == ("gemm", threads, dtype)]
            sizes = [operand_bytes(p.m, p.n, p.k, dtype) for p in products]
            assert sum(size > 2 * HELD["l3"] for size in sizes) >= 3


@pytest.mark.parametrize("last", [256 * 2**10, 2**20, 8 * 2**20, 33 * 2**20, 512 * 2**20])
def test_no_large_product_has_rows_of_whole_pages(last: int) -> None:
    for point in points("cpu", {"l3": last, "dram": 64 * 2**30}, (1,), ("fp32",), "blas"):
        if point.op == "gemm" and point.k and point.k > 64:
            assert point.n * 4 % 4096
            assert point.k * 4 % 4096


def test_working_sets_stay_within_memory() -> None:
    assert max(working_sets({"l3": 2**30, "dram": 2**31}, 2**30)) <= 2**30
    assert working_sets({"dram": 2**33}, 32 * 2**20)


@pytest.fixture
def blas(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A library that limits threads, and the limits that it was told; points take no time."""
    told: list[int] = []

    def limits(*, limits: int, user_api: str):
        told.append(limits)
        return nullcontext()

    monkeypatch.setitem(sys.modules, "threadpoolctl", SimpleNamespace(threadpool_limits=limits))
    monkeypatch.setattr(cpu, "SECONDS", 0.0)
    monkeypatch.setattr(cpu, "STEPS", 20)
    return told


def test_each_operator_is_measured_with_its_threads(blas: list[int]) -> None:
    bench = cpu_bench((1,))
    for point in (
        Point("cpu", "gemm", "fp32", 4, 5, 6, threads=1),
        Point("cpu", "triad", "fp64", bytes=4096, threads=1),
        Point("cpu", "chase", bytes=4096, threads=1),
    ):
        measured = bench.sample(point)
        assert 0 < measured.least <= measured.value
    assert set(blas) == {1}
    assert processor() == bench.points[0].device
    capacity = next(point for point in bench.points if point.kernel == "dram")
    assert bench.sample(capacity).value > 2**20


def test_a_product_is_one_and_a_chain_meets_every_line() -> None:
    call = product(3, 4, 5, "float32")
    assert call().shape == (3, 4)
    chain = cpu._chase(Point("cpu", "chase", bytes=64 * 50))
    places = next(cell.cell_contents for cell in chain.__closure__ if isinstance(cell.cell_contents, memoryview))
    seen, at = set(), 0
    for _ in range(50):
        at = places[at]
        seen.add(at)
    assert seen == set(range(0, 400, 8))


def test_what_cannot_be_measured_is_told(blas: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=rf"threads: found {cores() + 1}, expected 1 to {cores()}"):
        cpu_bench((cores() + 1,))
    with pytest.raises(ConfigError, match="dtype: found 'bf16', expected one of fp32, fp64"):
        cpu_bench((1,), ("bf16",))
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    with pytest.raises(ConfigError, match=r"measuring needs threadpoolctl: expected pip install 'tiersim\[measure\]'"):
        cpu_bench((1,))


def test_caches_are_those_that_hold_data(tmp_path: Path) -> None:
    for index, (kind, level, size) in enumerate(
        [("Data", "1", "48K"), ("Instruction", "1", "32K"), ("Unified", "2", "2M"), ("Unified", "3", "what")]
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, text in (("type", kind), ("level", level), ("size", size)):
            (folder / name).write_text(text + "\n")
    assert {tier: size for tier, (size, _) in caches(tmp_path).items()} == {"l1": 48 * 2**10, "l2": 2 * 2**20}
    assert caches(tmp_path / "none") == {}
    assert np.isfinite(cores())
