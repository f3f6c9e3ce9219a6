"""The kernels of one pass under the roofs of a machine: one roof a tier, and the peak of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.core import Resource
from simulator.hardware import System
from simulator.mapping.target import Target, peak
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.scenario.form import Scenario
from simulator.scenario.one_pass import Phase, one_pass, pass_of
from simulator.scenario.runs import Run, intensity, own_mode, runs
from simulator.workload import Model

if TYPE_CHECKING:
    import pandas as pd

LARGE = 1e12  # bytes: beyond the end of every efficiency curve


@dataclass(frozen=True, eq=False, repr=False)
class Roofline(Result):
    """Kernels and roofs, both of all devices together.

    Attributes:
        title: what is shown.
        rows: a kernel each: `op`, `repeat`, `flops`, `bytes` (over the boundary of main memory), `op_per_byte`,
            `bound_by` (as of `kernels`), `attainable_flops` (FLOP/s while it runs), `time_s` (once, with its launch),
            and `bytes_<tier>` for each tier that it touches.
        roofs: `tier` and its `bandwidth` as achieved by large reads (B/s), fastest first; `peak` the FLOP/s of the
            engine as achieved, for the dtype that the products compute in.
        memory: the tier that `bytes` and `op_per_byte` are about.
    """

    title: str
    rows: list[dict[str, Any]]
    roofs: list[dict[str, Any]]
    peak: float
    memory: str
    provenance: Provenance

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "memory": self.memory,
            "peak_flops": self.peak,
            "roofline": self.rows,
            "roofs": self.roofs,
            "provenance": self.provenance.as_dict(),
        }

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        return {"roofline": pd.DataFrame(self.rows), "roofs": pd.DataFrame(self.roofs)}


def roofline(
    hardware: System | str | Path,
    model: Model | str | Path,
    phase: Phase = "decode",
    batch: int = 1,
    context: int = 2048,
    *,
    fusion: str | None = None,
    overrides: Sequence[str] = (),
    **mapping: Any,
) -> Roofline:
    """Place each kernel of one pass on the rooflines of a machine (Williams et al., CACM 2009).

    `phase` prefill computes `context` tokens for each of `batch` sequences; decode one token, over `context`. `fusion`
    (`unfused`, `conventional`; of a dataflow engine also `streaming`; `whole`, an ideal) is the engine's own unless
    given.

    Raises:
        ConfigError: a phase, fusion mode or name that there is not, or a context that the model was not made for.
        CapacityError: weights and KV caches do not fit.
    """
    return roofline_of(pass_of(hardware, model, phase, batch, context, overrides, mapping), fusion)


def roofline_of(scenario: Scenario, fusion: str | None = None) -> Roofline:
    """The roofline of a scenario of one pass (`roofline`)."""
    runner, model, graph, title, provenance = one_pass(scenario)
    mode = fusion or own_mode(runner)
    rows = [
        {"op": run.kernel.name, "repeat": run.block.repeat, **_row(runner, run)}
        for block in graph.blocks
        for run in runs(runner, block, mode)
    ]
    system, engine = runner.system, runner.description
    return Roofline(
        title=title,
        rows=rows,
        roofs=[{"tier": tier, "bandwidth": _bandwidth(runner, tier)} for tier in _tiers(runner)],
        peak=peak(system, runner.name, model.dtypes.products) * engine.efficiency * runner.ways,
        memory=runner.memory,
        provenance=provenance,
    )


def _row(runner: Target, run: Run) -> dict[str, Any]:
    flops, traffic, time = float(run.kernel.flops) * runner.ways, run.traffic(runner), run.work.alone
    return {
        "flops": flops,
        "bytes": traffic[runner.memory],
        "op_per_byte": intensity(flops, traffic[runner.memory]),
        "bound_by": run.bound_by,
        "attainable_flops": flops / time if time else 0.0,
        "time_s": run.seconds,
        **{f"bytes_{tier}": traffic[tier] for tier in _tiers(runner)},
    }


def _tiers(runner: Target) -> list[str]:
    """The tiers that the kernels touch: on-chip memory, and the one that holds the model."""
    tiers = runner.system.machine.devices[runner.device].tiers
    return [tier for tier in runner.description.reads if tier == runner.memory or tiers[tier].on_chip]


def _bandwidth(runner: Target, tier: str) -> float:
    """What a large read achieves, of the tier and through its port, over all devices."""
    rates = (_port(runner, tier).rate(LARGE), runner.system[f"{runner.device}.{tier}"].rate(LARGE))
    return float(min(rates)) * runner.ways


def _port(runner: Target, tier: str) -> Resource:
    return runner.system[f"{runner.device}.{tier}->{runner.name}"]
