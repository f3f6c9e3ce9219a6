"""Designs that serve requests as they come, by continuous batching: how long these wait, event by event."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import nan
from typing import Any, ClassVar

from simulator.config.choose import check_name
from simulator.explore.sweep.alone import one_by_one
from simulator.explore.sweep.columns import Columns
from simulator.explore.sweep.cost import METRICS as COSTS
from simulator.explore.sweep.cost import taken
from simulator.explore.sweep.designs import RUNNER, deployed
from simulator.mapping.room import most_sequences
from simulator.mapping.static_batch import check_context
from simulator.registry import register
from simulator.serving.arrivals import requests
from simulator.serving.lengths import Lengths
from simulator.serving.open_loop import StageTimes, chosen, serve
from simulator.serving.saturation import saturation, sustained
from simulator.serving.served import percentile
from simulator.serving.stages import Stages
from simulator.workload.routers import ROUTERS

DEFAULTS: dict[str, Any] = {
    "workload.batch": 64, "workload.input": 512, "workload.output": 128, "workload.requests": 500, "workload.rate": 1.0,
    "workload.process": "poisson", "workload.spread": 0.0, "workload.router": "uniform",
}  # fmt: skip
READS = (*DEFAULTS, *RUNNER, "mapping.dispatch", "mapping.together")
PERCENTS = (50, 99)
METRICS = {
    **{f"{what}_p{percent}_s": "s" for what in ("ttft", "tbt", "e2e", "queue") for percent in PERCENTS},
    "tokens_per_s": "1/s", "admitted": "1", "utilisation": "1", "keeps_up": "1", "undecided": "", **COSTS, "error": "",
}  # fmt: skip


@register("evaluator", "requests")
@dataclass(frozen=True)
class Requests:
    """Gives the metrics of points; picklable. Each point is a run of its own: queues are no formula.

    `workload.requests` come at `workload.rate` a second; those that wait join before a stage, while at most
    `workload.batch` are served, or as many as there is room for (`admitted`). Percentiles are over requests, of `tbt`
    over tokens. `utilisation` is the rate over that which the machine sustains; `keeps_up` is 1 where the queue does
    not grow, 0 where it does (then waits are those of a run that ended), and missing where the run does not tell
    (`undecided`: why); see `serving/saturation.py`. Prompts are computed whole, in a stage with all that decode. Draws
    are the same at every rate.
    """

    base: Mapping[str, Any]
    overrides: tuple[str, ...] = ()

    metrics: ClassVar[Mapping[str, str]] = METRICS
    reads: ClassVar[Collection[str]] = READS
    alone: ClassVar[bool] = True
    requires: ClassVar[Mapping[str, str]] = {"keeps_up == 1": "undecided"}

    def __call__(self, columns: Columns) -> Columns:
        return one_by_one(columns, METRICS, lambda said: self._point({**DEFAULTS, **self.base, **said}))

    def _point(self, said: Mapping[str, Any]) -> dict[str, Any]:
        free = ("workload.rate", "workload.process")
        load = _load(tuple((k, v) for k, v in said.items() if k not in free), self.overrides)
        rate, process = (said[key] for key in free)
        served = serve(
            load.times, requests(load.lengths, int(said["workload.requests"]), float(rate), process), load.cap
        )
        seen = saturation(served, float(rate), load.sustained)
        waits = {"ttft": served.ttft, "e2e": served.e2e, "queue": served.queued}
        return {
            **{f"{what}_p{p}_s": percentile(each, p) for what, each in waits.items() for p in PERCENTS},
            **{f"tbt_p{p}_s": served.tbt(p) for p in PERCENTS},
            "tokens_per_s": served.throughput,
            "admitted": float(load.cap),
            "utilisation": seen.utilisation,
            "keeps_up": nan if seen.keeps_up is None else float(seen.keeps_up),
            "undecided": seen.undecided,
            **taken(load.times.stages.deployment, said),
        }


@dataclass(frozen=True, eq=False)
class _Load:
    """What a machine and its requests have in common at every rate.

    Attributes:
        times: the stages, and what they take.
        cap: requests that are served at once.
        sustained: requests a second that the machine can serve.
    """

    times: StageTimes
    lengths: Lengths
    cap: int
    sustained: float


@lru_cache(maxsize=8)
def _load(key: tuple[tuple[str, Any], ...], overrides: tuple[str, ...]) -> _Load:
    said = dict(key)
    deployment = deployed(said, overrides, requests=True)
    input, output, batch, number = (int(said[f"workload.{name}"]) for name in ("input", "output", "batch", "requests"))
    check_context(deployment.model, input + output)
    lengths = Lengths(input, output, float(said["workload.spread"]))
    cap = most_sequences(deployment, lengths.total, lengths.longest_input, batch)
    stages = Stages(deployment).compiled_for(cap, lengths.longest_input, output)
    router = None
    moe = deployment.model.moe
    if moe:
        name = check_name(said["workload.router"], ROUTERS, "workload.router")
        router = stages.draws(ROUTERS[name](moe.experts, moe.top_k))
    times = StageTimes(stages, chosen(requests(lengths, number, 1.0, "even"), router, stages.layers, cap))
    return _Load(times, lengths, cap, sustained(stages, lengths, cap, router))
