"""The check of a machine: what it predicts comes from the cost model, for work that was not measured."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from simulator.core import closed_form
from simulator.core.events import events
from simulator.errors import ConfigError
from simulator.validation.fitted import check as check_
from simulator.validation.fitted.chain import chain, chain_graph, chain_plan, chain_seconds
from simulator.validation.fitted.check import READS, ROWS, WIDTHS, check, check_machine
from simulator.validation.fitted.cpu import operand_bytes
from simulator.validation.fitted.fit_machine import fit_machine
from simulator.validation.measure.cpu import OUTSIDE, SHAPES
from simulator.validation.measure.disk import CHUNKS, THREADS
from simulator.validation.measure.rows import Sample
from tests.validation.fitted.conftest import Known

PRODUCTS = [(ROWS, n, k) for k, n in pairwise(WIDTHS)]


@pytest.fixture
def host(table: Callable[..., Path], tmp_path: Path):
    """The machine that was made of the known one."""
    return fit_machine(table(), tmp_path / "host.yaml")


def test_what_is_checked_was_not_measured() -> None:
    assert not set(PRODUCTS) & set(SHAPES)
    assert ROWS not in OUTSIDE
    assert not {chunk for chunk, _ in READS} & set(CHUNKS)
    assert {threads for _, threads in READS} - set(THREADS)


def test_a_chain_has_the_work_of_its_products_and_numpy_computes_it() -> None:
    totals = chain_graph(ROWS, WIDTHS, "fp32").totals()
    assert totals.flops == sum(2.0 * m * n * k for m, n, k in PRODUCTS)
    assert sum(totals.bytes.values()) == sum(operand_bytes(m, n, k, "fp32") for m, n, k in PRODUCTS)
    last = chain(3, (4, 5, 2), "fp32")
    last()
    outputs = [cell.cell_contents for cell in last.__closure__ if isinstance(cell.cell_contents, list)]
    (weights, made) = sorted(outputs, key=lambda arrays: arrays[0].shape != (4, 5))
    first = next(cell.cell_contents for cell in last.__closure__ if isinstance(cell.cell_contents, np.ndarray))
    np.testing.assert_allclose(made[-1], first @ weights[0] @ weights[1], rtol=1e-5)


def test_a_chain_takes_launches_packing_and_products(host, known: Known) -> None:
    """From the cache that holds the weights of all, and event by event as long."""
    sizes = sum(operand_bytes(*product, "fp32") for product in PRODUCTS)
    flops = sum(2.0 * m * n * k for m, n, k in PRODUCTS)
    expected = len(PRODUCTS) * known.floor + sizes / dict(known.packing)["l3"] + flops / known.peak
    assert chain_seconds(host, ROWS, WIDTHS, "fp32") == pytest.approx(expected, rel=0.01)
    plan = chain_plan(host, ROWS, WIDTHS, "fp32")
    assert events(plan).time == pytest.approx(closed_form(plan).time, rel=1e-9)
    large = chain_seconds(host, ROWS, (5000, 5000), "fp32")  # no cache holds it
    assert large > operand_bytes(ROWS, 5000, 5000, "fp32") / dict(known.packing)["dram"]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, host) -> list[int]:
    """Chains that take what is predicted, and a tenth more in the median; and the threads that they were limited to."""
    limits: list[int] = []

    def limited(*, limits: int, user_api: str):
        threads.append(limits)
        return nullcontext()

    threads = limits
    time = chain_seconds(host, ROWS, WIDTHS, "fp32")
    monkeypatch.setitem(sys.modules, "threadpoolctl", SimpleNamespace(threadpool_limits=limited))
    monkeypatch.setattr(check_, "sampled", lambda call, seconds: Sample(1.1 * time, time))
    return limits


def test_a_machine_that_is_true_has_no_error(host, known: Known, measured: list[int]) -> None:
    told: list[int] = []
    checks = check(host, known.read, 2, progress=lambda title, done, total: told.append(done))
    products, reads, *parts = checks
    assert [each.part for each in checks] == [False, False, *[True] * len(READS)]
    assert products.error == pytest.approx(0, abs=1e-9)
    assert reads.error == pytest.approx(0, abs=0.01)
    assert all(abs(part.error) < 0.02 for part in parts)
    assert reads.predicted == pytest.approx(sum(part.predicted for part in parts))
    assert measured == [2]
    assert told == list(range(1, check_.ROUNDS + 1))
    assert check(host, None, 1, "median")[0].error == pytest.approx(1 / 1.1 - 1)


def test_a_machine_that_is_not_is_off_by_as_much(host, known: Known, measured: list[int]) -> None:
    checks = check(host, lambda reads, chunk, threads: 2 * known.read(reads, chunk, threads), 1)
    assert checks[1].error == pytest.approx(-0.5, abs=0.01)


def test_a_machine_without_a_disk_has_no_reads(
    table: Callable[..., Path], known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = fit_machine(table(lambda point: point.op not in ("file_read", "disk")), tmp_path / "bare.yaml")
    with pytest.raises(ConfigError, match="bare: no tier 'disk': expected a machine made of reads"):
        check(bare, known.read)
    monkeypatch.setitem(sys.modules, "threadpoolctl", SimpleNamespace(threadpool_limits=lambda **limits: nullcontext()))
    monkeypatch.setattr(check_, "sampled", lambda call, seconds: Sample(1.0, 1.0))
    assert [each.workload for each in check_machine(tmp_path / "bare.yaml")] == ["4 products of 48 rows"]
