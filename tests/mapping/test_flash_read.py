"""Reads of flash: the rates that are published, Little's law, and what one reader takes alone and beside another."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core import Plan, closed_form
from simulator.core.events import events
from simulator.errors import ConfigError
from simulator.hardware import System, load_system
from simulator.hardware.flash import read_seconds
from simulator.mapping.flash_read import bytes_read, flash_read, throughput
from tests.deployed import under

KIB = 1024
NAMES = ["m1-max", "rtx4090-gen4", "rtx4090-gen5", "phone-ufs4", "phone-ufs4-depth1"]
machines = st.sampled_from(NAMES)
load = cache(load_system)


def ends(system: System) -> tuple[str, str]:
    device = next(name.partition(".")[0] for name in system.tiers if name.endswith(".flash"))
    return f"{device}.flash", f"{device}.dram"


def rate(name: str, size: float, threads: int = 32) -> float:
    system = load(name)
    return float(throughput(system, *ends(system), size, threads))


def alone(system: System, reads: Any, size: float, **options: Any) -> Any:
    plan = Plan()
    plan.add(flash_read(system, reads, size, *ends(system), **options))
    return closed_form(plan).time


def test_m1_max_reads_as_fast_as_published() -> None:
    """arXiv 2312.11514: calibrated on the first two, the sequential rate a cap; the others follow."""
    assert rate("m1-max", 8 * KIB) == pytest.approx(1.25e9, rel=1e-3)
    assert rate("m1-max", 16 * KIB) == pytest.approx(2.25e9, rel=1e-3)
    assert rate("m1-max", 32 * KIB) == pytest.approx(3.75e9, rel=8e-2)
    assert rate("m1-max", 35.5 * KIB) == pytest.approx(4.01e9, rel=8e-2)
    assert rate("m1-max", 72 * KIB) < rate("m1-max", 76 * KIB) == rate("m1-max", 1024 * KIB) == 6.1e9


@pytest.mark.parametrize(
    ("name", "threads", "size", "published"),
    [
        ("phone-ufs4", 32, 4 * KIB, 1.0761e9),
        ("phone-ufs4", 32, 512 * KIB, 3.5e9),
        ("phone-ufs4-depth1", 1, 4 * KIB, 0.45e9),
        ("phone-ufs4-depth1", 1, 512 * KIB, 4.0e9),
    ],
)
def test_the_phone_reads_as_fast_as_published(name: str, threads: int, size: float, published: float) -> None:
    assert rate(name, size, threads) == pytest.approx(published, rel=1e-3)


@pytest.mark.parametrize("name", ["rtx4090-gen4", "rtx4090-gen5"])
def test_a_drive_answers_and_streams_as_its_class_does(name: str) -> None:
    system = load(name)
    tier = system.tiers[ends(system)[0]]
    assert tier.flash
    assert 45e-6 < read_seconds(tier.flash, 4 * KIB) < 60e-6
    assert rate(name, 4 * KIB, 512) / (4 * KIB) == pytest.approx(tier.flash.operations, rel=1e-12)
    assert rate(name, 1024 * KIB) == pytest.approx(tier.bandwidth, rel=1e-12)


@given(machines, st.integers(1, 64), st.sampled_from([4, 8, 16, 64, 512]), st.integers(1, 64))
def test_throughput_grows_with_chunks_and_threads(name: str, threads: int, kib: int, times: int) -> None:
    size = kib * KIB
    assert rate(name, size, threads) <= rate(name, size, threads + 1) * (1 + 1e-12)
    assert rate(name, size, threads) <= rate(name, times * size, threads) * (1 + 1e-12)


@given(machines, st.integers(1, 2**21), st.integers(1, 200), st.booleans())
def test_throughput_stays_below_every_cap(name: str, size: int, threads: int, packed: bool) -> None:
    system = load(name)
    source, target = ends(system)
    tier = system.tiers[source]
    assert tier.flash
    moved = bytes_read(system, source, size, packed)
    achieved = float(throughput(system, source, target, size, threads, packed))
    in_flight = min(threads, tier.flash.queue_depth)
    caps = [
        tier.bandwidth * size / moved,
        system.links[f"{source}->{target}"].bandwidth * size / moved,
        (tier.flash.operations or np.inf) * size,
        in_flight * size / read_seconds(tier.flash, moved),  # Little's law
    ]
    assert achieved <= min(caps) * (1 + 1e-12)
    if tier.flash.reads.kind == "two_constant":  # nothing else binds
        assert achieved == pytest.approx(min(caps), rel=1e-12)


@given(st.integers(1, 64), st.integers(1, 12))
def test_in_flight_is_rate_times_time(threads: int, kib: int) -> None:
    """Little's law, where nothing but the queue binds."""
    system = load("m1-max")
    tier = system.tiers["soc.flash"]
    assert tier.flash
    size = 4 * kib * KIB
    reads = rate("m1-max", size, threads) / size
    assert reads * read_seconds(tier.flash, size) == pytest.approx(min(threads, 32), rel=1e-12)


def test_what_is_no_whole_grain_costs_one() -> None:
    system = load("phone-ufs4")
    assert bytes_read(system, "soc.flash", 7680) == 8 * KIB
    assert bytes_read(system, "soc.flash", 7680, packed=True) == 11 * KIB
    assert alone(system, 1000, 7680) == alone(system, 1000, 8192) < alone(system, 1000, 7680, packed=True)
    copied = flash_read(system, 10, 7680, "soc.flash", "soc.dram").demand
    assert copied[system["soc.flash"]] == copied[system["soc.dram"]] == copied[system["soc.flash->soc.dram"]] == 81920


@given(machines, st.integers(1, 100), st.integers(1, 100))
def test_fewer_reads_than_threads_take_the_time_of_one(name: str, reads: int, more: int) -> None:
    system = load(name)
    tier = system.tiers[ends(system)[0]]
    assert tier.flash
    one = read_seconds(tier.flash, 8 * KIB)
    took = alone(system, reads, 8 * KIB, threads=reads + more)
    assert took >= one * (1 - 1e-12)
    if reads <= min(tier.flash.queue_depth, 32):  # no other cap is near
        assert took == pytest.approx(one, rel=1e-12)
    assert alone(system, reads, 8 * KIB, threads=1) == pytest.approx(reads * one, rel=1e-12)


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=6), machines, st.sampled_from([None, 1, 8, 2000]))
def test_arrays_of_reads_equal_one_at_a_time(reads: list[float], name: str, threads: int | None) -> None:
    system = load(name)
    together = alone(system, np.array(reads), 8 * KIB, threads=threads)
    assert np.asarray(together).tolist() == [alone(system, each, 8 * KIB, threads=threads) for each in reads]


def test_no_reads_demand_nothing() -> None:
    read = flash_read(load("m1-max"), 0, 8 * KIB, "soc.flash", "soc.dram")
    assert set(read.demand.values()) == {0.0}
    assert read.alone == 0.0


@given(machines, st.floats(0.5, 1e4), st.sampled_from([None, 1, 16]))
def test_the_closed_form_equals_the_events(name: str, reads: float, threads: int | None) -> None:
    plan = Plan()
    system = load(name)
    plan.add(flash_read(system, reads, 16 * KIB, *ends(system), threads))
    assert events(plan).time == pytest.approx(closed_form(plan).time, rel=1e-9)


def test_two_readers_share_the_queue() -> None:
    system = load("m1-max")
    once = alone(system, 3200, 8 * KIB)

    def both(threads: int) -> float:
        plan = Plan()
        for _ in range(2):
            plan.add(flash_read(system, 3200, 8 * KIB, "soc.flash", "soc.dram", threads), after=())
        return events(plan).time

    assert both(32) == pytest.approx(2 * once, rel=1e-9)
    assert both(16) == pytest.approx(2 * once, rel=1e-9)  # each alone takes as long
    assert both(8) == pytest.approx(4 * once, rel=1e-9)


def test_a_read_goes_on_through_memory_to_the_gpu() -> None:
    system = under("rtx4090-gen4", runtime="flash-neurons")
    read = flash_read(system, 100, 16 * KIB, "host.flash", "gpu.vram", 32)
    size = 100 * 16 * KIB
    assert read.demand[system["host.dram"]] == 2 * size
    for name in ("host.flash", "host.flash->host.dram", "host.dram->gpu.vram", "gpu.vram", "host.flash.channels"):
        assert read.demand[system[name]] == size
    assert read.demand[system["host.flash.operations"]] == 100
    assert read.demand[system["host.flash.array"]] == pytest.approx(100 * 40e-6)
    assert read.latency == system.links["host.dram->gpu.vram"].latency > 0


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("m1-max", {"reads.fixed": (1e-5, 1e-3), "reads.stream": (1e8, 1e10), "host_cost": (0, 1e-4)}),
        ("rtx4090-gen4", {"reads.read_time": (1e-5, 1e-4), "reads.bus": (1e9, 4e9), "operations": (1e5, 2e6)}),
    ],
)
def test_design_points_at_once_equal_one_at_a_time(name: str, paths: dict[str, tuple[float, float]]) -> None:
    rng = np.random.default_rng(3)
    source, target = ends(load(name))
    prefix = f"devices.{source.partition('.')[0]}.tiers.flash.flash"
    points = {f"{prefix}.{path}": rng.uniform(*bounds, 7) for path, bounds in paths.items()}
    varied = load(name).at(points)
    together = throughput(varied, source, target, 8 * KIB, 32), alone(varied, 500, 8 * KIB, threads=32)
    for i in range(7):
        one = load_system(name, [f"{path}={float(values[i])!r}" for path, values in points.items()])
        each = throughput(one, source, target, 8 * KIB, 32), alone(one, 500, 8 * KIB, threads=32)
        for many, single in zip(together, each, strict=True):
            assert np.asarray(many)[i] == pytest.approx(single, rel=1e-12)


def test_devices_in_lockstep_share_the_reads() -> None:
    pair = load_system("m1-max", ["devices.soc.count=2"])
    assert alone(pair, 6400, 8 * KIB) == pytest.approx(alone(load("m1-max"), 3200, 8 * KIB), rel=1e-12)
    assert throughput(pair, "soc.flash", "soc.dram", 8 * KIB, 32) == pytest.approx(
        2 * rate("m1-max", 8 * KIB), rel=1e-12
    )


def test_what_cannot_be_read_is_refused() -> None:
    system = load("m1-max")
    with pytest.raises(ConfigError, match=r"m1-max\.yaml:\d+: devices\.soc\.tiers\.dram\.flash: missing key"):
        flash_read(system, 1, 4096, "soc.dram", "soc.flash")
    with pytest.raises(ConfigError, match=r"did you mean 'soc\.flash'"):
        flash_read(system, 1, 4096, "soc.flsh", "soc.dram")
    with pytest.raises(ConfigError, match="no such tier"):
        bytes_read(system, "soc.cpu", 4096)
    with pytest.raises(ConfigError, match=r"threads: .*found 0, expected 1 or more"):
        flash_read(system, 1, 4096, "soc.flash", "soc.dram", threads=0)
    with pytest.raises(ConfigError, match="another tier"):
        flash_read(system, 1, 4096, "soc.flash", "soc.flash")


@pytest.mark.parametrize(("depth", "measured"), [(4, 20500), (8, 37900), (32, 37000), (256, 36000)])
def test_a_measured_drive_follows_from_one_read_and_its_ceiling(depth: int, measured: float) -> None:
    """Apple SM256E, 4 KiB at random, fio: 4,965 reads/s one at a time, and 37,400 at a depth of 512.

    Source: apratajr/AdvancedComputerSystems, Project 3 (GitHub), depth sweep; the depths between are predictions.
    """
    reads = "devices.soc.tiers.flash.flash.reads"
    one = 1 / 4965 - 4 * KIB / 351.5625e6
    system = load_system(
        "m1-max",
        [f"{reads}.fixed={one!r} s", "devices.soc.tiers.flash.flash.operations=37400 Hz",
         "devices.soc.tiers.flash.flash.queue_depth=512"],
    )  # fmt: skip
    found = throughput(system, *ends(system), 4 * KIB, depth) / (4 * KIB)
    assert found == pytest.approx(measured, rel=0.05)
