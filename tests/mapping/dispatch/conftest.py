"""Machines with two engines, over one memory, over two of a device, and on two devices; and models that differ."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from simulator.hardware import System, load_system
from simulator.mapping.dispatch import Route
from simulator.mapping.target import Target, target
from simulator.workload import Batch, Block, Model, load_model, operator_graph

BOX = """\
devices:
  box:
    tiers:
      hbm: {kind: hbm, capacity: 80 GB, bandwidth: 3 TB/s}
      ddr: {kind: ddr, capacity: 1 TB, bandwidth: 600 GB/s}
    engines:
      gpu: {kind: gpu, peak: {bf16: 900 TFLOP/s, fp8: 1800 TFLOP/s}, launch_overhead: 2 us, reads: {hbm: {}}}
      cpu: {kind: cpu, peak: {bf16: 20 TFLOP/s, fp8: 40 TFLOP/s}, reads: {ddr: {}}}
    links:
      ddr<->hbm: {bandwidth: 60 GB/s, latency: 1 us}
links:
  box<->box: {bandwidth: 100 GB/s, latency: 1 us}
"""
PAIR = """\
devices:
  fast:
    count: 4
    tiers: {hbm: {kind: hbm, capacity: 80 GB, bandwidth: 3 TB/s}}
    engines: {gpu: {kind: gpu, peak: {bf16: 900 TFLOP/s, fp8: 1800 TFLOP/s}, reads: {hbm: {}}}}
  near:
    count: 2
    tiers: {ddr: {kind: ddr, capacity: 1 TB, bandwidth: 9 TB/s}}
    engines: {pim: {kind: pim, fusion: conventional, peak: {bf16: 80 TFLOP/s, fp8: 160 TFLOP/s}, reads: {ddr: {}}}}
links:
  fast<->fast: {bandwidth: 400 GB/s, latency: 3 us}
  near<->near: {bandwidth: 400 GB/s, latency: 3 us}
  fast.hbm<->near.ddr: {bandwidth: 100 GB/s, parallel: 2, latency: 2 us}
"""
PLACES = {
    "duplex-node": (("xpu", "xpu"), ("xpu", "pim")),
    "box": (("box", "gpu"), ("box", "cpu")),
    "pair": (("fast", "gpu"), ("near", "pim")),
}

Engines = Callable[..., tuple[Target, ...]]
Blocks = Callable[[str, Batch], tuple[Block, ...]]


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., System]:
    """`duplex` (two engines over one memory), `box` (two memories of a device) or `pair` (two devices), as overridden.

    The first engine of each is made for high Op/B, the second for low; `box` is the only one with a launch overhead.
    """
    folder = tmp_path_factory.mktemp("machines")
    for name, text in (("box", BOX), ("pair", PAIR)):
        (folder / f"{name}.yaml").write_text(text)

    @cache
    def load(name: str, *overrides: str) -> System:
        path: Path = folder / f"{name}.yaml"
        return load_system(path if path.exists() else name, overrides)

    return load


@pytest.fixture(scope="session")
def engines(machine: Callable[..., System]) -> Engines:
    """The engines of a machine by its name, the one for high Op/B first."""

    @cache
    def build(name: str, *overrides: str) -> tuple[Target, ...]:
        system = machine(name, *overrides)
        return tuple(target(system, device, engine) for device, engine in PLACES[name])

    return build


@pytest.fixture(scope="session")
def model() -> Callable[[str], Model]:
    """A shipped model by name."""
    return cache(load_model)


@pytest.fixture(scope="session")
def blocks(model: Callable[[str], Model]) -> Blocks:
    """The blocks of a model's pass over a batch."""
    return lambda name, batch: operator_graph(model(name), batch).blocks


@pytest.fixture(params=PLACES)
def name(request: pytest.FixtureRequest) -> str:
    """Each machine."""
    return str(request.param)


@pytest.fixture
def layer(blocks: Blocks) -> Callable[..., Route]:
    """The decoder layer of a model on some engines."""

    def route(engines: tuple[Target, ...], batch: Batch, model: str = "mixtral-8x7b", together: bool = False) -> Route:
        return Route(engines, blocks(model, batch)[1], together)

    return route
