"""Stacks of DRAM: what follows from their timing is what is published, and what contradicts it is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.hardware import System, bundle_seconds, load_system
from simulator.hardware.stack import (
    Stack,
    Timing,
    Writes,
    activation_energy,
    added_area,
    bank_bandwidth,
    bank_fraction,
    bundle_banks,
    bus_bandwidth,
    bus_fraction,
    row_cycle,
)

STACK = """\
devices:
  chip:
    tiers:
      hbm:
        kind: hbm
        stacks: 2
        stack:
          capacity: 16 GiB
          timing: {tCCD_S: 1.5 ns, tCCD_L: 3 ns, tRCD: 15 ns, tRAS: 35 ns, tRP: 15 ns, tRTP: 6 ns, tRRD_S: 1.5 ns,
                   tFAW: 30 ns, tCL: 15 ns, tRTW: 2 ns, tWTR: 8 ns, tRFC: 400 ns, tREFI: 4 us}
    engines:
      core: {kind: gpu, peak: {bf16: 100 TFLOP/s}, reads: {hbm: {}}}
      near:
        kind: pim
        pim: {at: logic_die, banks: 8, modules: 32, macs: 512, clock: 650 MHz}
        reads: {hbm: {}}
"""
SIZE = 3.2e9


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., System]:
    """Loads `chip.yaml`, with one text in it replaced by another."""
    monkeypatch.chdir(tmp_path)

    def load(old: str = "", new: str = "", *overrides: str) -> System:
        assert old in STACK
        Path("chip.yaml").write_text(STACK.replace(old, new, 1) if old else STACK)
        return load_system("chip.yaml", overrides)

    return load


def test_the_duplex_stack_has_the_published_figures() -> None:
    # arXiv 2409.01141: 665.6 GB/s a stack at 650 MHz, 21.3 TFLOP/s a Logic-PIM, four and sixteen times the bus.
    base = load_system("duplex-h100")
    tier = base.tiers["xpu.hbm"]
    assert tier.bandwidth == pytest.approx(5 * 665.6e9, rel=1e-3)
    assert tier.capacity == 80 * 2**30
    for name, times, tflops, ridge in [
        ("duplex-node", 4, 21.3, 8),
        ("duplex-bankgroup-pim", 4, 21.3, 8),
        ("duplex-bank-pim", 16, 10.65, 1),
    ]:
        system = load_system(name)
        engine, port = system.engines["xpu.pim"], system["xpu.hbm->xpu.pim"]
        assert engine.in_memory and not system.engines["xpu.xpu"].in_memory
        assert engine.peak["fp16"] == engine.peak["bf16"] == pytest.approx(5 * tflops * 1e12, rel=5e-3)
        assert float(port.capacity) == pytest.approx(times * tier.bandwidth, rel=1e-3)
        assert engine.peak["fp16"] / float(port.capacity) == pytest.approx(ridge, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "port", "low", "high"),
    [
        ("duplex-node", "xpu.hbm->xpu.xpu", 0.75, 0.89),
        ("duplex-node", "xpu.hbm->xpu.pim", 0.56, 0.77),
        ("duplex-bank-pim", "xpu.hbm->xpu.pim", 0.56, 0.77),
        ("duplex-bankgroup-pim", "xpu.hbm->xpu.pim", 0.80, 0.89),
    ],
)
def test_the_timing_leaves_a_plausible_fraction(name: str, port: str, low: float, high: float) -> None:
    assert low <= float(load_system(name)[port].efficiency) <= high  # type: ignore[arg-type]


def test_logic_pim_takes_the_published_area() -> None:
    # arXiv 2409.01141: 17.80 mm^2 (its parts: 17.81), 14.71 % of a logic die of 121 mm^2; the TSVs alone 9.0 %.
    pim = load_system("duplex-node").engines["xpu.pim"].pim
    assert pim is not None and pim.area is not None
    assert added_area(pim.area) == pytest.approx(17.80e-6, rel=1e-3)
    assert added_area(pim.area) / pim.area.die == pytest.approx(0.1471, rel=1e-3)
    assert pim.area.parts["tsvs"] / pim.area.die == pytest.approx(0.090, rel=1e-3)


def test_what_follows_is_filled_in(load: Callable[..., System]) -> None:
    system = load()
    tier, near = system.tiers["chip.hbm"], system.engines["chip.near"]
    assert (tier.capacity, tier.bandwidth) == (32 * 2**30, 2 * 32 * 32 / 1.5e-9)
    assert near.peak == pytest.approx({"fp16": 4 * 32 * 512 * 650e6, "bf16": 4 * 32 * 512 * 650e6})
    assert system["chip.hbm->chip.core"].capacity == tier.bandwidth
    assert system["chip.hbm->chip.core"].efficiency == bus_fraction(tier.stack)  # type: ignore[arg-type]
    assert system["chip.hbm->chip.near"].capacity == 4 * tier.bandwidth
    assert system["chip.hbm->chip.near"].efficiency == bank_fraction(tier.stack, 8)  # type: ignore[arg-type]


def test_what_the_file_says_holds_where_it_agrees(load: Callable[..., System]) -> None:
    said = load("kind: hbm\n", "kind: hbm\n        bandwidth: 1.36 TB/s\n        capacity: 34.2 GB\n")
    assert (said.tiers["chip.hbm"].bandwidth, said.tiers["chip.hbm"].capacity) == (1.36e12, 34.2e9)
    assert load("reads: {hbm: {}}}", "reads: {hbm: {efficiency: 0.5}}}")["chip.hbm->chip.core"].efficiency == 0.5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "kind: hbm\n",
            "kind: hbm\n        bandwidth: 1.5 TB/s\n",
            "chip.yaml:6: devices.chip.tiers.hbm.bandwidth: "
            "found 1.5 TB/s, expected 1.365 TB/s within 1 %: what its stacks give; or no such key",
        ),
        (
            "kind: hbm\n",
            "kind: hbm\n        capacity: 32 GB\n",
            "chip.yaml:6: devices.chip.tiers.hbm.capacity: "
            "found 32 GB, expected 34.36 GB within 1 %: what its stacks give; or no such key",
        ),
        (
            "kind: pim\n",
            "kind: pim\n        peak: {fp16: 40 TFLOP/s}\n",
            "chip.yaml:15: devices.chip.engines.near.peak.fp16: "
            "found 40 TFLOP/s, expected 42.6 TFLOP/s within 1 %: what its stacks give; or no such key",
        ),
        (
            "        reads: {hbm: {}}\n",
            "        reads: {hbm: {bandwidth: 5 TB/s}}\n",
            "chip.yaml:16: devices.chip.engines.near.reads.hbm.bandwidth: "
            "found 5 TB/s, expected 5.461 TB/s within 1 %: what its stacks give; or no such key",
        ),
        (
            "banks: 8",
            "banks: 64",
            "chip.yaml:15: devices.chip.engines.near.pim.banks: "
            "found 64, expected at most the 32 banks of a bundle of a pseudo channel",
        ),
        (
            "kind: pim",
            "kind: gpu",
            "chip.yaml:14: devices.chip.engines.near.kind: "
            "found 'gpu', expected 'pim', which the engine has figures of",
        ),
        (
            "reads: {hbm: {}}}",
            "reads: {hbm: {energy: 1 pJ/bit}}}",
            "chip.yaml:12: devices.chip.engines.core.reads.hbm.energy: a port of an engine outside the memory: "
            "expected 'energy' of the tier hbm, whose bus its bytes cross",
        ),
        (
            "          capacity: 16 GiB\n",
            "",
            "chip.yaml:4: devices.chip.tiers.hbm.capacity: missing key: expected a size such as '520 MiB'",
        ),
        (
            "tREFI: 4 us",
            "tREFI: 0.4 us",
            "chip.yaml:10: devices.chip.tiers.hbm.stack.timing.tREFI: found 400 ns, expected more than tRFC (400 ns)",
        ),
        (
            "tCCD_L: 3 ns",
            "tCCD_L: 1 ns",
            "chip.yaml:9: devices.chip.tiers.hbm.stack.timing.tCCD_L: "
            "found 1e-09 s, expected tCCD_S (1.5e-09 s) or more",
        ),
    ],
)
def test_a_contradiction_is_told_with_its_place(load: Callable[..., System], old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(old, new)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("bundles=5", r"stack\.bundles: found 5, expected a divisor of the 32 banks of a pseudo channel"),
        ("row=1000 B", r"stack\.row: found 1000 B, expected a multiple of a burst \(32 B\)"),
        ("taken=2 KiB", r"stack\.taken: found 2048 B, expected a burst to a row \(32 to 1024 B\)"),
        ("taken=16 B", r"stack\.taken: found 16 B, expected a burst to a row"),
        ("pseudochannels=8", "did you mean 'pseudo_channels'"),
        ("timing.tCCD_S=0 s", r"tCCD_S: found '0 s', expected more than 0"),
        ("bus_read=shared", r"bus_read: found 'shared', expected one of exclusive, bank_exact"),
    ],
)
def test_a_stack_that_is_none_is_refused(load: Callable[..., System], setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load("", "", f"devices.chip.tiers.hbm.stack.{setting}")


def test_without_a_stack_all_must_be_said(load: Callable[..., System]) -> None:
    path = "devices.chip.tiers.hbm"
    plain = [f"{path}.stack=null", f"{path}.capacity=1 GB"]
    with pytest.raises(ConfigError, match=r"hbm\.stacks: found 2, expected 'stack' or 'bus' beside it"):
        load("", "", *plain)
    with pytest.raises(ConfigError, match=r"hbm\.bandwidth: missing key: expected a bandwidth such as '1\.8 TB/s'"):
        load("", "", *plain, f"{path}.stacks=null")
    with pytest.raises(ConfigError, match=r"near\.reads\.hbm: engines with pim read stacks of DRAM: expected 'stack'"):
        load("", "", *plain, f"{path}.stacks=null", f"{path}.bandwidth=1 TB/s")
    with pytest.raises(ConfigError, match=r"near\.peak: missing key"):
        load("", "", "devices.chip.engines.near.pim=null")


times = st.floats(1e-9, 1e-7)
stacks = st.builds(
    lambda short, wide, rcd, ras, rp, rtp, rrd, faw, cl, rtw, wtr, rfc, rest, writes, taken, bundles: Stack(
        timing=Timing(
            tCCD_S=short,
            tCCD_L=short * wide,
            tRCD=rcd,
            tRAS=ras,
            tRP=rp,
            tRTP=rtp,
            tRRD_S=rrd,
            tFAW=faw,
            tCL=cl,
            tRTW=rtw,
            tWTR=wtr,
            tRFC=rfc,
            tREFI=rfc + rest,
        ),
        writes=writes,
        taken=taken,
        bundles=bundles,
    ),
    st.floats(5e-10, 5e-9),
    st.floats(1, 4),
    *[times] * 9,
    st.just(0.0) | st.floats(1e-12, 1e-6),
    st.floats(1e-7, 1e-5),
    st.none() | st.builds(Writes, share=st.floats(0.01, 1), drain=st.floats(32, 4096)),
    st.none() | st.sampled_from([32.0, 64.0, 512.0, 1024.0]),
    st.sampled_from([1, 2, 4]),
)
FRACTIONS: list[Callable[[Stack], Any]] = [
    bus_fraction,
    lambda stack: bank_fraction(stack, 8),
    lambda stack: bank_fraction(stack, bundle_banks(stack)),
]


def longer(stack: Stack, **intervals: float) -> Stack:
    return stack.model_copy(update={"timing": stack.timing.model_copy(update=intervals)})


@given(stacks, st.sampled_from(["tRCD", "tRAS", "tRP", "tRTP", "tRRD_S", "tFAW", "tCL", "tRTW", "tWTR", "tRFC"]), times)
def test_a_longer_time_never_raises_a_fraction(stack: Stack, key: str, more: float) -> None:
    slower = longer(stack, **{key: getattr(stack.timing, key) + more, "tREFI": stack.timing.tREFI + 1e-7})
    before = longer(stack, tREFI=stack.timing.tREFI + 1e-7)
    for fraction in FRACTIONS:
        assert 0 < fraction(slower) <= fraction(before) * (1 + 1e-12) <= 1 + 1e-12


@given(stacks, st.floats(1.01, 10))
def test_rarer_refresh_never_lowers_a_fraction(stack: Stack, times: float) -> None:
    for fraction in FRACTIONS:
        assert fraction(longer(stack, tREFI=stack.timing.tREFI * times)) >= fraction(stack)


@given(stacks)
def test_more_of_a_row_never_lowers_a_fraction_nor_raises_its_energy(stack: Stack) -> None:
    part, whole = (stack.model_copy(update={"taken": taken, "activation": 1e-9}) for taken in (256.0, None))
    for fraction in FRACTIONS:
        assert fraction(part) <= fraction(whole) * (1 + 1e-12)
    assert activation_energy(part) == 4 * activation_energy(whole) == 1e-9 / 256


@given(stacks)
def test_banks_together_are_as_fast_as_their_rows_allow(stack: Stack) -> None:
    """Bytes of a row a bank and cycle, refresh apart: where a bundle is read as a whole, no other time enters."""
    banks = bundle_banks(stack)
    achieved = bank_bandwidth(stack, banks) * bank_fraction(stack, banks)
    taken = stack.taken or stack.row
    cycle = max(row_cycle(stack), taken / stack.burst * stack.timing.tCCD_L)
    unrefreshed = 1 - stack.timing.tRFC / stack.timing.tREFI
    assert achieved == pytest.approx(stack.pseudo_channels * banks * taken / cycle * unrefreshed, rel=1e-9)


@given(stacks)
def test_arrays_of_design_points_are_as_one_at_a_time(stack: Stack) -> None:
    refresh = np.array([0.1, 0.5]) * stack.timing.tREFI
    for fraction in (*FRACTIONS, bus_bandwidth):
        together = np.broadcast_to(fraction(longer(stack, tRFC=refresh)), 2)  # type: ignore[arg-type]
        assert together.tolist() == [fraction(longer(stack, tRFC=float(each))) for each in refresh]


def test_design_points_reach_what_follows(load: Callable[..., System]) -> None:
    stack, pim = "devices.chip.tiers.hbm.stack", "devices.chip.engines.near.pim"
    points = {f"{stack}.timing.tCCD_S": np.array([1.5e-9, 1e-9]), f"{pim}.clock": np.array([650e6, 1e9])}
    varied = load().at(points)
    for i in range(2):
        one = load("", "", *(f"{path}={float(values[i])!r}" for path, values in points.items()))
        for name in ("chip.hbm", "chip.hbm->chip.core", "chip.hbm->chip.near"):
            assert np.broadcast_to(varied[name].capacity, 2)[i] == pytest.approx(one[name].capacity, rel=1e-12)
            efficiency = np.broadcast_to(varied[name].efficiency, 2)[i]  # type: ignore[arg-type]
            assert efficiency == pytest.approx(one[name].efficiency, rel=1e-12)
        peak = np.asarray(varied.engines["chip.near"].peak["fp16"])[i]
        assert peak == pytest.approx(one.engines["chip.near"].peak["fp16"], rel=1e-12)
    with pytest.raises(ConfigError, match=r"tREFI: found 4 us, expected more than tRFC \(5 us\)"):
        load().at({f"{stack}.timing.tRFC": np.array([1e-7, 5e-6])})
    with pytest.raises(ConfigError, match="cannot vary in one call"):
        load_system("duplex-node").at({"devices.xpu.engines.pim.pim.area.parts.tsvs": np.array([1e-6, 2e-6])})
    with pytest.raises(ConfigError, match=r"^chip\.yaml:4: .*bandwidth: found 2 TB/s, expected 1\.365 TB/s within 1 %"):
        load().at({"devices.chip.tiers.hbm.bandwidth": np.array([1.365e12, 2e12])})


def bundled(load: Callable[..., System], *overrides: str) -> System:
    return load("", "", *(f"devices.chip.tiers.hbm.stack.{override}" for override in ("bundles=4", *overrides)))


def test_bundles_are_resources_that_serve_one_at_a_time(load: Callable[..., System]) -> None:
    system = bundled(load)
    found = [r for r in system.resources if "bundle" in r.name]
    assert [r.name for r in found] == [f"chip.hbm.bundle{i}" for i in (1, 2, 3, 4)]
    assert {(r.capacity, r.unit, r.energy, r.count) for r in found} == {(1.0, "s", 0.0, 1)}
    assert system.key("chip.hbm.bundle2") == ("devices", "chip", "tiers", "hbm", "stack")
    assert not [r for r in load().resources if "bundle" in r.name]


@pytest.mark.parametrize("spaces", [[0], [1, 3], [0, 1, 2, 3]])
def test_a_read_in_memory_keeps_bundles_as_long_as_its_port(load: Callable[..., System], spaces: list[int]) -> None:
    system = bundled(load)
    kept = bundle_seconds(system, "chip", "hbm", "near", SIZE, spaces)
    assert list(kept) == [system[f"chip.hbm.bundle{place + 1}"] for place in spaces]
    assert len(set(map(float, kept.values()))) == 1
    assert sum(kept.values()) == pytest.approx(system["chip.hbm->chip.near"].seconds(SIZE), rel=1e-12)


def test_a_read_over_the_bus_keeps_bundles_by_the_rule(load: Callable[..., System]) -> None:
    exclusive, exact = bundled(load), bundled(load, "bus_read=bank_exact")
    arguments = ("chip", "hbm", "core", SIZE, [0, 1])
    bus, banks = (sum(bundle_seconds(system, *arguments).values()) for system in (exclusive, exact))
    assert bus == pytest.approx(exclusive["chip.hbm->chip.core"].seconds(SIZE), rel=1e-12)
    # The eight banks of a bundle are those that `near` reads at once.
    assert banks == pytest.approx(exact["chip.hbm->chip.near"].seconds(SIZE), rel=1e-12)
    assert banks < bus


def test_bundles_are_kept_in_proportion_and_sizes_may_be_arrays(load: Callable[..., System]) -> None:
    system = bundled(load)
    for engine in ("core", "near"):
        one = bundle_seconds(system, "chip", "hbm", engine, SIZE, [2])
        many = bundle_seconds(system, "chip", "hbm", engine, np.array([SIZE, 3 * SIZE]), [2])
        bundle = system["chip.hbm.bundle3"]
        assert np.asarray(many[bundle]) == pytest.approx(float(one[bundle]) * np.array([1, 3]), rel=1e-12)
    assert bundle_seconds(load(), "chip", "hbm", "near", SIZE, [0]) == {}
    with pytest.raises(ConfigError, match=r"did you mean 'chip\.hbm\.bundle4'"):
        bundle_seconds(system, "chip", "hbm", "near", SIZE, [4])


def test_energy_follows_the_way_of_the_bytes(load: Callable[..., System]) -> None:
    """Over the bus it is the tier's, in the memory the port's; rows are opened for both."""
    path = "devices.chip"
    none = load("", "", f"{path}.tiers.hbm.stack.activation=1.024 nJ")
    assert none["chip.hbm"].energy is none["chip.hbm->chip.near"].energy is None
    energies = [f"{path}.tiers.hbm.energy=4 pJ/bit", f"{path}.engines.near.reads.hbm.energy=2 pJ/bit"]
    plain = load("", "", *energies)
    assert (plain["chip.hbm"].energy, plain["chip.hbm->chip.near"].energy) == (32e-12, 16e-12)
    rows = load("", "", *energies, f"{path}.tiers.hbm.stack.activation=1.024 nJ")
    assert (rows["chip.hbm"].energy, rows["chip.hbm->chip.near"].energy) == pytest.approx((33e-12, 17e-12))
    assert rows["chip.hbm->chip.core"].energy == 0.0
    half = load("", "", *energies, f"{path}.tiers.hbm.stack.activation=1.024 nJ", f"{path}.tiers.hbm.stack.taken=512 B")
    assert (half["chip.hbm"].energy, half["chip.hbm->chip.near"].energy) == pytest.approx((34e-12, 18e-12))
