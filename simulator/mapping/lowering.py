"""From operators to activities: how each kind of engine runs a block of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from simulator.core import Activity, Curve, Plan, Quantity, Resource, launched
from simulator.hardware import Engine
from simulator.hardware.bundles import bundle_seconds
from simulator.mapping.gpu.joined import joined
from simulator.mapping.kernels.fusion import FUSIONS, with_experts
from simulator.mapping.kernels.kernels import Kernel, kernels_of
from simulator.mapping.kernels.widened import rewritten_bytes
from simulator.mapping.parallel.collective import Kind, all_reduce
from simulator.mapping.parallel.tensor import check_ways
from simulator.mapping.target import Target, engine_seconds, packing_seconds, program_key
from simulator.mapping.transfer import written
from simulator.registry import names, registered
from simulator.workload import Batch, Block, Model, OperatorGraph, operator_graph

if TYPE_CHECKING:
    from simulator.mapping.gpu.modelled import Timed

FUSION = {"gpu": "conventional", "cpu": "conventional"}
"""How each kind of engine fuses operators into kernels (`kernels/fusion.py`) unless its YAML says; others none."""

EXPERTS = {"pim": "one_by_one"}
"""How each kind of engine runs the experts of a layer unless its YAML says; others `grouped`, in one launch."""


class Lowering(Protocol):
    """Lowers one block of a model to a plan for one engine, over all devices of the target in lockstep.

    Called once for each distinct block of a pass, gives the plan of all its repeats. Demands are those of one device;
    FLOPs and bytes may be arrays.
    Register it under the engine's `kind`.
    """

    def __call__(self, target: Target, block: Block) -> Plan: ...


class Compile(Protocol):
    """Chooses, once for all sizes that a block's quantities are arrays over, how a kind of engine runs it.

    For an engine whose lowering has such a choice to make: it finds what this gave in `target.programs`, by
    `program_key`. Register it under the engine's `kind`.
    """

    def __call__(self, target: Target, block: Block) -> Any: ...


def model_plan(target: Target, model: Model, batch: Batch) -> Plan:
    """One forward pass as a plan: block after block, identical layers folded.

    Raises:
        ConfigError: devices that do not share the model evenly, or an engine of a kind to which nothing lowers.
    """
    check_ways(model, target.ways)
    return graph_plan(target, operator_graph(model, batch), model.name)


def graph_plan(target: Target, graph: OperatorGraph, name: str = "pass") -> Plan:
    """The blocks of any graph as a plan, one after another.

    Raises:
        ConfigError: nothing is registered that lowers to engines of this kind.
    """
    plan = Plan(name)
    for block in graph.blocks:
        plan.add(lowered(target, block))
    return plan


def lowered(target: Target, block: Block) -> Plan:
    """All repeats of a block as a plan, by what is registered for the kind of the engine."""
    lower: Lowering = registered("lowering", target.description.kind)
    return lower(target, block)


def compiled(target: Target, blocks: Callable[[], Iterable[Block]]) -> Target:
    """The target with programs for blocks, compiled once for all sizes that their quantities are arrays over.

    What is lowered to it later, whatever its size and with others or not, runs on these programs. Of an engine that
    compiles none, the same target: then the blocks are not built.
    """
    kind = target.description.kind
    if kind not in names("compile"):
        return target
    compile: Compile = registered("compile", kind)
    return replace(target, programs={program_key(block): compile(target, block) for block in blocks()})


def kernel_plan(target: Target, kernel: Kernel) -> Plan:
    """A kernel, and after it the reductions of its partial sums."""
    plan = Plan(kernel.name)
    plan.add(kernel_activity(target, kernel))
    for size in kernel.reduces:
        for phase in reduction(target, size):
            plan.add(phase)
    return plan


def reduction(target: Target, size: Quantity) -> list[Activity]:
    """The sum of `size` bytes over the devices of a target."""
    phases = all_reduce(target.system, target.device, size)
    return by_size(target, phases, "all_reduce", size, target.ways, target.system.machine.nodes)


def by_size(
    target: Target, phases: list[Activity], kind: Kind, size: Quantity, devices: int, nodes: int
) -> list[Activity]:
    """A collective of `size` bytes: phase by phase, or as the models of a target time it by its size."""
    if target.models is None or not phases:
        return phases
    from simulator.mapping.gpu.modelled import collective_time  # models that no roofline needs

    demand = {resource: units for phase in phases for resource, units in phase.demand.items()}
    timed = collective_time(target.models, kind, size, devices, nodes, target.chip)
    return [_timed(target, kind, demand, timed)]


def block_kernels(target: Target, block: Block) -> list[Kernel]:
    """The kernels of a block, as its engine fuses them; models of kernels know the routed experts of a layer as one."""
    mode = fusion(target.description)
    if target.models is None or mode != "conventional":
        return kernels_of(block, FUSIONS[mode](block.graph), target.ways)
    kernels = kernels_of(block, with_experts(block.graph), target.ways)
    fused = [what for what in target.models.fused if not (target.ring and what == "rope")]  # done once, not a round
    return joined(kernels, fused, block.repeat)


def fusion(engine: Engine) -> str:
    """How an engine fuses operators into kernels: as its YAML says, else as its kind does."""
    return engine.fusion or FUSION.get(engine.kind, "unfused")


def one_by_one(engine: Engine) -> bool:
    """Whether an engine runs the experts of a layer one after another: as its YAML says, else as its kind does."""
    return (engine.experts or EXPERTS.get(engine.kind)) == "one_by_one"


def kernel_activity(target: Target, kernel: Kernel, spaces: Sequence[int] = ()) -> Activity:
    """A kernel demands time of its engine, and bytes of main memory and of on-chip memory, each with its port.

    Engine: `sum_op flops / peak[dtype]` engine-seconds, and those of packing (`packing_seconds`). Main memory: what the
    kernel reads and writes; over the port alone where the engine sits in the memory, so that nothing crosses the bus.
    On-chip memory: as much; what operators hand to one another stays in registers. Latency: the launch overhead, and
    that of main memory; a kernel without demand is not launched. With `spaces`, it keeps these bank bundles of main
    memory busy (`hardware/bundles.py`).

    Routed experts are one kernel, a grouped product: one launch, at the efficiency of all its bytes. An engine that
    runs them one by one launches each of them, at the efficiency of the bytes of one.

    What the engine's library writes of operands before it reads them (`widened.py`) is written and read once more.

    Where the target has models of kernels, these say how long it takes: a launch, then seconds of a private resource.
    """
    system, device, name = target.system, target.device, target.name
    demand: dict[Resource, Quantity] = {system[name]: _compute_seconds(target, kernel)}
    for tier in target.description.reads:
        if tier == target.memory and target.description.in_memory:
            demand[system[f"{device}.{tier}->{name}"]] = kernel.traffic
        elif tier == target.memory:
            demand[system[f"{device}.{tier}"]] = kernel.read
            resource, units = written(system, f"{device}.{tier}", kernel.written)
            demand[resource] = demand.get(resource, 0.0) + units
            demand[system[f"{device}.{tier}->{name}"]] = kernel.traffic
        elif system.tiers[f"{device}.{tier}"].on_chip:
            demand[system[f"{device}.{tier}"]] = demand[system[f"{device}.{tier}->{name}"]] = kernel.traffic
    wide = rewritten_bytes(target.description, kernel)
    if np.any(wide):
        main, port = system[f"{device}.{target.memory}"], system[f"{device}.{target.memory}->{name}"]
        resource, units = written(system, f"{device}.{target.memory}", wide)
        for demanded, amount in ((main, wide), (resource, units), (port, 2 * wide)):
            demand[demanded] = demand.get(demanded, 0.0) + amount
    if spaces:
        demand |= bundle_seconds(system, device, target.memory, target.engine, kernel.traffic, spaces)
    if target.models is not None:
        from simulator.mapping.gpu.modelled import kernel_time  # models that no roofline needs

        return _timed(target, kernel.name, demand, kernel_time(target.models, kernel, target.chip))
    if kernel.groups is None or not one_by_one(target.description):
        return launched(kernel.name, demand, target.latency)
    return launched(kernel.name, _apart(demand, kernel.groups), target.latency * kernel.groups)


def _timed(target: Target, name: str, demand: dict[Resource, Quantity], timed: Timed) -> Activity:
    """What demands resources, and takes as long as a model says."""
    return launched(name, {**demand, target.limit(timed.kind): timed.seconds}, timed.launch)


def _compute_seconds(target: Target, kernel: Kernel) -> Quantity:
    seconds, packing = engine_seconds(target, kernel.operators), packing_seconds(target, kernel.operators)
    return seconds if packing is None else seconds + packing


def _apart(demand: dict[Resource, Quantity], groups: Quantity) -> dict[Resource, Quantity]:
    """The demand of a kernel an expert, and private limits where the efficiency depends on the bytes of one."""
    limits: dict[Resource, Quantity] = {}
    for resource, units in demand.items():
        if isinstance(resource.efficiency, Curve):
            each = resource.efficiency.at(units / np.maximum(groups, np.finfo(float).tiny))
            name = f"{resource.name} (one expert at a time)"
            limits[Resource(name, resource.capacity, resource.unit, each, 0.0, resource.count)] = units
    return demand | limits
