"""Programs of a block: each size runs on the fastest that holds it, and more of them are no slower."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import closed_form
from simulator.core.events import events
from simulator.core.plan import point
from simulator.mapping.dataflow.call import grid
from simulator.mapping.dataflow.pipeline import pipeline_plan
from simulator.mapping.dataflow.programs import programs
from simulator.mapping.lowering import compiled
from simulator.mapping.lowerings.dataflow import dataflow
from simulator.mapping.target import Target
from simulator.workload import Block, decode, load_model, operator_graph

Machine = Callable[..., Target]

# Of a large batch the chip keeps the keys of short contexts only; one program has to stream those of all.
FULL: dict[str, Any] = {"hbm": 8e12}
LENGTHS = st.builds(lambda first, step: first + step * np.arange(40.0), st.integers(1, 3000), st.integers(1, 200))


def layer(model: str, batch: int, contexts: Any) -> Block:
    return operator_graph(load_model(model), decode(batch, contexts)).blocks[1]


@given(st.sampled_from([1, 6]), st.sampled_from([4, 64, 1024]), LENGTHS)
@settings(max_examples=4)
def test_the_chip_has_room_for_every_size(machine: Machine, most: int, batch: int, contexts: Any) -> None:
    runner, block = machine(**FULL, programs=most), layer("llama-3.1-8b", batch, contexts)
    several = programs(runner, block)
    assert 1 <= len(several) <= most
    assert np.any([np.broadcast_to(p.holds(runner, block), contexts.shape) for p in several], axis=0).all()
    assert several[-1].holds(runner, layer("llama-3.1-8b", batch, contexts[-1]))
    for program in several:
        for pipeline in program.partition.pipelines:
            assert pipeline.layout.pmus.sum() <= grid(runner).pmus
            assert pipeline.layout.pcus.sum() <= grid(runner).pcus


@pytest.mark.slow
@given(st.sampled_from([64, 1024]), LENGTHS)
@settings(max_examples=3)
def test_each_size_runs_on_the_fastest_program_that_holds_it(machine: Machine, batch: int, contexts: Any) -> None:
    runner = machine(**FULL, programs=4)
    block = layer("llama-3.1-8b", batch, contexts)
    known = compiled(runner, lambda: [block])
    times = np.broadcast_to(closed_form(dataflow(known, block)).time, contexts.shape)
    for i in (0, 17, 39):
        alone = layer("llama-3.1-8b", batch, float(contexts[i]))
        took = []
        for program in programs(runner, block):
            if program.holds(runner, alone).all():
                plans = [pipeline_plan(runner, alone, pipeline) for pipeline in program.partition.pipelines]
                took.append(sum(float(closed_form(plan).time) for plan in plans) * block.repeat)
        assert times[i] == pytest.approx(min(took), rel=1e-12)
        assert events(point(dataflow(known, block), i)).time == pytest.approx(times[i], rel=1e-9)


def test_one_program_serves_a_length_worse_than_one_of_several(machine: Machine) -> None:
    block = layer("llama-3.1-8b", 1024, np.arange(50.0, 2000.0))
    one, several = (closed_form(dataflow(machine(**FULL, programs=n), block)).time.sum() for n in (1, 6))
    assert several < 0.95 * one


@given(st.sampled_from(["llama-3.1-8b", "mixtral-8x7b"]), st.sampled_from([1, 16, 64]), LENGTHS, st.floats(5e11, 4e12))
@settings(max_examples=6)
def test_no_buffer_binds_while_memory_units_are_idle(
    machine: Machine, model: str, batch: int, contexts: Any, hbm: float
) -> None:
    """At neither end of the sizes, where a buffer has the least and the most to do beside all else."""
    runner, block = machine(hbm=hbm), layer(model, batch, contexts)
    (program,) = programs(runner, block)
    for pipeline in program.partition.pipelines:
        if pipeline.layout.pmus.sum() < grid(runner).pmus:
            (activity, _), *_ = pipeline_plan(runner, block, pipeline).activities()
            busy = {resource.name: np.broadcast_to(s, contexts.shape) for resource, s in activity.seconds().items()}
            slowest = busy.pop("socket.rdu (slowest buffer)")[[0, -1]]
            assert (slowest <= np.max(list(busy.values()), axis=0)[[0, -1]] * (1 + 1e-9)).all()
