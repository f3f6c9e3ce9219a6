"""Kernels of a graph: how many are launched, what they move and how long they take, in closed form."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import nan
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from simulator.config.section import Section
from simulator.core import closed_form
from simulator.errors import ConfigError
from simulator.mapping.engines import lone_engine
from simulator.mapping.kernels.launches import launches, launches_of
from simulator.mapping.lowering import compiled, graph_plan
from simulator.mapping.runtime.form import IDEAL, load_runtime
from simulator.mapping.runtime.machine import under_runtime
from simulator.mapping.target import Target
from simulator.registry import register
from simulator.scenario.cases import Columns
from simulator.scenario.evaluator import EachAlone
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import Metric
from simulator.scenario.parts import at_key, deployment, machine
from simulator.units import Count
from simulator.workload import OperatorGraph, decode, operator_graph, prefill, training_graph
from simulator.workload.eager_graph import eager
from simulator.workload.fft import long_convolution, monarch
from simulator.workload.training.backward import Recompute


class Pass(Section):
    """One pass of the model over a batch: of prompts, of a token each, or a step of training."""

    kind: Literal["pass"]
    phase: Literal["prefill", "decode", "train"] = "prefill"
    """`prefill` or `train`: of `tokens` each; `decode`: of one token, over a context of `tokens`."""
    batch: Count = 1
    """Sequences at once."""
    tokens: Count = 512
    """Tokens of each sequence."""
    recompute: Recompute = "none"
    """What training makes again in the backward pass instead of saving it."""


class LongConvolution(Section):
    """A convolution by Fourier transform: as many points as the product of `factors`, over so many channels."""

    kind: Literal["long_convolution"]
    batch: Count = 1
    """Sequences at once."""
    channels: Count = 768
    """Channels of each sequence."""
    factors: Annotated[tuple[Count, ...], Field(min_length=1)] = (32, 32, 32, 32)
    """Lengths of the transforms that the whole is made of."""


class Monarch(Section):
    """A Fourier transform of two products of matrices, with a scale and a transpose between them."""

    kind: Literal["monarch"]
    outer: Count = 1024
    """Rows and columns of what lies between the two products."""
    inner: Count = 128
    """Columns of the first matrix."""
    count_scale: bool = True
    """Whether the scale is read from memory."""


OF_MODEL = ("devices", "dtype", "kv", "activations", "compute", "kernels", "calibration")
"""The keys of the mapping that a model alone reads."""

Graph: TypeAlias = Annotated[Pass | LongConvolution | Monarch, Field(discriminator="kind")]


class Kernels(Workload):
    """The operators of a graph, run once."""

    kind: Literal["kernels"]
    graph: Graph | None = None
    """What is computed."""
    eager: bool = False
    """Whether each operator that PyTorch dispatches is one by itself."""
    groups: Annotated[tuple[tuple[str, ...], ...], Field(min_length=1)] | None = None
    """The operators of each kernel, of a graph of one block without a machine; null: as the engine fuses them."""


@register("evaluator", "kernels")
class KernelsEvaluator(EachAlone):
    """Times a graph, kernel by kernel, on the engine of a machine; counts given kernels alone without one.

    FLOPs and bytes are of one of the devices that share the graph; `kernel_bytes` cross the boundaries of kernels,
    those that stay on the chip among them, and `op_per_byte` are the FLOPs over these.
    """

    form = Kernels
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("time_s", "s", "min", "time"),
        Metric("calls", "1", "min", "kernel calls"),
        Metric("largest_kernel_operators", "1", None, "operators of the largest kernel"),
        Metric("main_memory_bytes", "B", "min", "bytes of main memory", per="device"),
        Metric("flops", "FLOP", None, "FLOPs", per="device"),
        Metric("kernel_bytes", "B", "min", "bytes over the boundaries of kernels", per="device"),
        Metric("op_per_byte", "FLOP/B", "max", "operational intensity"),
    )
    needs: ClassVar[Collection[str]] = ("hardware", "model")
    optional: ClassVar[Collection[str]] = ("hardware", "model")
    mapping: ClassVar[Collection[str]] = (
        "devices", "engines", "memory", "dtype", "kv", "activations", "compute", "fusion", "runtime",
        "kernels", "calibration",
    )  # fmt: skip

    @staticmethod
    def unread(scenario: Scenario) -> Mapping[str, str]:
        """What is of a model, beside a graph that is of none; of a machine, where there is none; and of kernels."""
        work = scenario.workload
        assert isinstance(work, Kernels)
        of_model = isinstance(work.graph, Pass)
        keys = ["workload.groups"] if scenario.hardware or of_model else ["sized"]
        keys += [] if of_model else ["model", "sized", "workload.eager", *(f"mapping.{key}" for key in OF_MODEL)]
        keys += (
            []
            if of_model or scenario.hardware
            else [f"mapping.{key}" for key in ("engines", "memory", "fusion", "runtime")]
        )
        graph = f"a graph of kind '{work.graph.kind}'" if work.graph else "no graph"
        paths = dict.fromkeys(keys, f"{graph} {'on' if scenario.hardware else 'without'} a machine")
        if isinstance(work.graph, Pass):
            own = "mapping.kv" if work.graph.phase == "train" else "workload.graph.recompute"
            paths[own] = f"a {work.graph.phase} pass"
        if scenario.hardware and scenario.mapping.runtime not in (None, IDEAL):
            system, software = machine(scenario), load_runtime(scenario.mapping.runtime)
            if under_runtime(system, software) is system:
                paths["mapping.runtime"] = f"a pass on {system.name}, of which that has no figure,"
        return paths

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        work = scenario.workload
        assert isinstance(work, Kernels)
        runner = _runner(scenario, work)
        graph = _graph(scenario, work.graph)
        graph = eager(graph) if work.eager else graph
        time = moved = nan
        if runner:
            runner = compiled(runner, lambda: graph.blocks)
            with at_key("mapping"):
                launched, plan = launches(runner, graph), graph_plan(runner, graph)
            time = float(closed_form(plan).time)
            moved = float(plan.demand()[runner.system[runner.tier]])
        else:
            with at_key("workload", "groups"):
                launched = launches_of(graph, work.groups or ())
        return {
            "time_s": time,
            "calls": launched.calls,
            "largest_kernel_operators": float(launched.largest),
            "main_memory_bytes": moved,
            "flops": launched.flops,
            "kernel_bytes": launched.bytes,
            "op_per_byte": launched.flops / launched.bytes,
        }


def _runner(scenario: Scenario, work: Kernels) -> Target | None:
    """The engine that runs the graph; None without a machine.

    Raises:
        ConfigError: a context that the model was not made for.
        CapacityError: weights and KV caches of a pass do not fit; what training keeps is not counted.
    """
    if isinstance(work.graph, Pass):
        deployed = deployment(scenario)
        most, tokens = deployed.model.max_context, work.graph.tokens
        if tokens > most:
            raise ConfigError(path="workload.graph.tokens", found=tokens, expected=f"1 to {most:,}")
        if work.graph.phase != "train":
            deployed.footprint(work.graph.batch, tokens, 0).check()
        return deployed.engine
    with at_key("mapping"):
        return lone_engine(machine(scenario), scenario.mapping) if scenario.hardware else None


def _graph(scenario: Scenario, graph: Pass | LongConvolution | Monarch | None) -> OperatorGraph:
    """The operators of a graph."""
    match graph:
        case Pass(phase="train"):
            served = deployment(scenario).model
            return training_graph(served, prefill(graph.batch, graph.tokens), recompute=graph.recompute)
        case Pass():
            batch = (prefill if graph.phase == "prefill" else decode)(graph.batch, graph.tokens)
            return operator_graph(deployment(scenario).model, batch)
        case LongConvolution():
            return long_convolution(graph.batch, graph.channels, graph.factors)
        case Monarch():
            return monarch(count_scale=graph.count_scale, outer=graph.outer, inner=graph.inner)
    raise ConfigError("missing key", path="workload.graph", expected="what is computed")
