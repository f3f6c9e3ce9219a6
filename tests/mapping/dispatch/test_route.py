"""The plan of a route does the work of the block once, copies what crosses between memories, and no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import Activity, Plan, closed_form
from simulator.core.events import events
from simulator.mapping.dispatch import Choice, Route
from simulator.mapping.target import Target
from simulator.workload import Batch, Block, decode, prefill

Engines = Callable[..., tuple[Target, ...]]
Layer = Callable[..., Route]
MIXED = prefill(2, 200) + decode(8, 700)
SMALL = ["mixtral-8x7b", "llama-2-7b", "qwen2-57b-a14b"]


def seconds(route: Route, choices: Sequence[Choice]) -> Any:
    return closed_form(route.plan(choices)).time


def by_name(plan: Plan) -> dict[str, Any]:
    """Demand of each resource by its name, of one copy."""
    return {resource.name: units for resource, units in plan.demand().items()}


def moves(plan: Plan) -> list[Activity]:
    return [activity for activity, _ in plan.activities() if activity.name == "move"]


def any_choices(data: st.DataObject, route: Route) -> list[int]:
    return [data.draw(st.integers(0, len(route.options(step)) - 1)) for step in route.steps]


def crossing(route: Route, choices: Sequence[int]) -> list[float]:
    """Bytes from the memory of each engine to the other, over one device each, straight from the block's edges.

    A unit reads a tensor once, however many of its operators do: at most what was made. Of keys and values,
    the new ones go to those of another memory.
    """
    engine = {
        name: route.options(step)[choice][place]
        for step, choice in zip(route.steps, choices, strict=True)
        for place, unit in enumerate(step)
        for name in unit.operators
    }
    sent, graph = [0.0] * len(route.engines), route.block.graph
    for unit in (unit for step in route.steps for unit in step):
        read: dict[str, float] = {}
        for a, b, data in graph.in_edges(unit.operators, data=True):
            if a not in unit.operators and engine[a] != engine[b]:
                read[a] = read.get(a, 0.0) + data["bytes"]
        for made, size in read.items():
            maker = graph.nodes[made]["operator"]
            new = maker.bytes["kv_write"] if maker.kind == "cache" else None  # has no output, and must go all the same
            sent[engine[made]] += min(size, maker.bytes["output"]) if new is None else new
    return sent


# --- work


@pytest.mark.parametrize("together", [False, True])
@settings(max_examples=15)
@given(st.data())
def test_a_plan_does_the_work_of_its_units_and_nothing_is_copied_over_one_memory(
    engines: Engines, blocks: Any, together: bool, data: st.DataObject
) -> None:
    block = blocks(data.draw(st.sampled_from(SMALL)), MIXED)[1]
    route = Route(engines("duplex-node"), block, together)
    choices = any_choices(data, route)
    plan = route.plan(choices)
    assert not moves(plan)
    alone = Plan()
    for step, choice in zip(route.steps, choices, strict=True):
        for unit, engine in zip(step, route.options(step)[choice], strict=True):
            alone.add(route.unit_plan(unit, engine))
            assert not np.any(route.moved(step, route.options(step)[choice], 1 - engine))
    assert plan.demand() == pytest.approx(alone.demand(), rel=1e-12)


@settings(max_examples=60)
@given(st.data())
def test_over_two_memories_what_crosses_is_copied(engines: Engines, random_blocks: Any, data: st.DataObject) -> None:
    block = data.draw(random_blocks(most=7))
    route = Route(engines("box"), block)
    choices = any_choices(data, route)
    plan = route.plan(choices)
    demand = by_name(plan)
    expected = crossing(route, choices)
    links = [demand.get("box.hbm->box.ddr", 0.0), demand.get("box.ddr->box.hbm", 0.0)]
    assert links == pytest.approx(expected, rel=1e-12)
    for move in moves(plan):  # a read of the one memory and a write of the other
        assert len({float(units) for units in move.demand.values()}) == 1
        assert {"box.hbm", "box.ddr"} < {resource.name for resource in move.demand}
    same = Route((route.engines[0], route.engines[0]), block)
    assert not moves(same.plan(choices))


@settings(max_examples=20)
@given(st.data())
def test_so_it_is_in_a_layer(engines: Engines, blocks: Any, data: st.DataObject) -> None:
    block = blocks(data.draw(st.sampled_from(SMALL)), MIXED)[1]
    route = Route(engines("box"), block, data.draw(st.booleans()))
    choices = any_choices(data, route)
    demand = by_name(route.plan(choices))
    links = [demand.get("box.hbm->box.ddr", 0.0), demand.get("box.ddr->box.hbm", 0.0)]
    assert links == pytest.approx(crossing(route, choices), rel=1e-12)


def test_queries_cross_to_the_memory_of_the_cache_and_results_come_back(engines: Engines, layer: Layer) -> None:
    route = layer(engines("box"), decode(8, 700), "llama-2-7b")
    on_cpu = [int(step[0].phase == "decode") for step in route.steps]
    demand, size = by_name(route.plan(on_cpu)), 8 * 4096 * 2.0
    assert demand["box.ddr->box.hbm"] == size
    assert demand["box.hbm->box.ddr"] >= size
    kv, new = (
        2 * 8 * 701 * 4096 * 2.0,
        2 * size,
    )  # keys and values are read where they lie; the new ones are copied there
    assert by_name(route.plan([0] * len(on_cpu)))["box.hbm"] - demand["box.hbm"] == pytest.approx(kv - new)


def test_new_keys_and_values_cross_to_the_memory_of_the_cache(engines: Engines, layer: Layer) -> None:
    route = layer(engines("box"), decode(8, 700), "llama-2-7b")
    on_cpu = [int(step[0].phase == "decode") for step in route.steps]
    assert by_name(route.plan(on_cpu))["box.hbm->box.ddr"] == 3 * 8 * 4096 * 2.0


def test_every_device_that_reads_gets_its_share(engines: Engines, layer: Layer) -> None:
    """Of Q, K and V each device reads the whole input: 4 copies go to 4 devices, 2 to 2."""
    route, size = layer(engines("pair"), decode(8, 700), "llama-2-7b"), 8 * 4096 * 2.0
    assert [unit.name for step in route.steps[:2] for unit in step] == ["attention.norm", "attention.q_proj"]
    rest = [0] * (len(route.steps) - 2)
    there, back = by_name(route.plan([0, 1, *rest])), by_name(route.plan([1, 0, *rest]))
    assert there["fast.hbm->near.ddr"] == 2 * size
    assert back["near.ddr->fast.hbm"] == 4 * size
    (first, *_), latency = moves(route.plan([1, 0, *rest])), 2e-6
    assert first.latency == latency
    demand = {resource.name: units for resource, units in first.demand.items()}
    assert demand == {"near.ddr": 2 * size, "near.ddr->fast.hbm": 4 * size, "fast.hbm": size}  # of one device each
    assert first.alone == pytest.approx(4 * size / 200e9)


def test_what_is_moved_is_what_a_plan_copies(engines: Engines, layer: Layer) -> None:
    route = layer(engines("box"), decode(8, 700), "llama-2-7b")
    for place, step in enumerate(route.steps[:2]):
        choices = [0] * len(route.steps)
        choices[place] = 1
        arriving = moves(route.plan(choices))[0] if place else None
        expected = arriving.latency + arriving.alone if arriving else 0.0  # the block's input has no place
        assert route.moved(step, (1,), 0) == pytest.approx(expected)
        assert route.moved(step, (1,), 1) == 0.0


# --- arrays


@pytest.mark.parametrize("together", [False, True])
@settings(max_examples=8)
@given(st.data())
def test_choices_of_many_points_are_those_of_each(
    engines: Engines, blocks: Any, together: bool, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(["duplex-node", "box", "pair"]))
    points = data.draw(st.integers(1, 4))
    count, context = (
        np.array(data.draw(st.lists(st.integers(1, most), min_size=points, max_size=points)), dtype=float)
        for most in (512, 9000)
    )
    prompts = data.draw(st.sampled_from([(), prefill(1, 300)]))
    route = Route(engines(name), blocks("mixtral-8x7b", (*prompts, *decode(count, context)))[1], together)
    each = [any_choices(data, route) for _ in range(points)]
    columns: list[Choice] = [np.array(column) for column in zip(*each, strict=True)]
    whole = route.plan(columns)
    together_time, demand = np.broadcast_to(closed_form(whole).time, points), whole.demand()
    for i, choices in enumerate(each):
        batch: Batch = (*prompts, *decode(count[i], context[i]))
        alone = Route(route.engines, blocks("mixtral-8x7b", batch)[1], together).plan(choices)
        assert together_time[i] == pytest.approx(closed_form(alone).time, rel=1e-12)
        expected = alone.demand()
        for resource, units in demand.items():
            assert np.broadcast_to(units, points)[i] == pytest.approx(expected.get(resource, 0.0), rel=1e-12)


# --- together


def test_attention_of_prompts_and_of_answers_overlaps_where_engines_run_together(
    engines: Engines, layer: Layer
) -> None:
    at_once, in_turn = (layer(engines("duplex-node"), MIXED, "llama-2-7b", together) for together in (True, False))
    step = next(step for step in at_once.steps if len(step) == 2)
    apart = [float(closed_form(at_once.unit_plan(unit, engine)).time) for engine, unit in enumerate(step)]
    assert at_once.seconds(step, (0, 1)) == pytest.approx(max(apart))
    assert in_turn.seconds(step, (0, 1)) == pytest.approx(sum(apart))
    both = [float(closed_form(at_once.unit_plan(unit, 1)).time) for unit in step]
    assert at_once.seconds(step, (1, 1)) == in_turn.seconds(step, (1, 1)) == pytest.approx(sum(both))


@settings(max_examples=16)
@given(st.data())
def test_together_is_never_slower_and_does_the_same(engines: Engines, blocks: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["duplex-node", "box", "pair"]))
    block = blocks(data.draw(st.sampled_from(SMALL)), MIXED)[1]
    at_once, in_turn = (Route(engines(name), block, together) for together in (True, False))
    choices = any_choices(data, at_once)
    assert seconds(at_once, choices) <= seconds(in_turn, choices) * (1 + 1e-12)
    assert at_once.plan(choices).demand() == pytest.approx(in_turn.plan(choices).demand(), rel=1e-12)


@settings(max_examples=10)
@given(st.data())
def test_the_events_take_as_long(engines: Engines, blocks: Any, data: st.DataObject) -> None:
    """Engines of Duplex share cells and no bus: nothing meets, and the closed form is exact."""
    name = data.draw(st.sampled_from(["duplex-node", "box", "pair"]))
    route = Route(engines(name), blocks("mixtral-8x7b", MIXED)[1], together=True)
    plan = route.plan(any_choices(data, route))
    timing = closed_form(plan)
    assert timing.exact
    assert events(plan).time == pytest.approx(timing.time, rel=1e-9)


# --- the rest


def test_experts_of_their_own_take_no_time_here(engines: Engines, blocks: Any) -> None:
    block: Block = blocks("mixtral-8x7b", decode(8, 700))[1]
    here, elsewhere = (Route(engines("duplex-node"), block, own_experts=own) for own in (False, True))
    place = next(i for i, step in enumerate(here.steps) if step[0].routed)
    experts = here.seconds(here.steps[place], (0,))
    choices = [0] * len(here.steps)
    assert experts > 0
    assert elsewhere.seconds(elsewhere.steps[place], (0,)) == 0
    assert seconds(here, choices) - seconds(elsewhere, choices) == pytest.approx(experts)


def test_an_engine_that_does_not_fuse_runs_operator_by_operator(engines: Engines, layer: Layer) -> None:
    route = layer(engines("duplex-node"), MIXED)
    for step in route.steps:
        for unit in step:
            assert [len(kernel.operators) for kernel in route.kernels(unit, 0)] == [1] * len(unit.operators)
            assert len(route.kernels(unit, 1)) == len(unit.groups)
            (flops, more), (same, less) = (route.op_per_byte(unit, engine) for engine in (0, 1))
            assert flops == pytest.approx(same)
            assert more >= less


@pytest.mark.parametrize("wrong", [-1, 2, np.array([0, 2])], ids=str)
def test_a_choice_that_is_no_option_is_refused(engines: Engines, layer: Layer, wrong: Choice) -> None:
    route = layer(engines("duplex-node"), decode(8, 700))
    with pytest.raises(ValueError, match=r"step attention.norm: found option .*, expected 0 to 1"):
        route.plan([wrong, *[0] * (len(route.steps) - 1)])
    with pytest.raises(ValueError, match="shorter"):
        route.plan([0])
