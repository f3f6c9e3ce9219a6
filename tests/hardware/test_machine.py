"""The form of a machine's YAML: what it takes, and what it says of what it does not take."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import load_system
from simulator.errors import ConfigError
from simulator.hardware.machine import Efficiency, ends

CHIP = """\
devices:
  chip:
    tiers:
      hbm: {kind: hbm, capacity: 80 GiB, bandwidth: 2 TB/s}
    engines:
      core: {kind: gpu, peak: {bf16: 100 TFLOP/s}, reads: {hbm: {}}}
"""


def load(folder: Path, text: str):
    (folder / "chip.yaml").write_text(text)
    return load_system(folder / "chip.yaml")


def test_what_is_left_out_is_neutral(tmp_path: Path) -> None:
    system = load(tmp_path, CHIP)
    tier, engine = system.tiers["chip.hbm"], system.engines["chip.core"]
    assert (system.machine.nodes, system.machine.devices["chip"].count) == (1, 1)
    assert (tier.latency, tier.efficiency, tier.full_duplex, tier.write_bandwidth) == (0, 1, False, None)
    assert (engine.launch_overhead, engine.efficiency, engine.slots) == (0, 1, 1)
    assert tier.energy is engine.energy_per_flop is system.machine.static_power is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("capacity: 80 GiB, ", "", r"chip.yaml:4: devices\.chip\.tiers\.hbm\.capacity: missing key"),
        ("80 GiB", "0 B", r"chip.yaml:4: devices\.chip\.tiers\.hbm\.capacity: found '0 B', expected more than 0"),
        ("2 TB/s", "2 TB/s, efficiency: 1.5", r"hbm\.efficiency: found 1\.5, expected at most 1"),
        ("2 TB/s", "2 TB/s, latency: -1 us", r"hbm\.latency: found '-1 us', expected at least 0"),
        ("  chip:", "  chip:\n    count: 0", r"chip.yaml:3: devices\.chip\.count: found 0, expected at least 1"),
        ("  chip:", "  chip:\n    count: 1.5", r"chip.yaml:3: devices\.chip\.count: found 1\.5, expected a whole"),
        ("kind: gpu", "kind: gup", r"chip.yaml:6: devices\.chip\.engines\.core\.kind: .*did you mean 'gpu'"),
        ("{bf16: 100 TFLOP/s}", "{}", r"chip.yaml:6: devices\.chip\.engines\.core\.peak"),
        ("100 TFLOP/s", "100 TB/s", r"peak\.bf16: found '100 TB/s', expected a compute rate"),
        ("devices:", "device:", r"did you mean 'devices'"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in CHIP
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, CHIP.replace(old, new, 1))


@pytest.mark.parametrize(
    ("efficiency", "message"),
    [
        ("{sizes: [1 MB, 2 MB], fractions: [0.5]}", r"efficiency\.fractions: found 1, expected as many as sizes \(2\)"),
        ("{sizes: [2 MB, 1 MB], fractions: [0.5, 0.6]}", r"efficiency\.sizes: sizes that do not rise"),
        ("{sizes: [1 MB, 1 MB], fractions: [0.5, 0.6]}", r"efficiency\.sizes: sizes that do not rise"),
        ("{sizes: [1 MB], fractions: [0]}", r"efficiency\.fractions\.0: found 0, expected more than 0"),
        ("{sizes: [], fractions: []}", r"efficiency\.sizes"),
        ("{sizes: [1 MB]}", r"efficiency\.fractions: missing key"),
        ("full", r"efficiency: found 'full', expected a plain number or a percentage"),
    ],
)
def test_a_curve_that_is_none_is_refused(tmp_path: Path, efficiency: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, CHIP.replace("2 TB/s", f"2 TB/s, efficiency: {efficiency}"))


@given(st.lists(st.floats(1, 1e12), min_size=1, max_size=8, unique=True), st.data())
def test_a_curve_stays_between_its_fractions(sizes: list[float], data: st.DataObject) -> None:
    fractions = sorted(data.draw(st.lists(st.floats(0.01, 1), min_size=len(sizes), max_size=len(sizes))), reverse=True)
    curve = Efficiency(sizes=sorted(sizes), fractions=fractions).curve()
    at = float(curve.at(data.draw(st.floats(1, 1e13))))
    assert min(fractions) * (1 - 1e-12) <= at <= max(fractions) * (1 + 1e-12)


def test_a_link_leads_one_way_or_both() -> None:
    assert ends("host->gpu.hbm") == ends("host<->gpu.hbm") == ("host", "gpu.hbm")


@pytest.mark.parametrize("name", ["gpu", "gpu-gpu", "gpu=>gpu", "->gpu", "gpu->", "<->", ""])
def test_a_link_without_two_ends_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="'a<->b'"):
        ends(name)
    with pytest.raises(ConfigError, match=r"chip.yaml:8: links\..*expected 'a->b'"):
        load(tmp_path, f'{CHIP}links:\n  "{name}": {{bandwidth: 1 GB/s}}\n')
