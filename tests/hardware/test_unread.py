"""Figures on which nothing depends are told, and those that are told change nothing."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import estimate
from simulator.errors import ConfigError, TiersimWarning, dotted
from simulator.hardware import System, load_system
from simulator.hardware.machine import Engine
from simulator.hardware.unread import UNREAD

ENGINES = {
    "gpu": ("dgx-h100", "devices.gpu.engines.gpu"),
    "cpu": ("m1-max", "devices.soc.engines.cpu"),
    "dataflow": ("sn40l-node", "devices.socket.engines.rdu"),
    "pim": ("dgx-h100", "devices.gpu.engines.gpu"),  # told to be one
}
GRID = "{pcus: 500, pmus: 500}"
OTHER = {  # a value that no engine above has
    "peak": ("peak.bf16", "500 TFLOP/s"),
    "efficiency": ("efficiency", "0.4"),
    "launch_overhead": ("launch_overhead", "11 us"),
    "command": ("command", "11 us"),
    "mode_switch": ("mode_switch", "11 us"),
    "energy_per_flop": ("energy_per_flop", "0.9 pJ/FLOP"),
    "fusion": ("fusion", "unfused"),  # conventional where it is
    "fabric": ("fabric", GRID),
    "shape_overhead": ("shape_overhead", "1 ms"),
    "operands": ("operands", "{kv_copies: 2}"),
    "experts": ("experts", "one_by_one"),  # grouped where it is
    "chip": ("chip", "{sms: 66, clock: 1 GHz, shared_memory: 100 KiB, registers: 64 KiB}"),
}
ELSEWHERE = {"kind", "reads", "slots", "pim", "default", "units"}
"""Which make it what it is; `slots` counts where kernels queue, `pim` is refused by other kinds, `default` is of
several engines, and `units` are what a `peak` that is not given follows from."""
NEURONS = {"gpu": {"shape_overhead", "chip"}, "cpu": {"shape_overhead"}}
"""What counts for neurons from flash (tests/mapping/neurons) and single operators (tests/mapping/gpu) alone."""


def loaded(name: str, *overrides: str) -> tuple[System, list[ConfigError]]:
    """A machine, and what is warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TiersimWarning)
        system = load_system(name, overrides)
    return system, [each.message.problem for each in caught if isinstance(each.message, TiersimWarning)]


def result(system: System) -> dict[str, Any]:
    """Of a dense model and of a mixture of experts."""
    found = {model: estimate(system, model, 4, 300, 20).as_json() for model in ("llama-3-8b", "mixtral-8x7b")}
    return {model: {k: v for k, v in each.items() if k != "provenance"} for model, each in found.items()}


def of_kind(kind: str) -> tuple[str, str, list[str]]:
    """A machine, where its engine is, and what makes it of that kind, with all that an estimate may read."""
    name, at = ENGINES[kind]
    common = [
        f"{at}.kind={kind}",
        f"{at}.default=true",
        f"{at}.launch_overhead=2 us",
        f"{at}.peak.bf16=20 TFLOP/s",
        f"{at}.energy_per_flop=0.7 pJ/FLOP",
    ]
    common += ["devices.soc.tiers.dram.capacity=200 GB"] if kind == "cpu" else []
    common += [f"{at}.chip=null"] if kind == "pim" else []
    if kind == "dataflow":
        common += [f"devices.socket.tiers.{tier}.energy=4 pJ/bit" for tier in ("sram", "hbm", "ddr")]
        common += ["devices.socket.static_power=70 W", "static_power=2 kW", "links.socket<->socket.energy=8 pJ/bit"]
        common += ["devices.socket.links.ddr<->hbm.energy=8 pJ/bit"]
    return name, at, common


@pytest.mark.parametrize("kind", UNREAD)
def test_a_key_of_an_engine_counts_or_is_told(kind: str) -> None:
    name, at, common = of_kind(kind)
    system, warned = loaded(name, *common)
    before = result(system)
    assert warned == []
    for key in Engine.model_fields.keys() - ELSEWHERE:
        path, value = OTHER[key]
        value = {"fusion": "conventional", "experts": "grouped"}.get(key, value) if kind == "pim" else value
        system, warned = loaded(name, *common, f"{at}.{path}={value}")
        if key in UNREAD[kind]:
            assert [dotted(each.path or ()) for each in warned] == [f"{at}.{key}"]
            assert f"'{kind}'" in str(warned[0])
            assert result(system) == before, key
        elif key not in NEURONS.get(kind, set()):
            assert warned == [], key
            assert result(system) != before, key


def times(system: System) -> tuple[float, ...]:
    found = estimate(system, "llama-3-8b", 8, 200, 8, devices=8, runtime="ideal")
    return found.ttft_s, found.tbt_s, found.e2e_s


FRACTIONS = st.floats(0.2, 1.0)
CURVES = st.lists(st.floats(0.3, 1.0), min_size=2, max_size=3).map(
    lambda rising: f"{{sizes: {[10.0 ** (6 + i) for i in range(len(rising))]}, fractions: {sorted(rising)}}}"
)


@given(
    st.floats(0.3, 6.0), st.one_of(FRACTIONS, CURVES), st.one_of(FRACTIONS, CURVES), st.floats(0.3, 3.0), st.booleans()
)
def test_a_port_that_is_told_is_as_good_as_a_faster_one(
    faster: float, port: float | str, tier: float | str, write: float, duplex: bool
) -> None:
    hbm, reads = "devices.gpu.tiers.hbm", "devices.gpu.engines.gpu.reads"
    machine = [f"{hbm}.efficiency={tier}", f"{hbm}.write_bandwidth={3.35 * write} TB/s"]
    machine += [f"{hbm}.full_duplex={str(duplex).lower()}", f"{reads}.hbm="]  # and its own efficiency is none
    system, warned = loaded(
        "dgx-h100", *machine, f"{reads}.hbm={{bandwidth: {3.35 * faster} TB/s, efficiency: {port}}}"
    )
    capped = [each for each in warned if "nothing depends on it" in str(each)]
    if capped:
        perfect, _ = loaded("dgx-h100", *machine, f"{reads}.hbm={{bandwidth: {3.35 * 2 * faster} TB/s}}")
        assert times(system) == times(perfect)
    if isinstance(port, float) and isinstance(tier, float) and not duplex and write <= 1:
        assert bool(capped) == (faster >= 1 and faster * port > tier)


@pytest.mark.parametrize("kind", ["gpu", "pim"])
def test_a_port_faster_than_its_tier_is_told(kind: str) -> None:
    reads = "devices.gpu.engines.gpu.reads.hbm"
    common = ["devices.gpu.engines.gpu.kind=" + kind]
    common += ["devices.gpu.engines.gpu.chip=null"] if kind == "pim" else []
    system, (problem,) = loaded("dgx-h100", *common, f"{reads}.bandwidth=13.4 TB/s")
    assert dotted(problem.path or ()) == f"{reads}.bandwidth"
    text = str(problem)
    assert all(each in text for each in ("13.4 TB/s", "3.35 TB/s of devices.gpu.tiers.hbm", "'pim'", "'stack'"))
    capped, _ = loaded("dgx-h100", *common, f"{reads}.bandwidth=26.8 TB/s")
    assert result(system) == result(capped)


def test_an_efficiency_above_that_of_the_tier_is_told() -> None:
    machine = ["devices.gpu.tiers.hbm.efficiency=0.5", "devices.gpu.engines.gpu.reads.hbm={efficiency: null}"]
    _, warned = loaded("dgx-h100", *machine, "devices.gpu.engines.gpu.reads.hbm={efficiency: 0.9}")
    assert [dotted(each.path or ()) for each in warned] == ["devices.gpu.engines.gpu.reads.hbm.efficiency"]
    assert loaded("dgx-h100", *machine, "devices.gpu.engines.gpu.reads.hbm={efficiency: 0.4}")[1] == []


def test_bundles_are_kept_by_the_rate_of_a_port() -> None:
    path = "devices.xpu.engines.xpu.reads.hbm.bandwidth=13 TB/s"
    assert loaded("duplex-node", path)[1] == []
    assert len(loaded("duplex-h100", path)[1]) == 1


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("links.host<->gpu={bandwidth: 64 GB/s}", "nothing crosses it: found a link of host and gpu"),
        ('links."host->gpu.gpu"={bandwidth: 64 GB/s}', "nothing crosses it: found a link of host and gpu.gpu"),
        ("devices.gpu.links={hbm->gpu: {bandwidth: 64 GB/s}}", "found a link of gpu.hbm and gpu.gpu"),
        ("links.host<->gpu.hbm.algorithm=ring", "nothing reads it: found 'algorithm' in a link that no collective"),
    ],
)
def test_a_link_that_nothing_crosses_is_told(link: str, message: str) -> None:
    _, (problem,) = loaded("dgx-h100", link)
    assert message in str(problem)


def test_a_link_between_nodes_and_one_between_tiers_is_crossed() -> None:
    assert loaded("dgx-h100", "links={node<->node: {bandwidth: 400 GB/s}}")[1] == []


def test_how_a_bundle_is_read_counts_where_there_are_bundles() -> None:
    path = "devices.xpu.tiers.hbm.stack.bus_read"
    _, (problem,) = loaded("duplex-h100", f"{path}=bank_exact")
    assert dotted(problem.path or ()) == path
    assert loaded("duplex-node", f"{path}=bank_exact")[1] == []


def test_what_stands_in_a_file_is_told_with_its_line(tmp_path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(
        "extends: dgx-h100\ndevices:\n  gpu:\n    engines:\n      gpu:\n        fabric: {pcus: 9, pmus: 9}\n"
    )
    _, (problem,) = loaded(str(file))
    assert (problem.file, problem.line) == (file, 6)


@pytest.mark.parametrize(("kind", "warned"), [("mram", "sram"), ("hbn", "hbm"), ("optane", None)])
def test_a_kind_of_memory_that_nobody_thought_of_needs_no_code(kind: str, warned: str | None) -> None:
    system, told = loaded("dgx-h100", f"devices.gpu.tiers.hbm.kind={kind}")
    assert [each.nearest for each in told] == ([warned] if warned else [])
    assert not system.tiers["gpu.hbm"].on_chip
    assert times(system) == times(load_system("dgx-h100"))


def test_on_chip_memory_alone_is_the_main_memory() -> None:
    alone = ("devices.gpu.tiers.hbm=", "devices.gpu.engines.gpu.reads.hbm=", "links.host<->gpu.hbm=")
    system, _ = loaded("dgx-h100", *alone, "devices.gpu.tiers.sram.capacity=80 GiB")
    plain, _ = loaded("dgx-h100")
    assert times(system)[1] < times(plain)[1]
    assert set(estimate(system, "llama-3-8b", 8, 200, 8, runtime="ideal").footprint.tiers) == {"gpu.sram"}
