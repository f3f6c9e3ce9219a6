"""The kernels of one pass on a machine: what each uses of the chip, and what fusion is worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.core.closed_form import alone
from simulator.errors import ConfigError
from simulator.hardware import System
from simulator.mapping.dataflow.call import grid
from simulator.mapping.dataflow.pipeline import Pipeline
from simulator.mapping.lowering import kernel_activity
from simulator.mapping.target import Target, engine_seconds
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.scenario.form import Scenario
from simulator.scenario.one_pass import Phase, one_pass, pass_of
from simulator.scenario.runs import Run, intensity, modes, own_mode, runs
from simulator.workload import Model
from simulator.workload.operators.graph import OperatorGraph
from simulator.workload.operators.operator import WRITES

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class KernelReport(Result):
    """Kernels of one pass. FLOPs and bytes are of all devices together; PCUs, PMUs and SRAM of one.

    Attributes:
        title: what is shown.
        fusion: the mode that `rows` are of.
        memory: the tier that `bytes` and `op_per_byte` are about.
        rows: a kernel each: `block`, `kernel`, `operators` (how many), `repeat`, `launches` (in a pass), `flops`,
            `bytes` (over its boundary, of main memory), `op_per_byte`, `time_s` (once, with its launch),
            `collectives_s` (after it), `roofline_s` (once, of the machine alone; where models time kernels),
            `bound_by` (what is busy longest, a resource or `latency`), and `bytes_<tier>` for each tier that it
            touches; on a dataflow engine `tiles`, `pcus`, `pmus`, `arriving_pmus` and `reserved_pmus` (of them for
            what other kernels made; beside them, for weights of the next), and `sram_bytes` of the PMUs.
        stages: on a dataflow engine, a stage each: `row` (of its kernel), `operator`, `kind`, `after` (the stages that
            feed it), `from_memory` and `to_memory` (whether it reads activations, and writes anything, over the
            kernel's boundary),
            `pcus`, `time_s` (of all tiles), `pmus` of its output, and `kept_pmus` of weights, keys and values.
        busy: how long each resource is busy with one call: `row`, `resource` (or `latency`), `time_s`.
        modes: the whole pass under each fusion mode: `fusion`, `kernels`, `launches`, `bytes`, `op_per_byte`,
            `time_s`, `bytes_<tier>`. Of `whole`, a kernel a block that need not fit, no time is given.
        grid: `pcus`, `pmus` of the engine, and `usable_pcus`, `usable_pmus` by one kernel; None where it has none.
    """

    title: str
    fusion: str
    memory: str
    rows: list[dict[str, Any]]
    stages: list[dict[str, Any]]
    busy: list[dict[str, Any]]
    modes: list[dict[str, Any]]
    grid: dict[str, int] | None
    provenance: Provenance

    @property
    def totals(self) -> dict[str, Any]:
        """The whole pass under `fusion`, as a row of `modes`."""
        return next(row for row in self.modes if row["fusion"] == self.fusion)

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "fusion": self.fusion,
            "memory": self.memory,
            "grid": self.grid,
            "totals": self.totals,
            "kernels": self.rows,
            "stages": self.stages,
            "busy": self.busy,
            "modes": self.modes,
            "provenance": self.provenance.as_dict(),
        }

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        frames = {"kernels": self.rows, "stages": self.stages, "modes": self.modes}
        return {name: pd.DataFrame(rows) for name, rows in frames.items() if rows}


def kernels(
    hardware: System | str | Path,
    model: Model | str | Path,
    phase: Phase = "decode",
    batch: int = 1,
    context: int = 2048,
    *,
    fusion: str | None = None,
    overrides: Sequence[str] = (),
    **mapping: Any,
) -> KernelReport:
    """What runs as one kernel in a pass, what each kernel uses of the chip, and the pass under every fusion mode.

    `phase` prefill computes `context` tokens for each of `batch` sequences; decode one token, over `context`. `fusion`
    (`unfused`, `conventional`; of a dataflow engine also `streaming`; `whole`, an ideal) is the engine's own unless
    given; where models time kernels, that alone, and `roofline_s` is what the machine alone takes. Op/B is `flops /
    bytes`, the bytes those that cross the boundary of kernels from or to main memory (arXiv 2405.07518 section III,
    Table I).

    Raises:
        ConfigError: a phase, fusion mode or name that there is not, or a context that the model was not made for.
        CapacityError: weights and KV caches do not fit.
    """
    return kernels_of(pass_of(hardware, model, phase, batch, context, overrides, mapping), fusion)


def kernels_of(scenario: Scenario, fusion: str | None = None) -> KernelReport:
    """The kernels of a scenario of one pass (`kernels`)."""
    runner, _, graph, title, provenance = one_pass(scenario)
    own = own_mode(runner)
    if runner.models is not None and fusion not in (None, own):
        raise ConfigError(
            path="fusion", found=f"'{fusion}' of modelled kernels", expected=f"'{own}', as libraries fuse"
        )
    fusion = fusion or own
    shown = _runs(runner, graph, fusion)
    others = (*modes(runner), "whole") if runner.models is None else (fusion,)
    compared = {mode: shown if mode == fusion else _runs(runner, graph, mode) for mode in others}
    return KernelReport(
        title=title,
        fusion=fusion,
        memory=runner.memory,
        rows=[_row(runner, run) for run in shown],
        stages=[stage for row, run in enumerate(shown) for stage in _stages(runner, run, row)],
        busy=[
            {"row": row, "resource": name, "time_s": time}
            for row, run in enumerate(shown)
            for name, time in run.busy.items()
        ],
        modes=[_mode(runner, mode, calls) for mode, calls in compared.items()],
        grid=_grid(runner),
        provenance=provenance,
    )


def _runs(runner: Target, graph: OperatorGraph, mode: str) -> list[Run]:
    return [run for block in graph.blocks for run in runs(runner, block, mode)]


def _row(runner: Target, run: Run) -> dict[str, Any]:
    flops, traffic = float(run.kernel.flops) * runner.ways, run.traffic(runner)
    row = {
        "block": run.block.name,
        "kernel": run.kernel.name,
        "operators": len(run.kernel.operators),
        "repeat": run.block.repeat,
        "launches": _launches(run),
        "flops": flops,
        "bytes": traffic[runner.memory],
        "op_per_byte": intensity(flops, traffic[runner.memory]),
        "time_s": run.seconds,
        "collectives_s": run.collective_seconds,
        "bound_by": run.bound_by,
        **_bytes(traffic),
    }
    if runner.models is not None:
        row["roofline_s"] = float(alone(kernel_activity(replace(runner, models=None), run.kernel)))
    return row | _use(runner, run.pipeline) if run.pipeline else row


def _use(runner: Target, pipeline: Pipeline) -> dict[str, Any]:
    """What one kernel fills of the grid of one device."""
    laid, unreserved = pipeline.layout, grid(runner)
    return {
        "tiles": laid.tiles,
        "pcus": int(laid.pcus.sum()),
        "pmus": int(laid.pmus.sum()),
        "arriving_pmus": int(laid.pmus[0, -1]),
        "reserved_pmus": int(unreserved.pmus - grid(runner, pipeline.reserved).pmus),
        "sram_bytes": float(laid.pmus.sum()) * unreserved.pmu_bytes,
    }


def _stages(runner: Target, run: Run, row: int) -> Iterator[dict[str, Any]]:
    """The operators of a kernel as they lie on the grid: with n PCUs, one takes `engine-seconds * PCUs / n`."""
    if run.pipeline is None:
        return
    graph, members, laid = run.block.graph, set(run.pipeline.names), run.pipeline.layout
    column = {name: place for place, name in enumerate(graph)}
    share = grid(runner).engine_pcus / runner.description.efficiency
    for name, operator in zip(run.pipeline.names, run.kernel.operators, strict=True):
        place = column[name]
        pcus, readers = float(laid.pcus[0, place]), set(graph.successors(name))
        yield {
            "row": row,
            "operator": name,
            "kind": operator.kind,
            "after": [feeder for feeder in graph.predecessors(name) if feeder in members],
            "from_memory": name in run.block.entries or bool(set(graph.predecessors(name)) - members),
            "to_memory": name == run.block.exit or bool(readers - members) or bool(WRITES.intersection(operator.bytes)),
            "pcus": int(pcus),
            "time_s": float(engine_seconds(runner, (operator,))) * share / pcus if pcus else 0.0,
            "pmus": int(laid.pmus[0, place]),
            "kept_pmus": int(laid.pmus[0, len(column) + place]),
        }


def _mode(runner: Target, mode: str, calls: list[Run]) -> dict[str, Any]:
    """The whole pass under a fusion mode."""
    flops, traffic, seconds = 0.0, dict.fromkeys(runner.description.reads, 0.0), 0.0
    for run in calls:
        repeat = run.block.repeat
        flops += float(run.kernel.flops) * runner.ways * repeat
        seconds += (run.seconds + run.collective_seconds) * repeat
        for tier, size in run.traffic(runner).items():
            traffic[tier] += size * repeat
    return {
        "fusion": mode,
        "kernels": sum(run.block.repeat for run in calls),
        "launches": sum(_launches(run) for run in calls),
        "flops": flops,
        "bytes": traffic[runner.memory],
        "op_per_byte": intensity(flops, traffic[runner.memory]),
        "time_s": None if mode == "whole" else seconds,
        **_bytes(traffic),
    }


def _launches(run: Run) -> int:
    each = run.pipeline.launches if run.pipeline else 1.0
    return round(each * run.block.repeat)


def _bytes(traffic: dict[str, float]) -> dict[str, float]:
    return {f"bytes_{tier}": size for tier, size in traffic.items() if size}


def _grid(runner: Target) -> dict[str, int] | None:
    fabric = runner.description.fabric
    if fabric is None:
        return None
    usable = grid(runner)
    return {
        "pcus": fabric.pcus,
        "pmus": fabric.pmus,
        "usable_pcus": int(usable.pcus),
        "usable_pmus": int(usable.pmus),
    }
