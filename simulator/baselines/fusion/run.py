"""How a `fusion` experiment runs: each benchmark in each mode, in closed form; and the intensities of the example."""

from __future__ import annotations

from typing import Any

from simulator.baselines.experiment import Progress, part_of
from simulator.baselines.fusion.form import Benchmark, FusionExperiment, Mode, Pass
from simulator.baselines.fusion.outcome import FusionOutcome
from simulator.core import closed_form
from simulator.hardware import System, load_system
from simulator.mapping.kernels import kernels_of
from simulator.mapping.lowering import graph_plan
from simulator.mapping.partition import spanning
from simulator.mapping.target import Target, target
from simulator.registry import register
from simulator.workload import OperatorGraph, decode, load_model, operator_graph, prefill, training_graph
from simulator.workload.eager_graph import eager
from simulator.workload.fft import long_convolution, monarch


@register("experiment", "fusion")
class FusionKind:
    """Times each benchmark unfused, and fused with software and hardware orchestration of its kernels."""

    form = FusionExperiment

    @staticmethod
    def check(experiment: FusionExperiment) -> None:
        for key, mode in experiment.modes.items():
            with part_of("modes", key):
                system = _system(experiment, mode)
        for name, benchmark in experiment.benchmarks.items():
            with part_of("benchmarks", name):
                _target(system, benchmark)
                _graph(benchmark)
        with part_of("intensity"):
            _intensities(experiment)

    @staticmethod
    def run(experiment: FusionExperiment, progress: Progress) -> FusionOutcome:
        modes = experiment.modes
        systems = {name: _system(experiment, mode) for name, mode in modes.items()}
        runs: list[dict[str, Any]] = []
        for name, benchmark in experiment.benchmarks.items():
            graph = _graph(benchmark)
            for mode, settings in modes.items():
                where = _target(systems[mode], benchmark)
                runs.append({"benchmark": name, "mode": mode, **_run(where, eager(graph) if settings.eager else graph)})
                progress(len(runs), len(modes) * len(experiment.benchmarks))
        passes = [benchmark for benchmark in experiment.benchmarks.values() if isinstance(benchmark, Pass)]
        models = {benchmark.model: load_model(benchmark.model).model_dump() for benchmark in passes}
        configs = {name: system.config.data for name, system in systems.items()}
        return FusionOutcome(runs, _intensities(experiment), {"systems": configs, "models": models})


def _system(experiment: FusionExperiment, mode: Mode) -> System:
    return load_system(experiment.hardware, [*experiment.set, *mode.set])


def _graph(benchmark: Benchmark) -> OperatorGraph:
    if not isinstance(benchmark, Pass):
        return long_convolution(benchmark.batch, benchmark.channels, benchmark.factors)
    model, batch, tokens = load_model(benchmark.model), benchmark.batch, benchmark.tokens
    if benchmark.phase == "train":
        return training_graph(model, prefill(batch, tokens), recompute=benchmark.recompute)
    return operator_graph(model, (prefill if benchmark.phase == "prefill" else decode)(batch, tokens))


def _target(system: System, benchmark: Benchmark) -> Target:
    return target(system.with_devices(benchmark.devices))


def _run(where: Target, graph: OperatorGraph) -> dict[str, Any]:
    """One pass on one machine: seconds, kernel calls, the largest kernel's operators, and bytes of each device."""
    plan = graph_plan(where, graph)
    calls, largest = 0.0, 0
    for block in graph.blocks:
        repeats, found = spanning(where, block)
        calls += block.repeat / repeats * sum(pipeline.launches for pipeline in found.pipelines)
        largest = max(largest, *(len(pipeline.names) for pipeline in found.pipelines))
    memory = where.system[f"{where.device}.{where.memory}"]
    return {
        "time_s": float(closed_form(plan).time),
        "calls": calls,
        "largest_kernel_operators": largest,
        "main_memory_bytes": float(plan.demand()[memory]),
    }


def _intensities(experiment: FusionExperiment) -> list[dict[str, Any]]:
    """FLOPs per byte over the boundaries of all kernels of the example, with and without the scale's bytes."""
    rows = []
    for counting, strict in (("paper", False), ("strict", True)):
        (block,) = monarch(count_scale=strict).blocks
        for fusion, groups in experiment.intensity.groups.items():
            kernels = kernels_of(block, groups)
            flops, moved = (
                sum(float(q) for q in each) for each in zip(*((k.flops, k.traffic) for k in kernels), strict=True)
            )
            row = {"fusion": fusion, "counting": counting, "flops": flops, "bytes": moved}
            rows.append({**row, "op_per_byte": flops / moved})
    return rows
