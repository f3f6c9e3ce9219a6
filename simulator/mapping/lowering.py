"""From operators to activities: how each kind of engine runs a block of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from simulator.core import Activity, Plan, Quantity, Resource
from simulator.errors import ConfigError
from simulator.hardware import Engine, System
from simulator.mapping.collective import all_reduce
from simulator.mapping.kernels import Kernel, kernels
from simulator.registry import register, registered
from simulator.workload import Batch, Block, Model, Operator, operator_graph

FUSION = {"gpu": "conventional", "cpu": "conventional", "dataflow": "whole"}
"""How each kind of engine fuses operators into kernels (`mapping/fusion.py`)."""


@dataclass(frozen=True, eq=False)
class Target:
    """What runs the model: an engine of each device of a system, and the tier that holds weights, KV and activations.

    `device`, `engine` and `memory` are names as the machine's YAML has them (`gpu`, `gpu`, `hbm`).
    """

    system: System
    device: str
    engine: str
    memory: str

    @property
    def description(self) -> Engine:
        return self.system.machine.devices[self.device].engines[self.engine]

    @property
    def ways(self) -> int:
        """How many devices share the model."""
        return self.system.count(self.device)


class Lowering(Protocol):
    """Lowers one block of a model to a plan for one engine, over all devices of the target in lockstep.

    Called once for each distinct block of a pass. Demands are those of one device; FLOPs and bytes may be arrays.
    Register it under the engine's `kind`.
    """

    def __call__(self, target: Target, block: Block) -> Plan: ...


def target(system: System, device: str | None = None, engine: str | None = None) -> Target:
    """The engine that runs a model: by default the first engine of the first device, from its first off-chip tier.

    Raises:
        ConfigError: no such device or engine, or an engine that reads on-chip memory only.
    """
    device, description = system.device(device)
    engines = description.engines
    if not engines or (engine is not None and engine not in engines):
        expected = "one of " + ", ".join(engines) if engines else "a device with an engine"
        raise ConfigError(
            f"{system.name}: device '{device}'", found=f"no engine {engine or ''}".strip(), expected=expected
        )
    engine = engine or next(iter(engines))
    memory = next((t for t in engines[engine].reads if description.tiers[t].kind != "sram"), None)
    if memory is None:
        raise ConfigError(
            f"{system.name}: engine '{engine}' reads on-chip memory only", expected="a tier for the weights"
        )
    return Target(system, device, engine, memory)


def model_plan(target: Target, model: Model, batch: Batch) -> Plan:
    """One forward pass as a plan: block after block, identical layers folded.

    Raises:
        ConfigError: nothing is registered that lowers to engines of this kind.
    """
    lower: Lowering = registered("lowering", target.description.kind)
    plan = Plan(model.name)
    for block in operator_graph(model, batch).blocks:
        plan.add(lower(target, block), repeat=block.repeat)
    return plan


@register("lowering", "gpu")
@register("lowering", "cpu")
@register("lowering", "dataflow")
def kernel_by_kernel(target: Target, block: Block) -> Plan:
    """One kernel after another on the engine, each launched for itself; a partial sum is reduced before the next.

    What is one kernel depends on the kind of engine (`FUSION`): a dataflow engine runs the whole block as one, and its
    activations stream through on-chip memory (SN40L, arXiv 2405.07518 section IV).
    """
    plan = Plan(block.name)
    for kernel in kernels(block, FUSION[target.description.kind], target.ways):
        plan.add(kernel_activity(target, kernel))
        if target.ways > 1:
            for size in kernel.reduces:
                plan.add(all_reduce(target.system, target.device, size))
    return plan


def kernel_activity(target: Target, kernel: Kernel) -> Activity:
    """A kernel demands time of its engine, its traffic of main memory, and what stays inside of on-chip memory.

    `engine: sum_op flops / peak[dtype]` engine-seconds; `memory` and its port: `traffic` bytes; on-chip memory and its
    port: `inner` bytes. The launch overhead is its latency.
    """
    system, device, engine = target.system, target.device, target.engine
    name = f"{device}.{engine}"
    demand: dict[Resource, Quantity] = {system[name]: engine_seconds(target.description, kernel.operators, name)}
    for tier in target.description.reads:
        kind = system.tiers[f"{device}.{tier}"].kind
        size = kernel.traffic if tier == target.memory else kernel.inner if kind == "sram" else None
        if size is not None:
            demand[system[f"{device}.{tier}"]] = size
            demand[system[f"{device}.{tier}->{name}"]] = size
    return Activity(kernel.name, demand, target.description.launch_overhead)


def engine_seconds(engine: Engine, operators: tuple[Operator, ...], name: str) -> Quantity:
    """Seconds at full rate: `sum_op flops / peak[dtype]`.

    Raises:
        ConfigError: the engine has no rate for a dtype.
    """
    return sum((operator.flops / peak(engine, operator.dtype, name) for operator in operators), start=0.0)


def peak(engine: Engine, dtype: str, name: str = "engine") -> float:
    """Peak rate for a dtype; bf16 and fp16 stand in for each other, as every engine that has both runs them alike.

    Raises:
        ConfigError: the engine has no rate for it.
    """
    for candidate in (dtype, {"bf16": "fp16", "fp16": "bf16"}.get(dtype, dtype)):
        if candidate in engine.peak:
            return engine.peak[candidate]
    raise ConfigError(f"{name} has no peak rate for {dtype}", expected="one of " + ", ".join(sorted(engine.peak)))
