"""From operators to activities: how each kind of engine runs a block of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from simulator.core import Activity, Plan, Quantity, Resource
from simulator.errors import ConfigError, one_of
from simulator.hardware import Engine, System
from simulator.mapping.collective import all_reduce
from simulator.mapping.kernels import Kernel, kernels
from simulator.mapping.transfer import written
from simulator.registry import register, registered
from simulator.workload import Batch, Block, Model, Operator, operator_graph

FUSION = {"gpu": "conventional", "cpu": "conventional", "dataflow": "whole", "pim": "unfused"}
"""How each kind of engine fuses operators into kernels (`mapping/fusion.py`); others none."""


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
    def name(self) -> str:
        """The engine's full name, `<device>.<engine>`."""
        return f"{self.device}.{self.engine}"

    @property
    def description(self) -> Engine:
        return self.system.machine.devices[self.device].engines[self.engine]

    @cached_property
    def latency(self) -> Quantity:
        """What each kernel waits for: its launch, and the main memory."""
        return self.description.launch_overhead + self.system.tiers[f"{self.device}.{self.memory}"].latency

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


def target(system: System, device: str | None = None, engine: str | None = None, memory: str | None = None) -> Target:
    """The engine that runs a model: by default the first engine of the first device, from its first off-chip tier.

    Raises:
        ConfigError: no such device or engine, a memory that the engine does not read, or one that reads on-chip memory
            only.
    """
    device, description = system.device(device)
    engines = description.engines
    if not engines or (engine is not None and engine not in engines):
        expected = one_of(engines) if engines else "a device with an engine"
        raise ConfigError(
            f"{system.name}: device '{device}'", found=f"no engine {engine or ''}".strip(), expected=expected
        )
    engine = engine or next(iter(engines))
    reads = engines[engine].reads
    if memory is not None and memory not in reads:
        raise ConfigError(
            f"engine '{engine}' does not read it", path="memory", found=f"'{memory}'", expected=one_of(reads)
        )
    memory = memory or next((t for t in reads if description.tiers[t].kind != "sram"), None)
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
@register("lowering", "pim")
def kernel_by_kernel(target: Target, block: Block) -> Plan:
    """One kernel after another on the engine, each launched for itself; a partial sum is reduced before the next.

    What is one kernel depends on the kind of engine (`FUSION`): a dataflow engine runs the whole block as one, and its
    activations stream through on-chip memory (SN40L, arXiv 2405.07518 section IV); a PIM engine, one operator.
    """
    plan = Plan(block.name)
    for kernel in kernels(block, FUSION[target.description.kind], target.ways):
        plan.add(kernel_activity(target, kernel))
        for size in kernel.reduces:
            for phase in all_reduce(target.system, target.device, size):
                plan.add(phase)
    return plan


def kernel_activity(target: Target, kernel: Kernel) -> Activity:
    """A kernel demands time of its engine, and bytes of main memory and of on-chip memory, each with its port.

    Engine: `sum_op flops / peak[dtype]` engine-seconds. Main memory: what the kernel reads and writes. On-chip memory:
    as much, where what operators hand to one another stays in registers; in a dataflow engine, where it streams through
    on-chip memory, all that they read and write. Latency: the launch overhead, and that of main memory.
    """
    system, device, name = target.system, target.device, target.name
    demand: dict[Resource, Quantity] = {system[name]: engine_seconds(target, kernel.operators)}
    for tier in target.description.reads:
        if tier == target.memory:
            demand[system[f"{device}.{tier}"]] = kernel.read
            resource, units = written(system, f"{device}.{tier}", kernel.written)
            demand[resource] = demand.get(resource, 0.0) + units
            demand[system[f"{device}.{tier}->{name}"]] = kernel.traffic
        elif system.tiers[f"{device}.{tier}"].kind == "sram":
            size = kernel.inner if target.description.kind == "dataflow" else kernel.traffic
            demand[system[f"{device}.{tier}"]] = demand[system[f"{device}.{tier}->{name}"]] = size
    return Activity(kernel.name, demand, target.latency)


def engine_seconds(target: Target, operators: tuple[Operator, ...]) -> Quantity:
    """Seconds at full rate: `sum_op flops / peak[dtype]`.

    Raises:
        ConfigError: the engine has no rate for a dtype.
    """
    return sum((o.flops / peak(target.system, target.name, o.dtype) for o in operators), start=0.0)


def rate_for(rates: Mapping[str, float], dtype: str) -> str | None:
    """The dtype whose rate serves another: its own, or of bf16 and fp16 the other; None where there is neither.

    Engines that have both run them alike.
    """
    alike = {"bf16": "fp16", "fp16": "bf16"}.get(dtype, dtype)
    return next((candidate for candidate in (dtype, alike) if candidate in rates), None)


def peak(system: System, engine: str, dtype: str) -> float:
    """Peak rate of an engine for a dtype (`rate_for`).

    Raises:
        ConfigError: the engine has no rate for it.
    """
    rates = system.engines[engine].peak
    named = rate_for(rates, dtype)
    if named is not None:
        return rates[named]
    path = (*system.key(engine), "peak")
    mark = system.config.marks.get(path)
    raise ConfigError(
        "no rate for this dtype",
        file=mark.file if mark else None,
        line=mark.line if mark else None,
        path=path,
        found=f"'{dtype}'",
        expected=one_of(rates),
    )
