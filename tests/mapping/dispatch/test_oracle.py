"""The oracle is never slower than any other policy; over one memory it is the optimum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import closed_form
from simulator.hardware import System
from simulator.mapping.dispatch import Choice, Route, policy
from simulator.mapping.target import Target, target
from simulator.registry import names
from simulator.workload import Block, Operator, decode, prefill

Engines = Callable[..., tuple[Target, ...]]

# Of each machine, what makes its engines alike, or one of them useless.
RATES: dict[str, list[tuple[str, ...]]] = {
    "duplex-node": [
        (),
        ("devices.xpu.engines.pim.launch_overhead=20 us",),
        ("devices.xpu.engines.xpu.fusion=conventional", "devices.xpu.engines.xpu.launch_overhead=5 us"),
        ("devices.xpu.engines.pim.efficiency=0.05", "links.xpu<->xpu.latency=0 s"),
        ("devices.xpu.engines.xpu.efficiency=0.05", "devices.xpu.engines.pim.mode_switch=3 us"),
    ],
    "box": [
        (),
        ("devices.box.tiers.ddr.bandwidth=4 TB/s",),
        ("devices.box.links.ddr<->hbm.bandwidth=5 TB/s", "devices.box.tiers.ddr.bandwidth=4 TB/s"),
        ("devices.box.engines.cpu.peak.bf16=900 TFLOP/s", "devices.box.links.ddr<->hbm.latency=0 s"),
        (
            "devices.box.count=4",
            "devices.box.tiers.ddr.bandwidth=4 TB/s",
            "devices.box.engines.gpu.launch_overhead=0 s",
        ),
    ],
    "pair": [(), ("links.fast.hbm<->near.ddr.bandwidth=2 TB/s",), ("devices.near.count=8",)],
}


def seconds(route: Route, choices: Sequence[Choice]) -> Any:
    return closed_form(route.plan(choices)).time


@st.composite
def routes(draw: st.DrawFn, engines: Engines, blocks: Any, points: int | None) -> Route:
    """A block of a model on a machine with two engines, in either order; its batch a number or an array."""
    name = draw(st.sampled_from(list(RATES)))
    both = engines(name, *draw(st.sampled_from(RATES[name])))[:: draw(st.sampled_from([1, -1]))]

    def number(most: int) -> Any:
        if points is None:
            return draw(st.integers(1, most))
        return np.array(draw(st.lists(st.integers(1, most), min_size=points, max_size=points)), dtype=float)

    phases = draw(st.sampled_from(["decode", "prefill", "mixed"]))
    batch = (() if phases == "decode" else prefill(number(4), number(3000))) + (
        () if phases == "prefill" else decode(number(600), number(20_000))
    )
    of = draw(st.sampled_from(["llama-2-7b", "mixtral-8x7b", "qwen2-57b-a14b"]))
    return Route(both, draw(st.sampled_from(blocks(of, batch))), draw(st.booleans()))


def never_slower(route: Route) -> None:
    oracle = np.asarray(seconds(route, policy("oracle")(route)))
    for name in names("dispatch"):
        assert np.all(oracle <= np.asarray(seconds(route, policy(name)(route))) * (1 + 1e-12)), name


@settings(max_examples=25)
@given(st.data())
def test_never_slower_than_any_other_policy(engines: Engines, blocks: Any, data: st.DataObject) -> None:
    never_slower(data.draw(routes(engines, blocks, None)))


@settings(max_examples=15)
@given(st.data())
def test_nor_at_any_of_many_points(engines: Engines, blocks: Any, data: st.DataObject) -> None:
    never_slower(data.draw(routes(engines, blocks, data.draw(st.integers(1, 5)))))


@settings(max_examples=40)
@given(st.data())
def test_over_one_memory_it_is_the_optimum(engines: Engines, random_blocks: Any, data: st.DataObject) -> None:
    both = engines("duplex-node", *data.draw(st.sampled_from(RATES["duplex-node"])))
    route = Route(both, data.draw(random_blocks(most=5, partial=True)), data.draw(st.booleans()))
    every = product(*(range(len(route.options(step))) for step in route.steps))
    best = min(seconds(route, list(choices)) for choices in every)
    assert seconds(route, policy("oracle")(route)) == pytest.approx(best, rel=1e-12)


@settings(max_examples=20)
@given(st.data())
def test_over_two_it_is_no_better_than_that(engines: Engines, random_blocks: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["box", "pair"]))
    both = engines(name, *data.draw(st.sampled_from(RATES[name])))
    route = Route(both, data.draw(random_blocks(most=5)))
    every = product(*(range(len(route.options(step))) for step in route.steps))
    best = min(seconds(route, list(choices)) for choices in every)
    assert seconds(route, policy("oracle")(route)) >= best * (1 - 1e-12)
    never_slower(route)


@st.composite
def chains(draw: st.DrawFn) -> Block:
    """Products in a row, each of what the one before made."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    names = [f"o{i}" for i in range(draw(st.integers(2, 6)))]
    made = [1e5, *(draw(st.sampled_from([2e3, 1e5, 4e6])) for _ in names)]
    for i, each in enumerate(names):
        weights, flops = draw(st.sampled_from([6e4, 1e6, 3e7])), draw(st.sampled_from([1e6, 1e9, 3e10]))
        size = {"weight": weights, "input": made[i], "output": made[i + 1]}
        graph.add_node(each, operator=Operator(each, "gemm", flops, size, "bf16"))  # type: ignore[arg-type]
        if i:
            graph.add_edge(names[i - 1], each, bytes=made[i])
    return Block("chain", 1, graph, {names[0]: made[0]}, names[-1])


@settings(max_examples=25)
@given(st.data())
def test_over_two_memories_it_is_the_optimum_of_a_chain(engines: Engines, data: st.DataObject) -> None:
    """Where each step reads what the step before it made, and nothing else."""
    name = data.draw(st.sampled_from(["box", "pair"]))
    route = Route(engines(name, *data.draw(st.sampled_from(RATES[name]))), data.draw(chains()))
    every = product(*(range(2) for _ in route.steps))
    best = min(seconds(route, list(choices)) for choices in every)
    assert seconds(route, policy("oracle")(route)) == pytest.approx(best, rel=1e-12)


@settings(max_examples=10)
@given(st.data())
def test_many_points_at_once_are_as_fast_as_each_alone(engines: Engines, blocks: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(RATES)))
    both = engines(name, *data.draw(st.sampled_from(RATES[name])))
    counts = data.draw(st.lists(st.integers(1, 600), min_size=1, max_size=4))
    together, prompts = data.draw(st.booleans()), data.draw(st.sampled_from([(), prefill(1, 500)]))
    many = Route(both, blocks("mixtral-8x7b", prompts + decode(np.array(counts, dtype=float), 900))[1], together)
    times = np.broadcast_to(seconds(many, policy("oracle")(many)), len(counts))
    for i, count in enumerate(counts):
        one = Route(both, blocks("mixtral-8x7b", prompts + decode(count, 900))[1], together)
        assert times[i] == pytest.approx(seconds(one, policy("oracle")(one)), rel=1e-12)


@settings(max_examples=6)
@given(st.lists(st.floats(0.05, 20.0), min_size=1, max_size=5), st.booleans())
def test_rates_of_a_machine_may_be_arrays(
    machine: Callable[..., System], blocks: Any, factors: list[float], together: bool
) -> None:
    """Design points: the bandwidth of the slow memory, from far less to more than that of the other."""
    bandwidth, base = 6e11 * np.array(factors), machine("box")
    block = blocks("mixtral-8x7b", prefill(1, 100) + decode(8, 700))[1]

    def route(of: Any) -> Route:
        system = base.at({"devices.box.tiers.ddr.bandwidth": of})
        return Route((target(system, "box", "gpu"), target(system, "box", "cpu")), block, together)

    many = route(bandwidth)
    never_slower(many)
    for name in ("oracle", "by_op_per_byte"):
        times = np.broadcast_to(seconds(many, policy(name)(many)), len(factors))
        for i, each in enumerate(bandwidth):
            one = route(np.array([each]))
            assert times[i] == pytest.approx(seconds(one, policy(name)(one)).item(), rel=1e-12)


@pytest.mark.parametrize("together", [False, True])
def test_three_engines(machine: Callable[..., System], blocks: Any, together: bool) -> None:
    """A third one, beside the CPU and faster at the same memory, is used; it makes nothing slower."""
    near = "devices.box.engines.near={kind: pim, peak: {bf16: 60 TFLOP/s}, reads: {ddr: {bandwidth: 6 TB/s}}}"
    system = machine("box", near, "devices.box.tiers.ddr.bandwidth=6 TB/s", "devices.box.links.ddr<->hbm.latency=0 s")
    three = tuple(target(system, "box", engine) for engine in ("gpu", "cpu", "near"))
    for block in blocks("llama-2-7b", prefill(1, 2000) + decode(8, 700)):
        two, all_of_them = (Route(each, block, together) for each in (three[:2], three))
        never_slower(all_of_them)
        assert seconds(all_of_them, policy("oracle")(all_of_them)) <= seconds(two, policy("oracle")(two)) * (1 + 1e-12)
    taken = {all_of_them.options(s)[c] for s, c in zip(all_of_them.steps, policy("oracle")(all_of_them), strict=True)}
    assert (2,) in taken
