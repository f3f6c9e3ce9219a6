"""The plan of a fused block takes what its partition says, event by event too; contexts, launches and prefetch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import Plan, closed_form
from simulator.core.events import events
from simulator.mapping.dataflow.call import launch
from simulator.mapping.dataflow.partition import partition
from simulator.mapping.dataflow.pipeline import pipeline_plan
from simulator.mapping.dataflow.programs import programs
from simulator.mapping.lowerings.dataflow import dataflow
from simulator.mapping.target import Target
from simulator.workload import Batch, Block, Operator, decode, load_model, operator_graph, prefill

Machine = Callable[..., Target]
Draw = Callable[..., st.SearchStrategy[Block]]

FREE = "{hardware: {load: 0 s, execute: 0 s}, software: {load: 0 s, arguments: 0 s, execute: 0 s}}"
START = "{hardware: {load: 0 s, execute: 10 us}, software: {load: 0 s, arguments: 10 us, execute: 20 us}}"
LOAD = "{hardware: {load: 1 ns, execute: 1 us}, software: {load: 100 ns, arguments: 1 us, execute: 2 us}}"


@cache
def layer(model: str, batch: str = "decode") -> Block:
    batches: dict[str, Batch] = {"decode": decode(4, 1000), "one": decode(1, 1000), "prefill": prefill(1, 700)}
    return operator_graph(load_model(model), batches[batch]).blocks[1]


LAYERS = st.builds(
    layer, st.sampled_from(["llama-2-7b", "falcon-40b", "glam-143b"]), st.sampled_from(["decode", "prefill"])
)
FABRICS = st.fixed_dictionaries(
    {
        "pcus": st.sampled_from([12, 1040]),
        "pmus": st.sampled_from([100, 1040]),
        "collectives": st.sampled_from(["streamed", "after"]),
        "prefetch": st.booleans(),
        "looping": st.booleans(),
        "fusion": st.sampled_from(["streaming", "conventional", "unfused"]),
        "launch": st.sampled_from([FREE, LOAD]),
        "orchestration": st.sampled_from(["hardware", "software"]),
    }
)


@given(st.data())
@settings(max_examples=8)
def test_the_plan_takes_what_the_partition_says(machine: Machine, random_blocks: Draw, data: st.DataObject) -> None:
    block = data.draw(LAYERS | random_blocks(most=8, partial=True, joined=True))
    runner = machine(**data.draw(FABRICS))
    block = replace(block, repeat=2)
    plan = dataflow(runner, block)
    timing = closed_form(plan)
    assert timing.exact
    assert timing.time == pytest.approx(partition(runner, block).seconds * block.repeat, rel=1e-12)
    assert events(plan).time == pytest.approx(timing.time, rel=1e-9)


@given(LAYERS, FABRICS)
@settings(max_examples=6)
def test_a_fused_block_computes_what_its_operators_do(machine: Machine, block: Block, options: dict[str, Any]) -> None:
    """Engine-seconds are those of the operators, whatever the kernels; main memory at least gives the weights."""
    runner = machine(**options)
    demand = {resource.name: units for resource, units in dataflow(runner, block).demand().items()}
    alone = machine(**{**options, "fusion": "unfused", "pmus": 1040})
    unfused = {resource.name: units for resource, units in dataflow(alone, block).demand().items()}
    assert demand["socket.rdu"] == pytest.approx(unfused["socket.rdu"], rel=1e-12)
    assert demand["socket->socket"] == pytest.approx(unfused["socket->socket"], rel=1e-12)
    weights = sum(float(o.bytes.get("weight", 0.0) + o.bytes.get("expert", 0.0)) for o in block.operators)
    assert demand["socket.hbm"] >= weights / 8 * (1 - 1e-12)


@given(LAYERS, FABRICS)
@settings(max_examples=5)
def test_prefetch_is_never_slower_and_moves_the_same_bytes(
    machine: Machine, block: Block, options: dict[str, Any]
) -> None:
    late, early = (machine(**{**options, "prefetch": prefetch}) for prefetch in (False, True))
    without, ahead = partition(late, block), partition(early, block)
    assert ahead.seconds <= without.seconds * (1 + 1e-12)
    for pipeline in ahead.pipelines:  # one kernel, as it lies, with and without its weights loaded ahead
        plans = [pipeline_plan(early, block, replace(pipeline, reserved=r)) for r in (0.0, pipeline.reserved)]
        moved, others = ({r.name: units for r, units in plan.demand().items()} for plan in plans)
        assert moved == pytest.approx(others, rel=1e-12)
        assert closed_form(plans[1]).time <= closed_form(plans[0]).time * (1 + 1e-12)


def test_prefetch_hides_a_launch_behind_weights(machine: Machine) -> None:
    block, options = layer("llama-2-7b", "one"), {"launch": START, "orchestration": "software", "fusion": "streaming"}
    late, early = (partition(machine(prefetch=prefetch, **options), block).seconds for prefetch in (False, True))
    assert early < 0.9 * late


@given(LAYERS, FABRICS)
@settings(max_examples=5)
def test_looping_is_never_slower(machine: Machine, block: Block, options: dict[str, Any]) -> None:
    once, looped = (machine(**{**options, "looping": looping}) for looping in (False, True))
    assert partition(looped, block).seconds <= partition(once, block).seconds * (1 + 1e-12)


def test_one_launch_serves_all_layers_where_kernels_loop(machine: Machine) -> None:
    block, options = layer("llama-2-7b"), {"launch": START, "orchestration": "software"}
    once, looped = (partition(machine(looping=looping, **options), block) for looping in (False, True))
    assert len(looped.pipelines) == 1
    assert once.seconds - looped.seconds == pytest.approx(40e-6 * (1 - 1 / block.repeat), rel=1e-6)


@given(LAYERS, FABRICS)
@settings(max_examples=5)
def test_launches_take_time_and_software_more(machine: Machine, block: Block, options: dict[str, Any]) -> None:
    hardware, software = (
        partition(machine(**{**options, "launch": LOAD, "orchestration": who}), block).seconds
        for who in ("hardware", "software")
    )
    free = partition(machine(**{**options, "launch": FREE}), block).seconds
    assert free < hardware < software


@given(st.integers(0, 2080), st.integers(0, 2080))
@settings(max_examples=20)
def test_a_larger_program_takes_longer_to_load_and_no_longer_to_start(machine: Machine, one: int, other: int) -> None:
    grid = machine(launch=LOAD, orchestration="software").description.fabric
    assert grid
    (load, start), (less, same), (both, _) = (launch(grid, units) for units in (one, other, one + other))
    assert (load < less) == (one < other)
    assert both == pytest.approx(load + less)
    assert start == same > 0


@pytest.mark.parametrize("model", ["llama-2-7b", "glam-143b"])
@pytest.mark.parametrize("options", [{}, {"collectives": "after", "prefetch": True, "launch": LOAD, "pmus": 100}])
def test_many_contexts_at_once_are_those_one_at_a_time(machine: Machine, model: str, options: dict[str, Any]) -> None:
    runner, contexts = machine(**options), np.array([10.0, 700.0, 3000.0])
    together = operator_graph(load_model(model), decode(2, contexts)).blocks
    longest = operator_graph(load_model(model), decode(2, 3000.0)).blocks
    for number, block in enumerate(together):
        compiled = partition(runner, block)
        assert [p.names for p in compiled.pipelines] == [p.names for p in partition(runner, longest[number]).pipelines]
        plan = dataflow(runner, block)
        times = np.broadcast_to(closed_form(plan).time, contexts.shape)
        assert times[-1] == pytest.approx(block.repeat * partition(runner, longest[number]).seconds, rel=1e-12)
        assert (np.diff(times) >= 0).all()
        for i, context in enumerate(contexts):
            alone = operator_graph(load_model(model), decode(2, float(context))).blocks[number]
            single = Plan()
            for pipeline in compiled.pipelines * block.repeat:
                single.add(pipeline_plan(runner, alone, pipeline))
            assert times[i] == pytest.approx(closed_form(single).time, rel=1e-12)
            demands = [{r.name: units for r, units in p.demand().items()} for p in (plan, single)]
            found = {name: float(np.broadcast_to(units, contexts.shape)[i]) for name, units in demands[0].items()}
            assert found == pytest.approx(demands[1], rel=1e-12)


def test_an_array_of_one_context_gives_an_array(machine: Machine) -> None:
    block = operator_graph(load_model("llama-2-7b"), decode(1, np.array([1000.0]))).blocks[1]
    assert np.shape(closed_form(dataflow(machine(), block)).time) == (1,)


def test_what_is_read_may_vary_where_what_is_made_does_not(machine: Machine) -> None:
    read = np.array([1e6, 2e8, 3e8])
    graph: nx.DiGraph[str] = nx.DiGraph()
    sizes: dict[Any, Any] = {"kv_read": read, "input": 100.0, "output": 100.0}
    graph.add_node("attention", operator=Operator("attention", "attention", 1e6, sizes, "bf16"))
    block = Block("by hand", 1, graph, {"attention": 100.0}, "attention")
    first, second = np.diff(closed_form(dataflow(machine(), block)).time)
    assert first / second == pytest.approx(1.99)  # by the bytes that are read


def test_an_engine_that_computes_less_well_reads_as_fast_as_before(machine: Machine) -> None:
    block, full = layer("llama-2-7b", "one"), machine()
    engine = full.description.model_copy(update={"efficiency": 0.7})
    socket = full.system.machine.devices["socket"].model_copy(update={"engines": {"rdu": engine}})
    system = replace(full.system, machine=full.system.machine.model_copy(update={"devices": {"socket": socket}}))
    slower = Target(system, full.device, full.engine, full.memory)
    for activity, _ in dataflow(slower, block).activities():
        busy = {resource.name: seconds for resource, seconds in activity.seconds().items()}
        assert busy["socket.rdu (slowest buffer)"] <= busy["socket.hbm->socket.rdu"]


def test_a_kernel_of_several_layers_is_lowered_to_what_it_takes(machine: Machine) -> None:
    runner, block = machine(max_span="none"), replace(layer("llama-2-7b"), repeat=2)
    (program,) = programs(runner, block)
    assert program.repeats == 2
    assert closed_form(dataflow(runner, block)).time == pytest.approx(program.partition.seconds, rel=1e-12)
