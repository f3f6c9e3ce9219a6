"""One call of a kernel on a dataflow engine: its launch, what it moves, and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from simulator.core import Activity, Plan, Quantity, Resource
from simulator.hardware import Fabric
from simulator.mapping.dataflow.layout import Grid
from simulator.mapping.target import Target
from simulator.mapping.transfer import written


@dataclass(frozen=True, eq=False)
class Call:
    """What one call asks of one device; quantities may be arrays, of kernels or of design points.

    Attributes:
        engine: engine-seconds at peak rate.
        pipeline: seconds at full rate that the stages take to pass all tiles.
        slowest_buffer: seconds at full rate that it is read and written.
        on_chip: bytes that the buffers read and write.
        read, written: bytes over the boundary of the kernel, from and to main memory.
        spilled: bytes of `read`, and of `written`, in the tier that takes what main memory cannot hold.
        weights: bytes of `read` that are there before the kernel starts: what may be loaded ahead.
        links: bytes on each link, of collectives streamed through the kernel.
        wait: seconds of latency but for the launch: of the stages that a tile passes, and the phases of collectives.
        configured: PCUs and PMUs.
    """

    name: str
    engine: Quantity
    pipeline: Quantity
    slowest_buffer: Quantity
    on_chip: Quantity
    read: Quantity
    written: Quantity
    weights: Quantity
    wait: Quantity
    configured: Quantity
    spilled: tuple[Quantity, Quantity] = (0.0, 0.0)
    links: Mapping[Resource, Quantity] = field(default_factory=dict)


def fabric(target: Target) -> Fabric:
    """The grid of a dataflow engine; every one that is loaded has one (`hardware/references.py`)."""
    description = target.description
    assert description.fabric is not None
    return description.fabric


def grid(target: Target, reserved: float = 0.0) -> Grid:
    """What kernels may use of the engine's grid, less a share of the PMUs `reserved` for weights to come."""
    f, on_chip = fabric(target), sram(target)
    tier = f"{target.device}.{on_chip}"
    resource, port = target.system[tier], target.system[f"{tier}->{target.name}"]
    rate = float(min(resource.rate(1e12), port.rate(1e12)))
    return Grid(
        pcus=int(f.usable * f.pcus),
        pmus=int(f.usable * f.pmus * (1 - reserved)),
        engine_pcus=f.pcus,
        pmu_bytes=target.system.tiers[tier].capacity / f.pmus,
        pmu_bandwidth=rate / f.pmus,
        tile_rows=f.tile_rows,
        stage_latency=f.stage_latency,
    )


def sram(target: Target) -> str:
    """The on-chip tier that the PMUs are."""
    tiers = target.system.machine.devices[target.device].tiers
    return next(tier for tier in target.description.reads if tiers[tier].on_chip)


def launch(f: Fabric, configured: Quantity) -> tuple[Quantity, Quantity]:
    """Seconds to load a kernel's program, `load (PCUs + PMUs)`, and to start it, `arguments + execute`.

    The three phases are those of arXiv 2405.07518, section IV; a host that orchestrates adds its own to those of the
    hardware. A program is loaded while the kernel before it runs.
    """
    phases = [f.launch.hardware, *([f.launch.software] if f.orchestration == "software" else [])]
    load: Quantity = sum((phase.load for phase in phases), start=0.0) * configured
    return load, sum(phase.arguments + phase.execute for phase in phases)


def limits(target: Target) -> tuple[Resource, Resource]:
    """What bounds a call but its traffic: seconds that all tiles take to pass, and those of its slowest buffer."""
    return target.limit("pipeline", target.description.efficiency), target.limit("slowest buffer")


def call_plan(target: Target, call: Call, ahead: float = 0.0, launches: float = 1.0) -> Plan:
    """The plan of one call, or of many at once as arrays.

    Waits for its start, for main memory, and for the latency of stages and links; then takes the longest of its
    pipeline, its slowest buffer, and what it moves in main memory, on chip and on links. Up to `ahead` bytes of its
    weights are loaded during that wait. Beside all that, the program of the call to come is loaded, as long as its own.
    `launches` is less than 1 where one launch serves several calls.
    """
    system, name = target.system, target.name
    tier, on_chip = target.tier, f"{target.device}.{sram(target)}"
    load, start = launch(fabric(target), call.configured)
    wait = target.latency + call.wait + launches * start
    main, port = system[tier], system[f"{tier}->{name}"]
    early: Quantity = 0.0
    if ahead:
        loaded = np.maximum(call.weights - call.spilled[0], 0.0)
        rate = np.minimum(main.rate(loaded), port.rate(loaded))
        early = np.minimum(np.minimum(loaded, ahead), wait * rate)
    read, made = call.read - call.spilled[0], call.written - call.spilled[1]
    resource, units = written(system, tier, made)
    of_stages, of_buffers = limits(target)
    demand: dict[Resource, Quantity] = {
        system[name]: call.engine,
        of_stages: call.pipeline,
        of_buffers: call.slowest_buffer,
        main: read - early,
        port: read + made - early,
    }
    for each in (system[on_chip], system[f"{on_chip}->{name}"]):  # which may be main memory, too
        demand[each] = demand.get(each, 0.0) + call.on_chip
    demand |= call.links
    demand[resource] = demand.get(resource, 0.0) + units
    if target.spill:
        other = f"{target.device}.{target.spill}"
        resource, units = written(system, other, call.spilled[1])
        demand[system[other]] = call.spilled[0]
        demand[resource] = demand.get(resource, 0.0) + units
        demand[system[f"{other}->{name}"]] = call.spilled[0] + call.spilled[1]
    plan = Plan(call.name)
    if ahead:
        begin = plan.add(Activity("launch", {}, wait), ())
        weights = plan.add(Activity("prefetch", {main: early, port: early}), ())
        plan.add(Activity(call.name, demand), (begin, weights))
    else:
        plan.add(Activity(call.name, demand, wait))
    if np.any(load):
        plan.add(Activity("program load", {}, launches * load), ())
    return plan
