"""Area, power and price: formulas against hand numbers, dies against published ones, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import data
from simulator.errors import ConfigError
from simulator.hardware import System, load_system
from simulator.hardware.cost import (
    Costs,
    area,
    die_price,
    die_yield,
    dies_per_wafer,
    load_costs,
    memory_price,
    peak_power,
    price,
)

MM2 = 1e-6
SHIPPED = data.names("hwconfigs")
COSTS = load_costs()
H100 = load_system("dgx-h100")

CHIP = """\
devices:
  chip:
    count: 2
    process: N5
    static_power: 10 W
    tiers:
      sram: {kind: sram, capacity: 64 MiB, bandwidth: 10 TB/s, energy: 1 pJ/bit}
      hbm: {kind: hbm, capacity: 32 GB, bandwidth: 1 TB/s, energy: 4 pJ/bit}
    engines:
      core: {kind: gpu, peak: {bf16: 200 TFLOP/s, fp32: 10 TFLOP/s}, energy_per_flop: 0.5 pJ/FLOP, reads: {hbm: {}}}
links:
  chip<->chip: {bandwidth: 100 GB/s}
  host<->chip.hbm: {bandwidth: 32 GB/s, parallel: 2}
tiers:
  host: {kind: host, capacity: 100 GB, bandwidth: 100 GB/s}
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., System]:
    """Loads `chip.yaml`, with one text in it replaced by another."""
    monkeypatch.chdir(tmp_path)

    def load(old: str = "", new: str = "", *overrides: str) -> System:
        assert old in CHIP
        Path("chip.yaml").write_text(CHIP.replace(old, new, 1) if old else CHIP)
        return load_system("chip.yaml", overrides)

    return load


def test_yield_and_dies_by_hand() -> None:
    # 1 cm^2 at 0.1 a cm^2, alpha 3: (1 + 0.1 / 3)^-3; pi 150^2 / 100 - 300 pi / sqrt(200).
    assert die_yield(100 * MM2, 1000.0, 3.0) == pytest.approx(0.906314, abs=1e-6)
    assert dies_per_wafer(100 * MM2, 0.3) == pytest.approx(706.858 - 66.643, abs=1e-2)
    assert die_yield(0.0, 1000.0, 3.0) == 1


def test_a_die_costs_its_share_of_the_good_ones() -> None:
    # N7: 9,346 USD a wafer, 0.09 a cm^2.
    expected = 9346 / ((706.858 - 66.643) * (1 + 0.09 / 3) ** -3)
    assert die_price(100 * MM2, COSTS, "N7") == pytest.approx(expected, rel=1e-5)
    assert die_price(0.05, COSTS, "N7") == np.inf  # no wafer holds it


def test_the_parts_of_an_area_by_hand(load) -> None:
    parts = {name: value / MM2 for name, value in area(load(), COSTS).parts.items()}
    table = COSTS.table
    node, dense = table.processes["N5"], table.compute["gpu"]
    denser = node.compute["gpu"]
    lanes = max(10e12 / dense["lanes"]["fp32"], 200e12 / dense["lanes"]["bf16"]) / denser
    assert parts["chip.core"] == pytest.approx((lanes + 200e12 / dense["arrays"]["bf16"] / denser) / MM2)
    assert parts["chip.sram"] == pytest.approx(64 * 2**23 * 0.021e-6 / 0.55)
    assert parts["chip.hbm"] == pytest.approx(1000 / 670 * (10.45 + 5.74 / 1.64))
    assert parts["chip<->chip"] == pytest.approx(4 * (0.965 + 0.9 / 1.64))  # what one puts in
    assert parts["host<->chip.hbm"] == pytest.approx(8 * (0.64 + 0.056 / 1.64))  # two links over two chips
    others = sum(parts.values()) - parts["fixed"]
    assert parts["fixed"] / (parts["fixed"] + others) == pytest.approx(0.263)


def test_a_price_adds_up(load) -> None:
    system = load()
    parts, die = price(system, COSTS).parts, area(system, COSTS).total
    assert parts["chip.die"] == pytest.approx(2 * die_price(die, COSTS, "N5"))
    assert parts["chip.hbm"] == pytest.approx(2 * 32 * 15)
    assert parts["host"] == pytest.approx(100 * 3.1)
    assert parts["chip.package"] == pytest.approx(2 * (21 + 0.52 * (die / MM2 + 1000 / 670 * 121)))
    assert set(memory_price(system, COSTS)) == {"chip.hbm", "host"}


def test_what_has_no_stacks_beside_it_needs_no_interposer() -> None:
    assert price(load_system("m1-max"), COSTS).parts["soc.package"] == pytest.approx(21)


def test_peak_power_by_hand(load) -> None:
    got = peak_power(load())
    assert got.parts == pytest.approx({"chip.sram": 80, "chip.hbm": 32, "chip.core": 100, "static": 10})
    assert got.total == pytest.approx(222)


def test_power_names_what_is_missing() -> None:
    got = peak_power(load_system("sn40l"))
    assert got.total is None
    assert "devices.socket.tiers.hbm.energy" in got.missing
    assert "devices.socket.engines.rdu.energy_per_flop" in got.missing
    assert "devices.socket.static_power" in got.missing


def test_an_engine_in_the_memory_draws_over_its_own_ports() -> None:
    parts = peak_power(load_system("duplex-node")).parts
    assert parts["xpu.hbm->xpu.pim"] > parts["xpu.hbm"]  # four times the bytes, at half the energy each


# Published dies. Each machine's table of costs differs from what ships only in what its memories and links are.
OLD = ("tiers.hbm=hbm2e", "links.devices=nvlink3", "links.node=pcie4")
L2 = "devices.gpu.tiers.sram={{kind: sram, capacity: {}, bandwidth: 5 TB/s}}"  # Ada whitepaper; the machine has none
OWN = """\
devices:
  gpu:
    process: {process}
    tiers:
      sram: {{kind: sram, capacity: {sram}, bandwidth: 4 TB/s}}
      hbm: {{kind: hbm, capacity: 32 GB, bandwidth: {hbm}}}
    engines:
      gpu: {{kind: gpu, peak: {{fp16: {fp16}, fp32: {fp32}}}, reads: {{hbm: {{}}}}}}
links:
  gpu<->gpu: {{bandwidth: {link}}}
  host<->gpu.hbm: {{bandwidth: {host}}}
tiers:
  host: {{kind: host, capacity: 1 TB, bandwidth: 100 GB/s}}
"""
V100 = {  # NVIDIA V100 data sheet: 815 mm^2, 12FFN
    "process": "N16",
    "sram": "6 MiB",
    "hbm": "900 GB/s",
    "fp16": "125 TFLOP/s",
    "fp32": "15.7 TFLOP/s",
    "link": "150 GB/s",
    "host": "16 GB/s",
}
MI250X = {  # half of an AMD Instinct MI250X (Hot Chips 34), N6; on a photograph some 790 mm^2 (Tom's Hardware)
    "process": "N6",
    "sram": "8 MiB",
    "hbm": "1.6384 TB/s",
    "fp16": "191.5 TFLOP/s",
    "fp32": "23.9 TFLOP/s",
    "link": "450 GB/s",  # to the other die and to other packages
    "host": "32 GB/s",
}


def die(folder: Path, figures: dict[str, str]) -> float:
    (folder / "own.yaml").write_text(OWN.format(**figures))
    return float(area(load_system(folder / "own.yaml"), load_costs(overrides=OLD)).total / MM2)


def test_dies_that_the_densities_were_fitted_to(tmp_path: Path) -> None:
    assert area(load_system("dgx-a100"), COSTS).total / MM2 == pytest.approx(826, rel=0.01)
    assert area(H100, COSTS).total / MM2 == pytest.approx(814, rel=0.01)
    assert die(tmp_path, V100) == pytest.approx(815, rel=0.01)


def test_dies_that_nothing_was_fitted_to(tmp_path: Path) -> None:
    rtx4090 = load_system("rtx4090-gen4", [L2.format("72 MiB")])
    assert area(rtx4090, COSTS).total / MM2 == pytest.approx(608.5, rel=0.05)
    peak = "devices.gpu.engines.gpu.peak={fp32: 48.7 TFLOP/s, fp16: 97.5 TFLOP/s, int8: 390 TOP/s}"
    rtx4080 = load_system("rtx4090-gen4", [L2.format("64 MiB"), "devices.gpu.tiers.vram.bandwidth=716.8 GB/s", peak])
    assert area(rtx4080, COSTS).total / MM2 == pytest.approx(378.6, rel=0.15)
    assert die(tmp_path, MI250X) == pytest.approx(790, rel=0.25)


def test_sn40l_comes_out_below_what_its_paper_allows() -> None:
    # Two dies of less than 650 mm^2; 102 billion transistors would be 1,040 mm^2 at the density of H100's.
    modelled = area(load_system("sn40l-node"), COSTS).total / MM2
    assert 0.6 * 1040 < modelled < 1300


def test_logic_pim_takes_what_its_paper_says() -> None:
    # arXiv 2409.01141: 17.80 mm^2 of each of five stacks, beside the xPU's die.
    got = area(load_system("duplex-node"), COSTS)
    assert got.in_memory["xpu.pim"] / MM2 == pytest.approx(5 * 17.80, rel=1e-3)
    assert got.total == area(load_system("duplex-h100"), COSTS).total
    assert area(load_system("duplex-bank-pim"), COSTS).in_memory == {"xpu.pim": None}


def test_an_h100_costs_what_analysts_say() -> None:
    # Die, HBM and CoWoS: 2,400 to 2,500 USD (siliconanalysts.com, szyunze.com), 3,320 with test and boards.
    parts = price(H100, COSTS).parts
    assert sum(parts[f"gpu.{part}"] for part in ("die", "hbm", "package")) / 8 == pytest.approx(2450, rel=0.1)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_has_an_area_and_a_price_or_says_what_lacks(name: str) -> None:
    system = load_system(name)
    devices = system.machine.devices
    for device, part in devices.items():
        if part.process is None:  # a wafer, cores with matrix units: the table has no such
            with pytest.raises(ConfigError, match=rf"devices\.{device}\.process: missing key"):
                area(system, COSTS, device)
        else:
            assert 0 < area(system, COSTS, device).total < 2100 * MM2  # B200 and GB200 have two dies, Max 1550 dozens
    if any(engine.pim and engine.pim.area is None for engine in system.engines.values()):
        with pytest.raises(ConfigError, match=r"\.pim\.area: missing key"):
            price(system, COSTS)
    elif all(part.process for part in devices.values()):
        assert price(system, COSTS).total > 0


def test_every_figure_of_the_table_has_a_source() -> None:
    def leaves(node, path=()):
        if isinstance(node, dict):
            for key, inner in node.items():
                yield from leaves(inner, (*path, key))
        elif path[-1] not in ("name", "description"):
            yield path

    for path in leaves(COSTS.config.data):
        assert COSTS.config.source(*path) is not None, f"{'.'.join(path)} has no source"


def test_a_table_is_no_machine() -> None:
    assert "silicon" not in SHIPPED
    assert data.names("hwconfigs/costs") == ["silicon"]


# More is never less.
RATES = {
    "devices.gpu.tiers.hbm.bandwidth": 20e12,
    "devices.gpu.engines.gpu.peak.bf16": 5e15,
    "devices.gpu.engines.gpu.peak.fp32": 200e12,
    "links.gpu<->gpu.bandwidth": 4e12,
    "links.host<->gpu.hbm.bandwidth": 1e12,
}


@pytest.mark.parametrize("path", RATES)
def test_faster_is_never_smaller_nor_cheaper(path: str) -> None:
    points = RATES[path] * np.geomspace(1e-4, 1, 50)
    system = H100.at({path: points})
    for values in (area(system, COSTS).total, price(system, COSTS).total):
        assert np.shape(values) == (50,)
        assert np.all(np.diff(values) >= 0)
    assert area(system, COSTS).total[-1] > area(system, COSTS).total[0]


@given(st.floats(1, 500), st.floats(1, 500), st.sampled_from(sorted(COSTS.table.processes)))
def test_more_sram_is_more_area_and_a_larger_die_is_dearer(one: float, other: float, process: str) -> None:
    less, more = sorted((one, other))
    small, large = (
        load_system("dgx-h100", [f"devices.gpu.tiers.sram.capacity={size} MiB", f"devices.gpu.process={process}"])
        for size in (less, more)
    )
    assert area(small, COSTS).total <= area(large, COSTS).total
    assert price(small, COSTS).total <= price(large, COSTS).total
    assert die_price(less * MM2, COSTS, process) <= die_price(more * MM2, COSTS, process)


@given(st.lists(st.tuples(*(st.floats(1e-3 * most, most) for most in RATES.values())), min_size=1, max_size=5))
def test_many_points_equal_one_at_a_time(points: list[tuple[float, ...]]) -> None:
    many = H100.at({path: np.array(values) for path, values in zip(RATES, zip(*points, strict=True), strict=True)})
    got = area(many, COSTS).total, price(many, COSTS).total, peak_power(many).total
    for place, point in enumerate(points):
        one = load_system("dgx-h100", [f"{path}={value!r}" for path, value in zip(RATES, point, strict=True)])
        want = area(one, COSTS).total, price(one, COSTS).total, peak_power(one).total
        assert [np.broadcast_to(values, len(points))[place] for values in got] == pytest.approx(want, rel=1e-12)


def test_a_stated_dtype_alone_counts(load) -> None:
    system = load("fp32: 10 TFLOP/s", "fp32: 500 TFLOP/s")
    assert area(system, COSTS, dtype="bf16").total < area(system, COSTS).total
    assert area(system, COSTS, dtype="bf16").total == pytest.approx(area(load(), COSTS, dtype="bf16").total)
    assert price(system, COSTS, dtype="bf16").total < price(system, COSTS).total
    with pytest.raises(ConfigError, match=r"found bf17, expected one of bf16, fp32; did you mean 'bf16'"):
        area(system, COSTS, dtype="bf17")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    process: N5\n", "", r"chip\.yaml:2: devices\.chip\.process: missing key: expected one of N16, N7"),
        ("process: N5", "process: N55", r"chip\.yaml:4: .*no such process: found 'N55'.*did you mean 'N5'"),
        ("{bf16: 200 TFLOP/s, fp32: 10 TFLOP/s}", "{fp64: 1 TFLOP/s}", r"core\.peak: found fp64, expected one of bf16"),
    ],
)
def test_machines_without_what_it_takes_are_refused(load, old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        area(load(old, new), COSTS)


def table(*overrides: str) -> Costs:
    return load_costs(overrides=overrides)


def test_tables_without_what_it_takes_are_refused(load) -> None:
    with pytest.raises(ConfigError, match=r"tiers\.hbm: missing key: expected one of hbm2e, hbm3"):
        price(load(), table("tiers.hbm=null"))
    with pytest.raises(ConfigError, match=r"technologies\.hbm3\.price: missing key: expected a price such as"):
        price(load(), table("technologies.hbm3.price=null"))
    with pytest.raises(ConfigError, match=r"silicon\.yaml:\d+: compute\.gpu: missing key: expected densities, as of"):
        area(load(), table("compute.gpu=null"))
    with pytest.raises(ConfigError, match=r"links\.node: missing key"):
        area(load(), table("links.node=null"))
    with pytest.raises(ConfigError, match=r"tiers\.hbm: found 'hbm33', .*did you mean 'hbm3'"):
        table("tiers.hbm=hbm33")
    with pytest.raises(ConfigError, match=r"stacks: found 'N77', .*did you mean 'N7'"):
        table("stacks=N77")
    with pytest.raises(ConfigError, match=r"wafer\.diameter: found '300 mn'"):
        table("wafer.diameter=300 mn")
    with pytest.raises(ConfigError, match="did you mean 'silicon'"):
        load_costs("silicone")
    with pytest.raises(ConfigError, match="did you mean 'N5'"):
        die_price(1e-4, COSTS, "N5P")


def test_a_table_of_ones_own_extends_ours(tmp_path: Path, load) -> None:
    (tmp_path / "mine.yaml").write_text("extends: silicon\nprocesses: {N5: {wafer_price: 8250 USD}}\n")
    mine, ours = load_costs(tmp_path / "mine.yaml"), COSTS
    system = load()
    assert price(system, mine).parts["chip.die"] == pytest.approx(price(system, ours).parts["chip.die"] / 2)
    assert area(system, mine).total == area(system, ours).total


def test_a_machine_may_be_said_to_have_another_memory(load) -> None:
    system = load()
    assert table("tiers.hbm=ddr5").tier(system, "chip.hbm").price == pytest.approx(3.1e-9)
    by_name = ('tiers."chip.hbm"=ddr5',)
    assert table(*by_name).tier(system, "chip.hbm").price == pytest.approx(3.1e-9)
    assert table(*by_name, 'tiers."chip.chip.hbm"=hbm2e').tier(system, "chip.hbm").price == pytest.approx(11e-9)
