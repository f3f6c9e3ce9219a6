"""Machines as graphs and resources; what ships agrees with what is published, and every figure has a source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import data
from simulator.config.plausible import figures as numbers
from simulator.core import closed_form
from simulator.errors import ConfigError, dotted, unwarned
from simulator.hardware import System, load_system
from simulator.mapping.lowering import model_plan
from simulator.mapping.target import target
from simulator.workload import decode, load_model

SHIPPED = data.names("hwconfigs")
TINY = """
devices:
  chip:
    count: 2
    tiers:
      hbm: {kind: hbm, capacity: 16 GB, bandwidth: 1 TB/s, write_bandwidth: 500 GB/s, latency: 1 us}
      ddr: {kind: ddr, capacity: 64 GB, bandwidth: 100 GB/s, full_duplex: true, write_bandwidth: 50 GB/s}
    engines:
      core: {kind: gpu, peak: {bf16: 100 TFLOP/s}, reads: {hbm: {bandwidth: 800 GB/s, efficiency: 0.5}}}
    links:
      ddr<->hbm: {bandwidth: 100 GB/s}
tiers:
  host: {kind: host, capacity: 1 TB, bandwidth: 200 GB/s}
links:
  host->chip.ddr: {bandwidth: 10 GB/s, parallel: 4}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> System:
    (tmp_path / "tiny.yaml").write_text(TINY)
    return load_system(tmp_path / "tiny.yaml")


def figures(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(node, dict):
        for key, inner in node.items():
            yield from figures(inner, (*path, key))
    elif path == ("aliases",):
        return
    elif isinstance(node, list) or (any(c.isdigit() for c in str(node)) and path[-1] not in ("name", "description")):
        yield path


@pytest.mark.parametrize("name", SHIPPED)
def test_every_figure_that_ships_has_a_source_or_is_an_assumption(name: str) -> None:
    config = load_system(name).config
    for path in figures(config.data):
        assert config.source(*path) is not None, f"{name}: {'.'.join(path)} has no source"


@pytest.mark.parametrize("name", SHIPPED)
def test_graph_and_resources_say_the_same(name: str) -> None:
    system = load_system(name)
    resources = {resource.name for resource in system.resources}
    assert {edge for *_, edge in system.graph.edges(data="resource")} <= resources
    assert set(system.tiers) | set(system.engines) <= resources
    for resource in resources:
        node = system.config.data
        for key in system.key(resource):
            node = node[key]


def test_sn40l_node_adds_up_to_the_published_sums() -> None:
    # arXiv 2405.07518: 5.1 PFLOPS, 4.06 GiB of SRAM, 512 GiB of HBM at 14.4 TB/s, 12 TiB of DDR at 1.6 TB/s.
    system = load_system("sn40l-node")
    sockets = system.count("socket")
    assert sockets == 8
    assert system.engines["socket.rdu"].peak["bf16"] * sockets == pytest.approx(5.1e15, rel=1e-2)
    assert system.capacity("socket.sram") / 2**30 == pytest.approx(4.06, abs=5e-3)
    assert system.capacity("socket.hbm") == 512 * 2**30
    assert system.capacity("socket.ddr") == 12 * 2**40
    assert float(system["socket.hbm"].capacity) * sockets == pytest.approx(14.4e12)
    assert float(system["socket.ddr"].capacity) * sockets == pytest.approx(1.6e12)
    assert load_system("sn40l-rack16").capacity("socket.hbm") == 1024 * 2**30


def test_resources_have_the_names_and_capacities_of_the_design(tiny: System) -> None:
    got = {r.name: (r.capacity, r.count) for r in tiny.resources}
    assert got == {
        "chip.hbm": (1e12, 2),
        "chip.ddr": (1e11, 2),
        "chip.ddr.write": (5e10, 2),
        "host": (2e11, 1),
        "chip.core": (1.0, 2),
        "chip.hbm->chip.core": (8e11, 2),
        "chip.ddr->chip.hbm": (1e11, 2),
        "chip.hbm->chip.ddr": (1e11, 2),
        "host->chip.ddr": (4e10, 1),
    }
    assert tiny["chip.core"].slots == 1


def test_routes_are_the_paths_of_the_graph(tiny: System) -> None:
    assert tiny.route("host", "chip.hbm") == ["host", "chip.ddr", "chip.hbm"]
    with pytest.raises(ConfigError, match=r"no link leads from chip\.hbm to host"):
        tiny.route("chip.hbm", "host")
    with pytest.raises(ConfigError, match=r"did you mean 'chip\.hbm'"):
        tiny.route("host", "chip.hbn")


def test_asking_for_what_is_not_there_names_the_nearest(tiny: System) -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'chip\.hbm'"):
        tiny["chip.hbmm"]
    with pytest.raises(ConfigError, match="did you mean 'chip'"):
        tiny.device("chap")


VARIED = {
    "devices.gpu.tiers.hbm.bandwidth": (1e12, 4e12),
    "devices.gpu.engines.gpu.peak.bf16": (1e13, 1e15),
    "devices.gpu.engines.gpu.efficiency": (0.1, 1.0),
    "devices.gpu.engines.gpu.launch_overhead": (0.0, 1e-5),
    "links.gpu<->gpu.bandwidth": (1e10, 1e12),
    "links.gpu<->gpu.latency": (0.0, 1e-4),
}


@pytest.mark.parametrize("paths", [list(VARIED), *([path] for path in VARIED)])
def test_design_points_at_once_equal_one_at_a_time(paths: list[str]) -> None:
    rng = np.random.default_rng(3)
    points = {path: rng.uniform(*VARIED[path], 7) for path in paths}
    system, model, batch = load_system("dgx-a100"), load_model("mixtral-8x7b"), decode(4, 1000)
    together = closed_form(model_plan(target(system.at(points)), model, batch)).time
    for i in range(7):
        one = load_system("dgx-a100", [f"{path}={float(points[path][i])!r}" for path in paths])
        assert closed_form(model_plan(target(one), model, batch)).time == pytest.approx(
            np.asarray(together)[i], rel=1e-12
        )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("devices.gpu.tiers.hbm.bandwith", "did you mean 'bandwidth'"),
        ("devices.gpu.count", "cannot vary in one call"),
        ("devices.gpu.tiers.hbm.capacity", "cannot vary in one call"),
        ("devices.gpu.tiers.hbm.bandwidth.x", "no further key"),
        ("devices.gpu", "a section"),
    ],
)
def test_what_cannot_vary_is_refused(path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_system("dgx-a100").at({path: np.array([1.0, 2.0])})


def test_design_points_must_be_alike_and_sensible() -> None:
    system = load_system("dgx-a100")
    with pytest.raises(ConfigError, match="lengths"):
        system.at({"links.gpu<->gpu.latency": np.ones(2), "links.gpu<->gpu.bandwidth": np.ones(3)})
    with pytest.raises(ConfigError, match="out of range, expected 0 or more"):
        system.at({"links.gpu<->gpu.latency": np.array([1.0, -1.0])})
    with pytest.raises(ConfigError, match="out of range, expected above 0"):
        system.at({"devices.gpu.tiers.hbm.bandwidth": np.array([1.0, 0.0])})
    with pytest.raises(ConfigError, match="1 at most"):
        system.at({"devices.gpu.engines.gpu.efficiency": np.array([0.5, 5.0])})


def test_a_link_whose_name_has_a_dot_is_found() -> None:
    assert load_system("dgx-a100", ["links.host<->gpu.hbm.bandwidth=1 GB/s"])["host->gpu.hbm"].capacity == 8e9
    varied = load_system("dgx-a100").at({"links.host<->gpu.hbm.bandwidth": np.array([1e9, 2e9])})
    assert np.asarray(varied["host->gpu.hbm"].capacity).tolist() == [8e9, 16e9]


@given(st.data())
@settings(max_examples=25)
def test_a_figure_that_is_replaced_is_one_that_is_loaded_so(drawn: st.DataObject) -> None:
    """To the bit, with what is derived from it; or it is refused in the same words."""
    name = drawn.draw(st.sampled_from(SHIPPED))
    system = load_system(name)
    written = [f for f in numbers(system.machine) if f.path[:-1] in system.config.marks and type(f.path[-1]) is str]
    some = drawn.draw(st.lists(st.sampled_from(written), min_size=1, max_size=3, unique_by=lambda each: each.path))
    factors = st.sampled_from([0.5, 1.0, 1.001, 2.0])
    values = {each.path: (each.value * drawn.draw(factors) if each.unit else int(each.value) + 1) for each in some}
    with unwarned():
        try:
            loaded = load_system(name, [f"{dotted(path)}={value!r}" for path, value in values.items()])
        except ConfigError as error:
            with pytest.raises(ConfigError, match=f"^{re.escape(str(error))}$"):
                system.replaced({".".join(map(str, path)): value for path, value in values.items()})
            return
        other = system.replaced({".".join(map(str, path)): value for path, value in values.items()})
    for unset in (False, True):  # what the file says is known too: from that the rest is derived
        assert other.machine.model_dump(exclude_unset=unset) == loaded.machine.model_dump(exclude_unset=unset)
    assert other.config == loaded.config


def test_devices_are_those_of_all_nodes() -> None:
    two = load_system("dgx-a100", ["nodes=2"])
    assert two.count("gpu.hbm") == 16
    assert two.with_devices(8).count("gpu.hbm") == 8
    with pytest.raises(ConfigError, match="a multiple of 2"):
        two.with_devices(7)


@pytest.mark.parametrize(("devices", "links"), [(8, 8), (4, 4), (1, 1)])
def test_devices_have_their_share_of_the_links_to_the_node(devices: int, links: int) -> None:
    """An x16 each is no x16 for all: one GPU reads the host over its own."""
    narrowed = load_system("dgx-h100").with_devices(devices)
    assert narrowed.machine.links["host<->gpu.hbm"].parallel == links
    assert narrowed.machine.links["gpu<->gpu"] == load_system("dgx-h100").machine.links["gpu<->gpu"]


def test_a_tier_on_the_chip_lies_behind_none() -> None:
    system = load_system("h100-sxm")
    assert system.behind("gpu.hbm") == ["host"]
    assert all("gpu.sram" not in system.behind(tier) for tier in system.tiers)
