"""What bounds a program: rows that are affine in the features of what it runs, of which the longest counts.

Where `pipeline.py` takes the longest way, the slowest stage and the busiest buffer at one size, all of them stay here
that may be so at some size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from simulator.core import Quantity, Resource
from simulator.core.affine import coefficients, undominated
from simulator.core.resource import Curve
from simulator.mapping.dataflow import layout
from simulator.mapping.dataflow.allocate import Numbers
from simulator.mapping.dataflow.call import grid, limits
from simulator.mapping.dataflow.demands import demands
from simulator.mapping.dataflow.pipeline import Pipeline, call, loaded_ahead, pipeline_plan, stage_work
from simulator.mapping.dataflow.programs import Program
from simulator.mapping.target import Target
from simulator.workload import Block


class Step(NamedTuple):
    """A kernel or a collective: it waits, and then takes the longest of its bounds, units of a resource each.

    Units are coefficients, as `core/affine.py` has them.
    """

    latency: float
    bounds: list[tuple[Resource, Numbers]]


class Bounds(NamedTuple):
    """A program: its steps, one after another and so often; bytes of its buffers as coefficients, the most of each."""

    repeat: int
    steps: list[Step]
    buffers: Numbers
    room: Numbers


def bounds(target: Target, block: Block, program: Program, at: Numbers) -> Bounds:
    """The bounds of a program, of a block whose quantities are arrays over the probes `at` (`core/affine.py`).

    Raises:
        ValueError: quantities that are not affine in the features; weights that are loaded ahead at a rate that bends.
    """
    one, steps, buffers, room = program.of(block), list[Step](), list[Numbers](), list[Numbers]()
    for pipeline in program.partition.pipelines:
        steps += _steps(target, one, pipeline, at)
        demand = demands(one, [pipeline.names], target.ways)
        buffers.append(_rows(layout.buffered(demand, pipeline.layout.tiles), at))
        room.append(layout.most_room(pipeline.layout, grid(target, pipeline.reserved))[0])
    return Bounds(one.repeat, steps, np.concatenate(buffers), np.concatenate(room))


def _steps(target: Target, block: Block, pipeline: Pipeline, at: Numbers) -> Iterator[Step]:
    """A kernel, during which the program of the next one is loaded, and the collectives after it."""
    plan = pipeline_plan(target, block, replace(pipeline, reserved=0.0))
    kernel, *others = (activity for activity, _ in plan.activities())
    latency, (of_stages, of_buffers) = _constant(kernel.latency), limits(target)
    rows = _demanded({r: units for r, units in kernel.demand.items() if r not in (of_stages, of_buffers)}, at)
    rows += [(of_stages, row) for row in _passing(target, block, pipeline, at)]
    rows += [(of_buffers, row) for row in _busy(target, block, pipeline, at)]
    for load in (_constant(other.latency) for other in others if not other.demand):
        rows.append((target.limit("program load"), coefficients("load", load - latency, at)))
    if pipeline.reserved:
        rows = [row for each in rows for row in _less_ahead(target, block, pipeline, at, latency, each)]
    yield Step(latency, rows)
    for each in (other for other in others if other.demand):
        yield Step(_constant(each.latency), _demanded(each.demand, at))


def _passing(target: Target, block: Block, pipeline: Pipeline, at: Numbers) -> Numbers:
    """Seconds that all tiles take to pass: a way for the first of them, and a stage for the others."""
    demand, laid = demands(block, [pipeline.names], target.ways), pipeline.layout
    each = _rows(layout.stages(stage_work(target, demand, grid(target)), laid.tiles, laid.pcus), at)
    ways, slowest = layout.ways(demand, each), each[undominated(each)]
    rows = (ways[:, np.newaxis] + (laid.tiles - 1) * slowest).reshape(-1, each.shape[1])
    return rows[undominated(rows)]


def _busy(target: Target, block: Block, pipeline: Pipeline, at: Numbers) -> Numbers:
    """Seconds that each buffer is read and written."""
    demand, laid = demands(block, [pipeline.names], target.ways), pipeline.layout
    rows = _rows(layout.buffers(demand, grid(target), laid.tiles, laid.pmus), at)
    return rows[undominated(rows)]


def _less_ahead(
    target: Target, block: Block, pipeline: Pipeline, at: Numbers, latency: float, row: tuple[Resource, Numbers]
) -> list[tuple[Resource, Numbers]]:
    """A row without what is loaded ahead: the least of all weights, of what has room, and of what comes in time."""
    system = target.system
    ports = system[target.tier], system[f"{target.tier}->{target.name}"]
    if row[0] not in ports:
        return [row]
    if target.spilled or any(isinstance(port.efficiency, Curve) for port in ports):
        raise ValueError(f"{block.name}: weights that are loaded ahead at a rate that bends")
    weights = call(target, demands(block, [pipeline.names], target.ways), pipeline.layout).weights
    in_time = latency * min(port.rate(1.0) for port in ports)
    loaded = _row(weights, at), *(_row(each, at) for each in (loaded_ahead(target, pipeline.reserved), in_time))
    return [(row[0], row[1] - each) for each in loaded]


def _demanded(demand: Mapping[Resource, Quantity], at: Numbers) -> list[tuple[Resource, Numbers]]:
    return [(resource, _row(units, at)) for resource, units in demand.items()]


def _rows(quantities: Numbers, at: Numbers) -> Numbers:
    """Coefficients of each column, known at the probes."""
    return np.array([_row(column, at) for column in quantities.T])


def _row(quantity: Quantity, at: Numbers) -> Numbers:
    return coefficients("kernel", np.ravel(quantity) if np.size(quantity) == 1 else quantity, at)


def _constant(latency: Quantity) -> float:
    first, *others = np.unique(latency).tolist()
    if others:
        raise ValueError("latencies that hang on the size")
    return float(first)
