"""What an engine runs for a block: kernel by kernel, each with its plan, under any fusion mode."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.core import Activity, Plan, closed_form
from simulator.errors import ConfigError, one_of
from simulator.mapping.call import fabric
from simulator.mapping.collective import all_reduce
from simulator.mapping.fusion import FUSIONS
from simulator.mapping.kernels import Kernel, kernels, kernels_of
from simulator.mapping.lowering import FUSION, kernel_activity
from simulator.mapping.partition import partition
from simulator.mapping.pipeline import Pipeline, pipeline_plan
from simulator.mapping.target import Target
from simulator.workload import Block

DATAFLOW = "dataflow"
STREAMING = "streaming"


@dataclass(frozen=True, eq=False)
class Run:
    """A kernel, and its plan on one device: `steps[0]` is its call, what follows reduces its partial sums.

    `pipeline` says how it lies on the grid of a dataflow engine; None on others, and for an ideal kernel.
    """

    block: Block
    kernel: Kernel
    plan: Plan
    pipeline: Pipeline | None = None

    @property
    def call(self) -> Plan:
        """The kernel without the collectives that follow it."""
        first = self.plan.steps[0].work
        return first if isinstance(first, Plan) else Plan(first.name, self.plan.steps[:1])

    @property
    def work(self) -> Activity:
        """What the call does once it is launched, and what may be loaded ahead is."""
        last = self.call.steps[-1].work
        assert isinstance(last, Activity)
        return last

    @property
    def seconds(self) -> float:
        """Of the call, with its launch."""
        return float(closed_form(self.call).time)

    @property
    def collective_seconds(self) -> float:
        """Of the collectives that follow it."""
        return float(closed_form(self.plan).time) - self.seconds

    def traffic(self, target: Target) -> dict[str, float]:
        """Bytes of a call through the engine's port to each tier that it touches, over all devices."""
        demand = {resource.name: float(size) * target.ways for resource, size in self.call.demand().items()}
        ports = {tier: f"{target.device}.{tier}->{target.name}" for tier in target.description.reads}
        return {tier: demand[port] for tier, port in ports.items() if port in demand}


def runs(target: Target, block: Block, mode: str) -> list[Run]:
    """The kernels of a block under a fusion mode of the engine (`modes`), or under `whole`: an ideal.

    Raises:
        ConfigError: a mode that the engine does not have.
    """
    if mode not in (*modes(target), "whole"):
        kind = target.description.kind
        raise ConfigError(f"a {kind} engine", path="fusion", found=mode, expected=one_of([*modes(target), "whole"]))
    if target.description.kind == DATAFLOW and mode != "whole":
        fused = _with_fusion(target, mode)
        return [_pipelined(fused, block, pipeline) for pipeline in partition(fused, block).pipelines]
    return [_alone(target, block, kernel) for kernel in kernels(block, mode, target.ways)]


def modes(target: Target) -> list[str]:
    """The fusion modes of an engine, from the smallest kernels to the largest."""
    return ["unfused", "conventional", *([STREAMING] if target.description.kind == DATAFLOW else [])]


def own_mode(target: Target) -> str:
    """The fusion mode that an engine runs under."""
    kind = target.description.kind
    return fabric(target).fusion if kind == DATAFLOW else FUSION.get(kind, "unfused")


def known_modes() -> list[str]:
    """Every fusion mode of any engine, and the ideal."""
    return [mode for mode in FUSIONS if mode != "whole"] + [STREAMING, "whole"]


def intensity(flops: float, traffic: float) -> float:
    """FLOP/B; NaN where nothing is moved."""
    return flops / traffic if traffic else float("nan")


def _pipelined(target: Target, block: Block, pipeline: Pipeline) -> Run:
    (kernel,) = kernels_of(block, [pipeline.names], target.ways)
    return Run(block, kernel, pipeline_plan(target, block, pipeline), pipeline)


def _alone(target: Target, block: Block, kernel: Kernel) -> Run:
    plan = Plan(kernel.name)
    plan.add(kernel_activity(target, kernel))
    for size in kernel.reduces:
        for phase in all_reduce(target.system, target.device, size):
            plan.add(phase)
    return Run(block, kernel, plan)


def _with_fusion(target: Target, mode: str) -> Target:
    """The same engine under another fusion mode."""
    system, grid = target.system, fabric(target)
    if grid.fusion == mode:
        return target
    device = system.machine.devices[target.device]
    engine = target.description.model_copy(update={"fabric": grid.model_copy(update={"fusion": mode})})
    device = device.model_copy(update={"engines": {**device.engines, target.engine: engine}})
    machine = system.machine.model_copy(update={"devices": {**system.machine.devices, target.device: device}})
    return replace(target, system=replace(system, machine=machine))
