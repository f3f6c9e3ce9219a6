"""The kernels of one pass under the roofs of a machine: one roof a tier, and the peak of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from simulator.core import Resource
from simulator.errors import ConfigError, one_of
from simulator.hardware import System
from simulator.mapping.fusion import FUSIONS
from simulator.mapping.kernels import Kernel, kernels
from simulator.mapping.lowering import FUSION, Target, kernel_activity, peak, target
from simulator.mapping.placement import place
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.serving.estimate import loaded
from simulator.workload import Model, decode, operator_graph, prefill

if TYPE_CHECKING:
    import pandas as pd

LARGE = 1e12  # bytes: beyond the end of every efficiency curve


@dataclass(frozen=True, eq=False, repr=False)
class Roofline(Result):
    """Kernels and roofs, both of all devices together.

    Attributes:
        title: what is shown.
        rows: a kernel each: `op`, `repeat`, `flops`, `bytes` (over the boundary of main memory), `op_per_byte`,
            `bound_by`, `attainable_flops` (FLOP/s while it runs), `time_s` (once, with its launch), and `bytes_<tier>`
            for each tier that it touches.
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
    phase: Literal["prefill", "decode"] = "decode",
    batch: int = 1,
    context: int = 2048,
    *,
    devices: int | None = None,
    dtype: str | None = None,
    fusion: str | None = None,
    overrides: Sequence[str] = (),
) -> Roofline:
    """Place each kernel of one pass on the rooflines of a machine (Williams et al., CACM 2009).

    `phase` prefill computes `context` tokens for each of `batch` sequences; decode one token, over `context`. `fusion`
    (`unfused`, `conventional`, `whole`) is the engine's own unless given.

    Raises:
        ConfigError: a phase, fusion mode or name that there is not, or a context that the model was not made for.
        CapacityError: weights and KV caches do not fit.
    """
    for name, value, known in (("phase", phase, ("prefill", "decode")), ("fusion", fusion, (None, *FUSIONS))):
        if value not in known:
            raise ConfigError(path=name, found=value, expected=one_of(k for k in known if k))
    system, model = loaded(hardware, model, devices, dtype, overrides)
    runner = target(system)
    if batch < 1:
        raise ConfigError(path="batch", found=batch, expected="1 or more")
    if not 1 <= context <= model.max_context:
        raise ConfigError(path="context", found=context, expected=f"1 to {model.max_context:,}")
    place(runner, model, batch, context)
    mode = fusion or FUSION.get(runner.description.kind, "unfused")
    graph = operator_graph(model, (prefill if phase == "prefill" else decode)(batch, context))
    rows = [
        {"op": kernel.name, "repeat": block.repeat, **_row(runner, kernel)}
        for block in graph.blocks
        for kernel in kernels(block, mode, runner.ways)
    ]
    asked = {"phase": phase, "batch": batch, "context": context, "devices": runner.ways, "fusion": mode}
    engine = runner.description
    return Roofline(
        title=f"{model.name} on {runner.ways} x {runner.device} of {system.name}: {phase}, {batch} x {context} tokens",
        rows=rows,
        roofs=[{"tier": tier, "bandwidth": _bandwidth(runner, tier)} for tier in _tiers(runner)],
        peak=peak(system, runner.name, model.dtypes.products) * engine.efficiency * runner.ways,
        memory=runner.memory,
        provenance=Provenance({"hardware": system.config.data, "model": model.model_dump(), "roofline": asked}),
    )


def _row(runner: Target, kernel: Kernel) -> dict[str, Any]:
    activity = kernel_activity(runner, kernel)
    busy = {resource: float(seconds) for resource, seconds in activity.seconds().items()}
    longest = max(busy, key=lambda resource: busy[resource])
    flops, traffic = float(kernel.flops) * runner.ways, float(kernel.traffic) * runner.ways
    time = busy[longest]
    return {
        "flops": flops,
        "bytes": traffic,
        "op_per_byte": flops / traffic if traffic else float("inf"),
        "bound_by": longest.name,
        "attainable_flops": flops / time if time else 0.0,
        "time_s": time + float(activity.latency),
        **{f"bytes_{t}": float(activity.demand[_port(runner, t)]) * runner.ways for t in _tiers(runner)},
    }


def _tiers(runner: Target) -> list[str]:
    """The tiers that the kernels touch: on-chip memory, and the one that holds the model."""
    tiers = runner.system.machine.devices[runner.device].tiers
    return [tier for tier in runner.description.reads if tier == runner.memory or tiers[tier].kind == "sram"]


def _bandwidth(runner: Target, tier: str) -> float:
    """What a large read achieves, of the tier and through its port, over all devices."""
    rates = (_port(runner, tier).rate(LARGE), runner.system[f"{runner.device}.{tier}"].rate(LARGE))
    return float(min(rates)) * runner.ways


def _port(runner: Target, tier: str) -> Resource:
    return runner.system[f"{runner.device}.{tier}->{runner.name}"]
