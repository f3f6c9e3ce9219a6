"""Designs that serve a Composition of Experts: how long a batch of prompts takes, event by event."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from simulator.core import Activity
from simulator.explore.sweep.alone import one_by_one
from simulator.explore.sweep.columns import Columns
from simulator.explore.sweep.cost import METRICS as COSTS
from simulator.explore.sweep.cost import taken
from simulator.explore.sweep.designs import RUNNER, machine, model, part
from simulator.hardware import System
from simulator.mapping.target import target
from simulator.mapping.transfer import transfer
from simulator.registry import register
from simulator.serving.coe import Service, serve
from simulator.serving.generation import generate
from simulator.serving.loaded import check_context
from simulator.workload import Model, kv_bytes, weight_bytes
from simulator.workload.trace import uniform

DEFAULTS: dict[str, Any] = {
    "workload.batch": 1, "workload.input": 512, "workload.output": 32, "workload.experts": 100,
    "mapping.links": None, "mapping.policy": "lru",
}  # fmt: skip
READS = (*DEFAULTS, *RUNNER, "mapping.memory", "mapping.home", "mapping.cache")
METRICS = {
    "latency_s": "s", "switch_s": "s", "execute_s": "s", "misses": "1", "resident_experts": "1", "tokens_per_s": "1/s",
    **COSTS, "error": "",
}  # fmt: skip
ROUNDS, WARM_UP = 32, 2
"""As many prompts as experts a round, and at least one batch after the warm-up.

The first round asks for each expert in turn: no miss is a first one.
"""


@register("evaluator", "experts")
@dataclass(frozen=True)
class Experts:
    """Gives the metrics of points; picklable. Each point is a run of its own: residency is no formula.

    Prompts ask for one of `workload.experts` fine-tuned copies of the model, all equally likely, in batches. A router
    as large as the model reads each batch; experts live in the tier `mapping.home` and are copied to `mapping.cache`,
    which keeps the router and the KV caches of a batch too. Means over batches once caches are full: `latency_s` of
    one, `switch_s` and `execute_s` of it, `misses` a batch.
    """

    base: Mapping[str, Any]
    overrides: tuple[str, ...] = ()

    metrics: ClassVar[Mapping[str, str]] = METRICS
    reads: ClassVar[Collection[str]] = READS
    kinds: ClassVar[Mapping[str, str]] = {"mapping.policy": "residency"}
    alone: ClassVar[bool] = True

    def __call__(self, columns: Columns) -> Columns:
        return one_by_one(columns, METRICS, lambda said: self._point({**DEFAULTS, **self.base, **said}))

    def _point(self, said: Mapping[str, Any]) -> dict[str, float]:
        system, expert = machine(said, self.overrides), model(said)
        batch, input, output = (int(said[f"workload.{key}"]) for key in ("batch", "input", "output"))
        experts, size = int(said["workload.experts"]), weight_bytes(expert)
        home, cache = (part(said, f"mapping.{key}", system.tiers) for key in ("home", "cache"))
        check_context(expert, input + output)
        kept = size + batch * float(kv_bytes(expert, float(input + output)))
        where = tuple(said.get(f"mapping.{key}") for key in ("device", "engine", "memory"))
        service = Service(
            router=_run(system, where, expert, "router", input, 1),
            expert=_run(system, where, expert, "expert", input, output),
            switch=transfer(system, size, home, cache, said["mapping.links"], "switch"),
            expert_bytes=int(size),
            cache_bytes=int(system.capacity(cache) - kept),
            home_bytes=int(system.capacity(home)),
            policy=said["mapping.policy"],
        )
        warm_up = -(-WARM_UP * experts // batch)
        prompts = max(ROUNDS * experts // batch, warm_up + 1) * batch
        asked = [*range(experts), *uniform(experts, prompts - experts).choices.tolist()]
        batches = serve(service, experts, asked, batch)
        steady = slice(warm_up, None)
        latency = float(np.mean(batches.latency[steady]))
        return {
            "latency_s": latency,
            "switch_s": float(np.mean(batches.switch[steady])),
            "execute_s": float(np.mean(batches.router[steady] + batches.expert[steady])),
            "misses": float(np.mean(batches.misses[steady])),
            "resident_experts": float(min(service.cache_bytes // service.expert_bytes, experts)),
            "tokens_per_s": batch * output / latency,
            **taken(system, said),
        }


@lru_cache(maxsize=1024)
def _run(system: System, where: tuple[Any, ...], expert: Model, name: str, input: int, output: int) -> Activity:
    """A prompt on one machine, which is one object in all points that say the same of it (`machine`)."""
    return generate(target(system, *where), expert, 1, input, output).activity(name)
