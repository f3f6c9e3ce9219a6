"""Kernels as pipelines on the grid: what one call asks, for many kernels at once or for one at many sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.core import Activity, Plan, Quantity, Resource, closed_form
from simulator.mapping.dataflow import layout
from simulator.mapping.dataflow.allocate import Numbers
from simulator.mapping.dataflow.call import Call, call_plan, fabric, grid
from simulator.mapping.dataflow.demands import Demands, SizedDemands, demands, rows
from simulator.mapping.dataflow.layout import Layout, Sample
from simulator.mapping.kernels.kernels import kernels_of
from simulator.mapping.parallel.collective import all_reduce
from simulator.mapping.spill.symbols import spilled_traffic
from simulator.mapping.target import Target, engine_seconds
from simulator.workload import Block

INFEASIBLE = np.inf
ROUNDING = 1e-9  # of a bound, which sums in another order may not pass


@dataclass(frozen=True, eq=False)
class Fitted:
    """Kernels laid on the grid, and the seconds that each takes: infinite for one that does not fit.

    Attributes:
        layouts: one for each number of tiles that was tried.
        chosen: (kernels) which of them is the faster.
        seconds: (kernels) of one call, with the collectives after it, summed over the sizes.
    """

    layouts: tuple[Layout, ...]
    chosen: Numbers
    seconds: Numbers


@dataclass(frozen=True, eq=False)
class Pipeline:
    """One kernel as it lies on the grid of one device, whatever the size.

    Attributes:
        names: its operators.
        layout: its one row.
        reserved: share of the PMUs kept for weights that are loaded ahead.
        launches: launches a call: less than 1 where one serves the calls of several layers.
    """

    names: tuple[str, ...]
    layout: Layout
    reserved: float = 0.0
    launches: float = 1.0


def fit(target: Target, demand: SizedDemands, reserved: float = 0.0, launches: float = 1.0) -> Fitted:
    """Lay each kernel on the grid, as one tile and as many, and take what is faster over all sizes together."""
    return fit_each(target, demand, [reserved], launches)[0]


def fit_each(target: Target, demand: SizedDemands, reserves: Sequence[float], launches: float = 1.0) -> list[Fitted]:
    """What `fit` gives with each of these shares of the PMUs reserved: stages are balanced once for all of them."""
    shape = grid(target)
    samples = [
        Sample(each, weight, stage_work(target, each, shape), _pace(target, each)) for each, weight in demand.samples
    ]
    tilings = shape.tilings(float(np.max(demand.largest.block.tokens)))
    pcus = {number: layout.balanced(samples, shape, number) for number in tilings}
    return [_fit(target, demand, samples, pcus, reserved, launches) for reserved in reserves]


def _fit(
    target: Target,
    demand: SizedDemands,
    samples: Sequence[Sample],
    pcus: Mapping[int, Numbers],
    reserved: float,
    launches: float,
) -> Fitted:
    """Kernels with their stages on so many PCUs, by the number of tiles."""
    shape, ahead = grid(target, reserved), loaded_ahead(target, reserved)
    kernels = len(demand.largest.members)
    if ahead:  # weights may be there already
        samples = [replace(sample, pace=np.zeros(kernels)) for sample in samples]
    allowed = _allowed(target, demand.largest)
    layouts, seconds = [], []
    for number, of_stages in pcus.items():
        laid = layout.lay(demand.largest, samples, shape, number, of_stages)
        times = np.zeros(kernels)
        for each, weight in (sample for sample in demand.samples if sample[1]):
            plan = call_plan(target, call(target, each, laid), ahead, launches)
            times += weight * (np.broadcast_to(closed_form(plan).time, kernels) + _after(target, each))
        layouts.append(laid)
        seconds.append(np.where(laid.fits & allowed, times, INFEASIBLE))
    return Fitted(tuple(layouts), np.argmin(seconds, axis=0), np.min(seconds, axis=0))


def least_seconds(target: Target, demand: SizedDemands, reserved: float = 0.0) -> Numbers:
    """(kernels) seconds that no layout of a kernel beats, summed over the sizes: the closed form of the least of each.

    That is one pass of weights in one tile, stages and buffers that share the whole grid by their work, no program to
    load. Infinite for what is not allowed; finite for what does not fit, too.
    """
    shape, kernels = grid(target, reserved), len(demand.largest.members)
    seconds = np.zeros(kernels)
    for each, weight in (sample for sample in demand.samples if sample[1]):
        work, moved = stage_work(target, each, shape).sum(axis=1), layout.moved(each, 1).sum(axis=1)
        links, wait = _streamed(target, each)
        least = Call(
            name="least",
            engine=work / shape.engine_pcus,
            pipeline=work / shape.pcus,
            slowest_buffer=moved / (shape.pmu_bandwidth * max(shape.pmus, 1)),
            on_chip=moved,
            read=each.read,
            written=each.written,
            weights=(each.members * each.kept).sum(axis=1),
            wait=layout.depth(each) * shape.stage_latency + wait,
            configured=0.0,
            links=links,
        )
        plan = call_plan(target, least, loaded_ahead(target, reserved))
        seconds += weight * (np.broadcast_to(closed_form(plan).time, kernels) + _after(target, each))
    return np.where(_allowed(target, demand.largest), seconds * (1 - ROUNDING), INFEASIBLE)


def pipeline_plan(target: Target, block: Block, pipeline: Pipeline) -> Plan:
    """The plan of one call of a kernel, at each of the sizes that the block's quantities are arrays over."""
    demand = demands(block, [pipeline.names], target.ways)
    (kernel,) = kernels_of(block, [pipeline.names], target.ways)
    one = call(target, demand, pipeline.layout, kernel.name)
    if target.spilled:
        (spilled,) = spilled_traffic(block, [kernel], target.spilled)
        one = replace(one, spilled=spilled)
    plan = Plan(kernel.name)
    plan.add(call_plan(target, one, loaded_ahead(target, pipeline.reserved), pipeline.launches))
    if fabric(target).collectives == "after":
        for size in kernel.reduces:
            for phase in all_reduce(target.system, target.device, size):
                plan.add(phase)
    return plan


def call(target: Target, demand: Demands, laid: Layout, name: str = "kernel") -> Call:
    """What one call asks of one device; its quantities are arrays where `demand` has more than one row."""
    shape = grid(target)
    work = stage_work(target, demand, shape)
    each = layout.stages(work, laid.tiles, laid.pcus)
    busy = layout.buffers(demand, shape, laid.tiles, laid.pmus)
    links, wait = _streamed(target, demand)
    weights = (demand.members * demand.kept).sum(axis=1)

    def plain(values: Numbers) -> Quantity:
        """A number where there is one kernel, and no array of sizes."""
        return float(values[0]) if len(values) == 1 and demand.sizes != 1 else values

    return Call(
        name=name,
        engine=plain((work / shape.engine_pcus).sum(axis=1)),
        pipeline=plain(layout.pipeline(demand, each, laid.tiles)),
        slowest_buffer=plain(busy.max(axis=1)),
        on_chip=plain(layout.moved(demand, laid.tiles).sum(axis=1)),
        read=plain(demand.read + (laid.passes - 1) * weights),
        written=plain(demand.written),
        weights=plain(weights),
        wait=plain(layout.depth(demand) * shape.stage_latency + wait),
        configured=plain(laid.pcus.sum(axis=1) + laid.pmus.sum(axis=1)),
        links={resource: plain(sent) for resource, sent in links.items()},
    )


def stage_work(target: Target, demand: Demands, shape: layout.Grid) -> Numbers:
    """(rows, operators) PCU-seconds."""
    seconds = rows(engine_seconds(target, (operator,)) for operator in demand.operators)
    work: Numbers = demand.members * seconds * shape.engine_pcus
    return work


def loaded_ahead(target: Target, reserved: float) -> float:
    """Bytes of weights that the PMUs kept for them hold."""
    unreserved = grid(target)
    return (unreserved.pmus - grid(target, reserved).pmus) * unreserved.pmu_bytes


def _pace(target: Target, demand: Demands) -> Numbers:
    """(rows) seconds that the bytes over the boundary and on links take."""
    outside = Call(
        "outside", 0.0, 0.0, 0.0, 0.0, demand.read, demand.written, 0.0, 0.0, 0.0, links=_streamed(target, demand)[0]
    )
    step = call_plan(target, outside).steps[0]
    assert isinstance(step.work, Activity)
    pace: Numbers = np.max(np.broadcast_arrays(*step.work.seconds().values()), axis=0)
    return np.broadcast_to(pace, len(demand.members))


def _streamed(target: Target, demand: Demands) -> tuple[dict[Resource, Numbers], Numbers]:
    """(rows) bytes on links, and seconds of latency, of the collectives that are part of each kernel."""
    links: dict[Resource, Numbers] = {}
    wait = np.zeros(len(demand.members))
    if fabric(target).collectives == "streamed":
        for i, phases in _reductions(target, demand):
            for phase in phases:
                wait = wait + demand.members[:, i] * phase.latency
                for resource, sent in phase.demand.items():
                    links[resource] = links.get(resource, 0.0) + demand.members[:, i] * sent
    return links, wait


def _after(target: Target, demand: Demands) -> Numbers:
    """(kernels) seconds of the collectives after each."""
    seconds = np.zeros(len(demand.members))
    if fabric(target).collectives == "after":
        for i, phases in _reductions(target, demand):
            seconds += demand.members[:, i] * sum(float(phase.latency) + phase.alone for phase in phases)
    return seconds


def _reductions(target: Target, demand: Demands) -> list[tuple[int, list[Activity]]]:
    """Each operator that leaves partial sums, by its column, and what reduces them."""
    return [
        (i, all_reduce(target.system, target.device, operator.bytes["output"]))
        for i, operator in enumerate(demand.operators)
        if operator.all_reduce
    ]


def _allowed(target: Target, demand: Demands) -> NDArray[np.bool_]:
    """Whether each kernel keeps within one layer, and reads no sum that is reduced after it has ended."""
    allowed: NDArray[np.bool_] = np.ones(len(demand.members), dtype=bool)
    if fabric(target).collectives == "after":
        for reader, feeders in enumerate(demand.feeders):
            for feeder in feeders:
                if demand.operators[feeder].all_reduce:
                    allowed &= (demand.members[:, feeder] * demand.members[:, reader]) == 0
    if fabric(target).max_span == "layer":
        layers = _layers(list(demand.block.graph))
        inside = [(demand.members * (layers == layer)).any(axis=1) for layer in set(layers)]
        allowed &= np.sum(inside, axis=0) <= 1
    return allowed


def _layers(names: Sequence[str]) -> NDArray[np.int64]:
    """Which layer each operator of a block is of: those of several have its place before the operators' names."""
    first = (name.partition(".")[0] for name in names)
    return np.array([int(place) if place.isdecimal() else 0 for place in first])
