"""Flash as a tier: what one read takes and moves, what bounds many, and what contradicts it is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.hardware import System, load_system
from simulator.hardware.flash import (
    Flash,
    Nand,
    TwoConstant,
    array_bandwidth,
    channel_bandwidth,
    demands,
    grains,
    read_seconds,
)

KIB = 1024
DRIVE = """\
devices:
  drive:
    tiers:
      dram: {kind: ddr, capacity: 64 GB, bandwidth: 100 GB/s}
      flash:
        kind: flash
        capacity: 1 TB
        flash:
          queue_depth: 64
          reads: {kind: nand, channels: 8, dies: 8, planes: 2, page: 8 KiB, read_time: 75 us, bus: 333 MB/s}
"""
READS = "{kind: nand, channels: 8, dies: 8, planes: 2, page: 8 KiB, read_time: 75 us, bus: 333 MB/s}"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., System]:
    """Loads `drive.yaml`, with one text in it replaced by another."""
    monkeypatch.chdir(tmp_path)

    def load(old: str = "", new: str = "", *overrides: str) -> System:
        assert old in DRIVE
        Path("drive.yaml").write_text(DRIVE.replace(old, new, 1) if old else DRIVE)
        return load_system("drive.yaml", overrides)

    return load


def nand(
    channels: int = 8, dies: int = 8, planes: int = 2, page: float = 8 * KIB, tR: float = 75e-6, bus: float = 333e6
):
    return Nand(kind="nand", channels=channels, dies=dies, planes=planes, page=page, read_time=tR, bus=bus)


def flash(reads: TwoConstant | Nand, **figures: float) -> Flash:
    return Flash(queue_depth=32, reads=reads, **figures)


@pytest.mark.parametrize(
    ("drive", "channels", "cells", "page"),
    [
        # MQSim's ssdconfig.xml: 8 channels x 4 chips x 2 dies x 2 planes, NV-DDR2 at 333 MT/s.
        (nand(), 2.66e9, 14.0e9, 24.6e-6),
        # SimpleSSD's sample.cfg: the same grid, pages of 16 KiB, tR of a slow page 65 us, 400 MT/s.
        (nand(page=16 * KIB, tR=65e-6, bus=400e6), 3.2e9, 32.0e9, 41e-6),
    ],
    ids=["MQSim", "SimpleSSD"],
)
def test_the_drives_of_known_simulators_are_bound_by_their_buses(
    drive: Nand, channels: float, cells: float, page: float
) -> None:
    assert channel_bandwidth(drive) == pytest.approx(channels, rel=1e-2)
    assert array_bandwidth(drive) == pytest.approx(cells, rel=1e-2)
    assert read_seconds(flash(drive), drive.page) == pytest.approx(drive.read_time + page, rel=1e-2)
    assert channel_bandwidth(drive) < array_bandwidth(drive)
    waves, grid = 100, drive.channels * drive.dies * drive.planes
    crossing = read_seconds(flash(drive), waves * grid * drive.page) - waves * drive.read_time
    assert crossing == pytest.approx(waves * grid * drive.page / channels, rel=1e-2)
    assert crossing > waves * drive.read_time


def test_a_read_takes_what_the_equations_say() -> None:
    two = flash(TwoConstant(kind="two_constant", fixed=100e-6, stream=1e9), host_cost=5e-6)
    assert read_seconds(two, 4096) == pytest.approx(5e-6 + 100e-6 + 4.096e-6)
    one = nand()
    bus = 8 * KIB / 333e6
    assert read_seconds(flash(one), 4 * KIB) == pytest.approx(75e-6 + bus / 2)  # half a page crosses the bus
    assert read_seconds(flash(one), 8 * 8 * KIB) == pytest.approx(75e-6 + bus)  # a page a channel
    assert read_seconds(flash(one), 9 * 8 * KIB) == pytest.approx(75e-6 + 2 * bus)
    assert read_seconds(flash(one), 129 * 8 * KIB) == pytest.approx(2 * 75e-6 + 17 * bus)  # one more than planes


@given(st.lists(st.integers(1, 2**24), min_size=1, max_size=5), st.booleans())
def test_sizes_at_once_equal_one_at_a_time(sizes: list[int], packed: bool) -> None:
    for device in (flash(nand(), host_cost=1e-6), flash(TwoConstant(kind="two_constant", fixed=1e-4, stream=1e9))):
        assert read_seconds(device, np.array(sizes)).tolist() == [read_seconds(device, size) for size in sizes]
    assert grains(np.array(sizes), 4096, packed).tolist() == [grains(size, 4096, packed) for size in sizes]


def test_rows_of_a_quantised_model_take_whole_grains() -> None:
    assert grains(7680, 4 * KIB) == 8 * KIB
    assert grains(7680, 4 * KIB, packed=True) == 11 * KIB
    assert grains(8192, 4 * KIB) == grains(8192, 4 * KIB, packed=True) == 8 * KIB
    assert grains(7680, 1) == grains(7680, 1, packed=True) == 7680


@given(st.integers(1, 50_000), st.sampled_from([1, 512, 4096, 16384, 1000]))
def test_packed_chunks_move_what_they_touch_on_average(size: int, grain: int) -> None:
    starts = size * np.arange(grain // math.gcd(size, grain))
    touched = (starts + size - 1) // grain - starts // grain + 1
    assert grains(size, grain, packed=True) == pytest.approx(touched.mean() * grain, rel=1e-12)
    assert size <= grains(size, grain) <= grains(size, grain, packed=True)


def test_bandwidth_follows_from_channels_and_cells(load: Callable[..., System]) -> None:
    assert load()["drive.flash"].capacity == pytest.approx(8 * 333e6)
    slow = load(READS, READS.replace("75 us", "750 us"))
    assert slow["drive.flash"].capacity == pytest.approx(128 * 8 * KIB / 750e-6)
    assert load("capacity: 1 TB", "capacity: 1 TB\n        bandwidth: 2 GB/s")["drive.flash"].capacity == 2e9
    assert load("", "", "devices.drive.tiers.flash.bandwidth=2.68 GB/s")["drive.flash"].capacity == 2.68e9


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "capacity: 1 TB",
            "capacity: 1 TB\n        bandwidth: 3 GB/s",
            r"drive\.yaml:8: devices\.drive\.tiers\.flash\.bandwidth: found 3 GB/s, expected at most 2\.664 GB/s",
        ),
        (
            "kind: flash",
            "kind: ddr",
            r"drive\.yaml:8: .*flash\.flash: found in a tier of kind 'ddr', expected kind 'fl",
        ),
        ("kind: nand, ", "", r"drive\.yaml:10: .*flash\.reads\.kind: missing key: expected one of two_constant, nand"),
        ("kind: nand", "kind: nend", r"flash\.reads\.kind: found 'nend', .*did you mean 'nand'"),
        ("channels: 8", "channels: 0", r"flash\.reads\.channels: found 0, expected at least 1"),
        ("75 us", "0 us", r"flash\.reads\.read_time: found '0 us', expected more than 0"),
        ("bus: 333 MB/s", "bus: 333 MHz", r"flash\.reads\.bus: found '333 MHz', expected a bandwidth"),
        ("planes: 2, ", "", r"flash\.reads\.planes: missing key"),
        ("queue_depth: 64", "queue_depht: 64", r"did you mean 'queue_depth'"),
        (READS, "{kind: two_constant, fixed: 80 us, stream: 1 GB/s}", r"tiers\.flash\.bandwidth: missing key"),
    ],
)
def test_a_contradiction_is_told_with_its_place(load: Callable[..., System], old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(old, new)


def test_limits_are_resources_of_the_tier(load: Callable[..., System]) -> None:
    system = load("queue_depth: 64", "queue_depth: 64\n          operations: 1.4 MHz")
    found = {r.name: (r.capacity, r.unit, r.energy, r.count) for r in system.resources if "drive.flash." in r.name}
    assert found == {
        "drive.flash.inflight": (64, "s", 0.0, 1),
        "drive.flash.operations": (1.4e6, "op", 0.0, 1),
        "drive.flash.array": (128, "s", 0.0, 1),
        "drive.flash.channels": (8 * 333e6, "B", 0.0, 1),
    }
    for name in found:
        assert system.key(name) == ("devices", "drive", "tiers", "flash", "flash")
    plain = load(READS, "{kind: two_constant, fixed: 80 us, stream: 1 GB/s}\n        bandwidth: 5 GB/s")
    assert [r.name for r in plain.resources if "drive.flash." in r.name] == ["drive.flash.inflight"]


def test_design_points_reach_what_follows(load: Callable[..., System]) -> None:
    reads = "devices.drive.tiers.flash.flash.reads"
    points = {f"{reads}.bus": np.array([333e6, 2e9]), f"{reads}.read_time": np.array([75e-6, 60e-6])}
    varied = load().at(points)
    for i in range(2):
        one = load("", "", *(f"{path}={float(values[i])!r}" for path, values in points.items()))
        for name in ("drive.flash", "drive.flash.channels", "drive.flash.array"):
            assert np.broadcast_to(varied[name].capacity, 2)[i] == pytest.approx(one[name].capacity, rel=1e-12)
    with pytest.raises(ConfigError, match=r"bandwidth: found 3 GB/s, expected at most 2\.664 GB/s"):
        load().at({"devices.drive.tiers.flash.bandwidth": np.array([1e9, 3e9])})
    with pytest.raises(ConfigError, match="cannot vary in one call"):
        load().at({f"{reads}.channels": np.array([4.0, 8.0])})


def test_reads_pass_a_controller_one_by_one(load: Callable[..., System]) -> None:
    """Each keeps it busy for `each + c / stream`."""
    system = load("queue_depth: 64", "controller: {each: 20 us, stream: 1 GB/s}\n          queue_depth: 64")
    assert system["drive.flash.controller"].capacity == 1
    flash = system.tiers["drive.flash"].flash
    assert flash is not None
    assert demands(flash, 10_000.0)["controller"] == pytest.approx(30e-6)
    with pytest.raises(ConfigError, match=r"controller\.stream: missing key"):
        load("queue_depth: 64", "controller: {each: 20 us}\n          queue_depth: 64")
    assert "drive.flash.controller" not in {r.name for r in load().resources}
