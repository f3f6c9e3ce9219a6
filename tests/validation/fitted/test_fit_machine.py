"""From a table of a known machine come its figures, through the ordinary reader; what does not suffice is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from simulator.errors import ConfigError, TiersimWarning
from simulator.hardware import load_system
from simulator.mapping.engines import lone_engine
from simulator.mapping.form import MappingForm
from simulator.validation.fitted.fit_machine import fit_machine
from simulator.validation.measure.cpu import points
from simulator.validation.measure.rows import Row, Sample, append, read_measured, start
from tests.validation.fitted.conftest import HELD, Known

Table = Callable[..., Path]


def test_the_figures_are_those_of_the_machine(table: Table, known: Known, tmp_path: Path) -> None:
    system = fit_machine(table(), tmp_path / "host.yaml")
    engine, tiers = system.engines["host.cpu"], system.machine.devices["host"].tiers
    assert engine.peak["fp32"] == pytest.approx(known.peak, rel=0.01)
    assert engine.launch_overhead == pytest.approx(known.floor, rel=1e-3)
    assert list(engine.reads) == ["l2", "l3", "dram"]
    for tier, rate in dict(known.packing).items():
        if tier != "l1":
            assert engine.reads[tier].packing == pytest.approx(rate, rel=0.05)
            assert tiers[tier].bandwidth == pytest.approx(dict(known.bandwidth)[tier], rel=0.05)
            assert tiers[tier].capacity == HELD[tier]
    assert tiers["dram"].latency == pytest.approx(90e-9, rel=0.01)
    disk = tiers["disk"].flash
    assert (disk.queue_depth, tiers["disk"].capacity) == (8, 1e12)
    assert disk.controller.each == pytest.approx(known.each, rel=0.01)
    assert disk.reads.fixed == pytest.approx(known.wait + known.each, rel=0.01)
    assert tiers["disk"].bandwidth == pytest.approx(known.rate, rel=0.01)


def test_the_yaml_is_read_as_any_machine_and_each_figure_has_its_source(table: Table, tmp_path: Path) -> None:
    fit_machine(table(), tmp_path / "host.yaml", threads=1)
    system = load_system(tmp_path / "host.yaml")  # a warning is an error here
    assert system.name == "host"
    assert lone_engine(system, MappingForm()).memory == "dram"
    part = ("devices", "host")
    for path in (("engines", "cpu", "peak", "fp32"), ("engines", "cpu", "launch_overhead"),
                 ("engines", "cpu", "reads", "l3", "packing"), ("tiers", "l2", "bandwidth"),
                 ("tiers", "dram", "latency"), ("tiers", "disk", "flash", "reads", "fixed"),
                 ("links", "disk->dram", "bandwidth")):  # fmt: skip
        source = system.config.source(*part, *path)
        assert source is not None
        assert source.role == "calibration"
        assert "measured on a" in source.text
    capacity = system.config.source(*part, "tiers", "dram", "capacity")
    assert capacity is not None
    assert capacity.role == "input"


def test_a_disk_need_not_be_measured(table: Table, tmp_path: Path) -> None:
    system = fit_machine(table(lambda point: point.op not in ("file_read", "disk")), tmp_path / "host.yaml")
    assert list(system.tiers) == ["host.l2", "host.l3", "host.dram"]


def test_the_least_or_the_median_of_the_repeats_counts(table: Table, known: Known, tmp_path: Path) -> None:
    file = table(lambda point: point.op not in ("file_read", "disk"))
    rows = read_measured(file)
    file.unlink()
    start(file)
    for row in rows:
        twice = row.sample.value * (2 if row.point.metric == "latency" else 1)
        append(file, replace(row, sample=replace(row.sample, value=twice)))
    for of, peak in (("least", known.peak), ("median", known.peak / 2)):
        system = fit_machine(file, tmp_path / "host.yaml", of=of)
        assert system.engines["host.cpu"].peak["fp32"] == pytest.approx(peak, rel=0.01)


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (lambda p: p.op in ("file_read", "disk"), r"too few rows: found none of a CPU"),
        (lambda p: p.op != "gemm", r"threads: not measured: found 1, expected rows of 'gemm'"),
        (lambda p: p.op != "gemm" or p.m == 8, r"too few rows: found 2 products of 2 threads"),
        (lambda p: (p.op, p.m, p.n) != ("gemm", 8, 8), r"none of them small"),
        (lambda p: p.op != "memory", r"no capacity of 'dram'"),
        (lambda p: p.op != "triad", r"found 0 of 'triad'"),
        (lambda p: p.op != "triad" or p.bytes < 2**20, r"no 'triad' of more than 33\.55 MB"),
        (lambda p: p.op != "file_read" or p.threads == 1, r"5 of 'file_read', 5 chunks and 1 numbers of threads"),
        (lambda p: p.op != "disk", r"no capacity"),
    ],
)
def test_too_few_rows_are_told(table: Table, tmp_path: Path, keep: Callable[..., bool], message: str) -> None:
    file = table(keep)
    with pytest.raises(ConfigError, match=message):
        fit_machine(file, tmp_path / "host.yaml")
    assert not (tmp_path / "host.yaml").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": "another CPU"}, r"rows\.csv:\d+: device: rows of two devices of a CPU: found 'another CPU'"),
        ({"engine": "another BLAS"}, r"rows\.csv:\d+: engine: rows of two versions of a CPU: found 'another BLAS'"),
    ],
)
def test_rows_of_two_are_refused(table: Table, tmp_path: Path, change: dict[str, object], message: str) -> None:
    file = table()
    first = next(row for row in read_measured(file) if row.point.op == "gemm")
    append(file, replace(first, point=replace(first.point, **change)))
    with pytest.raises(ConfigError, match=message):
        fit_machine(file, tmp_path / "host.yaml")


def test_threads_that_were_not_measured_and_a_place_that_is_none_are_told(table: Table, tmp_path: Path) -> None:
    file = table()
    with pytest.raises(ConfigError, match="threads: not measured: found 3, expected one of 1, 2"):
        fit_machine(file, tmp_path / "host.yaml", threads=3)
    with pytest.raises(ConfigError, match="cannot be written"):
        fit_machine(file, tmp_path / "none" / "host.yaml")
    with pytest.raises(ConfigError, match="no table of measurements"):
        (tmp_path / "other.csv").write_text("a,b\n")
        fit_machine(tmp_path / "other.csv", tmp_path / "host.yaml")


@pytest.mark.filterwarnings("default::simulator.errors.TiersimWarning")
def test_figures_that_explain_little_are_told(known: Known, table: Table, tmp_path: Path) -> None:
    """Where every second product waited for a core, as beside others that compute."""
    file = table(lambda point: point.op not in ("gemm", "file_read", "disk"))
    made = [p for p in points("a CPU", HELD, (1,), ("fp32",), "a BLAS") if p.op == "gemm"]
    for place, point in enumerate(made):
        time = known.cpu(point) + place % 2 * 0.04
        append(file, Row(point, Sample(time, time), "a test"))
    with pytest.warns(TiersimWarning, match=r"explain little: found \d+ of 20 products off by more than half"):
        fit_machine(file, tmp_path / "host.yaml")


def test_times_that_do_not_grow_give_no_rate(table: Table, tmp_path: Path) -> None:
    file = table(lambda point: point.op not in ("gemm", "file_read", "disk"))
    for point in (p for p in points("a CPU", HELD, (1,), ("fp32",), "a BLAS") if p.op == "gemm"):
        append(file, Row(point, Sample(1e-3, 1e-3), "a test"))
    with pytest.raises(ConfigError, match=r"no peak rate follows from 'gemm': found times that do not grow"):
        fit_machine(file, tmp_path / "host.yaml")
