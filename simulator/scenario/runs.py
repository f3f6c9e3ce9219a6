"""What an engine runs for a block: kernel by kernel, each with its plan, under any fusion mode."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.core import Activity, Plan, closed_form
from simulator.core.account import LATENCY, binding, bound_by, busy, traffic
from simulator.errors import ConfigError, one_of
from simulator.mapping.dataflow.call import fabric
from simulator.mapping.dataflow.pipeline import Pipeline, pipeline_plan
from simulator.mapping.dataflow.programs import programs
from simulator.mapping.kernels.fusion import FUSIONS
from simulator.mapping.kernels.kernels import Kernel, kernels, kernels_of
from simulator.mapping.lowering import block_kernels, fusion, kernel_plan
from simulator.mapping.lowerings.dataflow import dataflow
from simulator.mapping.lowerings.kernel_by_kernel import kernel_by_kernel
from simulator.mapping.target import Target
from simulator.registry import registered
from simulator.workload import Block

DATAFLOW = "dataflow"
STREAMING = "streaming"


@dataclass(frozen=True, eq=False)
class Run:
    """A kernel, and its plan on one device: `steps[0]` is its call, what follows reduces its partial sums.

    `block` is the block, or so many repeats of it at once as the kernel spans.
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
        """What the call does once it is launched, and what may be loaded ahead is; beside it programs may be loaded."""
        (work,) = (step.work for step in self.call.steps if step.work.name == self.kernel.name)
        assert isinstance(work, Activity)
        return work

    @property
    def seconds(self) -> float:
        """Of the call, with its launch."""
        return float(closed_form(self.call).time)

    @property
    def collective_seconds(self) -> float:
        """Of the collectives that follow it."""
        return float(closed_form(self.plan).time) - self.seconds

    @property
    def as_activity(self) -> Plan:
        """The call as one activity, its work, whose latency is all that it waits for."""
        plan = Plan(self.call.name)
        plan.add(replace(self.work, latency=max(self.seconds - self.work.alone, 0.0)))
        return plan

    @property
    def busy(self) -> dict[str, float]:
        """Seconds of each resource while it works, and of the latency before that, the longest first."""
        seconds = {resource.name: float(time) for resource, time in busy(self.as_activity).items()}
        seconds[LATENCY] = float(binding(self.as_activity)[LATENCY])
        return dict(sorted(((n, t) for n, t in seconds.items() if t > 0), key=lambda item: -item[1]))

    @property
    def bound_by(self) -> str:
        """What binds a call longest: a resource, or `latency`."""
        return str(bound_by(self.as_activity))

    def traffic(self, target: Target) -> dict[str, float]:
        """Bytes of a call through the engine's port to each tier that it touches, over all devices."""
        moved = traffic(self.call.demand())
        ports = {tier: f"{target.device}.{tier}->{target.name}" for tier in target.description.reads}
        return {tier: float(moved[port]) for tier, port in ports.items() if port in moved}


def runs(target: Target, block: Block, mode: str) -> list[Run]:
    """The kernels that the engine's lowering makes of a block under a fusion mode (`modes`), or of `whole`: an ideal.

    Raises:
        ConfigError: a mode that the engine does not have; a kind of engine whose lowering shows no kernels.
    """
    kind = target.description.kind
    if registered("lowering", kind) not in (kernel_by_kernel, dataflow):
        raise ConfigError("kernels", found=f"an engine of kind '{kind}'", expected="one that runs kernel by kernel")
    if mode not in (*modes(target), "whole"):
        raise ConfigError(f"a {kind} engine", path="fusion", found=mode, expected=one_of([*modes(target), "whole"]))
    if kind == DATAFLOW and mode != "whole":
        fused = _with_fusion(target, mode)
        (program,) = programs(fused, block)
        return [_pipelined(fused, program.of(block), pipeline) for pipeline in program.partition.pipelines]
    own = block_kernels(target, block) if mode == own_mode(target) else kernels(block, mode, target.ways)
    return [Run(block, kernel, kernel_plan(target, kernel)) for kernel in own]


def modes(target: Target) -> list[str]:
    """The fusion modes of an engine, from the smallest kernels to the largest."""
    return ["unfused", "conventional", *([STREAMING] if target.description.kind == DATAFLOW else [])]


def own_mode(target: Target) -> str:
    """The fusion mode that an engine is lowered with."""
    return fabric(target).fusion if target.description.kind == DATAFLOW else fusion(target.description)


def known_modes() -> list[str]:
    """Every fusion mode of any engine, and the ideal."""
    return [mode for mode in FUSIONS if mode != "whole"] + [STREAMING, "whole"]


def intensity(flops: float, traffic: float) -> float:
    """FLOP/B; NaN where nothing is moved."""
    return flops / traffic if traffic else float("nan")


def _pipelined(target: Target, block: Block, pipeline: Pipeline) -> Run:
    (kernel,) = kernels_of(block, [pipeline.names], target.ways)
    return Run(block, kernel, pipeline_plan(target, block, pipeline), pipeline)


def _with_fusion(target: Target, mode: str) -> Target:
    """The same engine under another fusion mode."""
    if fabric(target).fusion == mode:
        return target
    path = f"devices.{target.device}.engines.{target.engine}.fabric.fusion"
    return replace(target, system=target.system.put({path: mode}))
