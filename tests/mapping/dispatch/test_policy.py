"""Policies are found by name, ours and others' alike; and what they compare engines by."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from simulator import registry
from simulator.core import closed_form
from simulator.errors import ConfigError
from simulator.hardware import System
from simulator.mapping.dispatch import Choice, Route, policy
from simulator.mapping.dispatch.policy import compute_engine, memory_engine, rates, ridge
from simulator.mapping.target import Target
from simulator.registry import register
from simulator.workload import decode, prefill

Engines = Callable[..., tuple[Target, ...]]
Layer = Callable[..., Route]


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for kind in registry.HOMES:  # ours are registered once, and stay
        registry.names(kind)
    monkeypatch.setattr(registry, "_registered", {kind: dict(known) for kind, known in registry._registered.items()})
    yield


def test_a_name_that_there_is_not_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no such dispatch: found orcale, expected .*; did you mean 'oracle'\?"):
        policy("orcale")


@pytest.mark.usefixtures("restored")
def test_a_policy_of_ones_own(engines: Engines, layer: Layer) -> None:
    """It is found by its name; and the oracle asks it too, so that it is never better than the oracle."""

    @register("dispatch", "in_turn")
    def in_turn(route: Route) -> list[Choice]:
        return [i % len(route.options(step)) for i, step in enumerate(route.steps)]

    for name in ("duplex-node", "box", "pair"):
        route = layer(engines(name), prefill(1, 300) + decode(8, 700))
        mine = route.plan(policy("in_turn")(route))
        assert closed_form(route.plan(policy("oracle")(route))).time <= closed_form(mine).time * (1 + 1e-12)


@pytest.mark.usefixtures("restored")
def test_the_oracle_takes_what_only_another_policy_finds(engines: Engines, layer: Layer) -> None:
    """Asked are all that are registered at the time: one that knows the optimum makes the oracle optimal."""
    route = layer(engines("box"), decode(64, 2000), "llama-2-7b")
    before = policy("oracle")(route)
    asked = []

    @register("dispatch", "known")
    def known(route: Route) -> list[Choice]:
        asked.append(route)
        return before

    policy("oracle")(route)
    assert asked == [route]


def test_rates_are_those_that_are_achieved(engines: Engines, machine: Callable[..., System]) -> None:
    xpu, pim = engines("duplex-node")
    system = machine("duplex-node")
    bus, port = system["xpu.hbm->xpu.xpu"], system["xpu.hbm->xpu.pim"]
    assert rates(xpu) == (989.4e12, pytest.approx(float(bus.efficiency) * float(bus.capacity)))  # type: ignore[arg-type]
    assert rates(pim)[1] == pytest.approx(float(port.efficiency) * float(port.capacity))  # type: ignore[arg-type]
    assert rates(pim)[1] > float(system["xpu.hbm"].capacity)  # no byte of it crosses the bus
    gpu, cpu = engines("box", "devices.box.engines.gpu.efficiency=0.5", "devices.box.tiers.ddr.efficiency=0.25")
    assert rates(gpu) == (450e12, 3e12)
    assert rates(cpu) == (20e12, pytest.approx(150e9))


def test_the_ridge_tells_which_engine_is_for_what(engines: Engines, layer: Layer) -> None:
    for name in ("duplex-node", "box", "pair"):
        high, low = engines(name)
        peak, bandwidth = rates(high)
        assert ridge(high) == pytest.approx(float(peak / bandwidth))
        for order, expected in (((high, low), (0, 1)), ((low, high), (1, 0))):
            route = layer(order, decode(1, 10))
            assert (compute_engine(route), memory_engine(route)) == expected


def test_one_engine_is_for_all(engines: Engines, layer: Layer) -> None:
    route = layer(engines("duplex-node")[:1], prefill(1, 300) + decode(8, 700))
    for name in registry.names("dispatch"):
        assert policy(name)(route) == [0] * len(route.steps)
