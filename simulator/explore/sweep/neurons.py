"""Designs that read the neurons of a model from flash: what a token takes, by flash, DRAM and sparsity."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from simulator.errors import CapacityError
from simulator.explore.sweep.alone import one_by_one
from simulator.explore.sweep.columns import Columns
from simulator.explore.sweep.cost import METRICS as COSTS
from simulator.explore.sweep.cost import taken
from simulator.explore.sweep.designs import RUNNER, deployed, part
from simulator.mapping.neurons.held import Keeping, NeuronTraffic, held, settled
from simulator.mapping.neurons.stored import stored
from simulator.mapping.neurons.token_plan import Memory
from simulator.mapping.static_batch import check_context
from simulator.registry import register
from simulator.serving.sparse import decode_sparse
from simulator.workload.window_law import WindowLaw, renewal

DEFAULTS: dict[str, Any] = {
    "workload.input": 512, "workload.share": 0.1, "workload.exponent": 0.5228, "mapping.policy": "lru",
    "mapping.threads": None, "mapping.overlap": "none", "mapping.memory_bytes": None,
}  # fmt: skip
READS = (*DEFAULTS, *RUNNER, "mapping.flash", "mapping.dram", "mapping.manager")
METRICS = {
    "total_s": "s", "io_s": "s", "memory_s": "s", "compute_s": "s", "tokens_per_s": "1/s", "dram_bytes": "B",
    "read_bytes": "B", "held_share": "1", **COSTS, "error": "",
}  # fmt: skip
TRACED, WARM_UP, TOKENS = 1, 192, 24
"""Layers that are traced (the law is the same in all), tokens in which caches fill, and tokens that are timed."""


@register("evaluator", "neurons")
@dataclass(frozen=True)
class Neurons:
    """Gives the metrics of points; picklable. Means of a token once caches are full.

    `workload.share` of the neurons of a layer are active at a token, and `share k^exponent` at k tokens together
    (`workload/window_law.py`). DRAM (`mapping.dram`) keeps the rest of the model and as many neurons as
    `mapping.memory_bytes` leave, or as it has room for; `mapping.policy` says which. What is missing is read from
    `mapping.flash`; `mapping.manager` is the engine that moves rows.
    """

    base: Mapping[str, Any]
    overrides: tuple[str, ...] = ()

    metrics: ClassVar[Mapping[str, str]] = METRICS
    reads: ClassVar[Collection[str]] = READS
    kinds: ClassVar[Mapping[str, str]] = {"mapping.policy": "rows"}
    alone: ClassVar[bool] = True

    def __call__(self, columns: Columns) -> Columns:
        return one_by_one(columns, METRICS, lambda said: self._point({**DEFAULTS, **self.base, **said}))

    def _point(self, said: Mapping[str, Any]) -> dict[str, float]:
        deployment = deployed(said, self.overrides)
        system, kept = deployment.system, stored(deployment.model)
        flash, dram = (part(said, f"mapping.{key}", system.tiers) for key in ("flash", "dram"))
        manager = part(said, "mapping.manager", system.engines)
        check_context(kept.model, float(said["workload.input"]), "input")
        tier = system.tiers[dram]
        there = said["mapping.memory_bytes"] or system.capacity(dram) - tier.reserved
        rows = int((there - kept.fixed_bytes) // (kept.model.layers * kept.neuron_bytes))
        if rows < 1:
            what = f"{kept.model.name}: the weights that are no neuron's"
            raise CapacityError(what, needed=kept.fixed_bytes, there=there, remedy="more DRAM")
        law = WindowLaw(float(said["workload.share"]), float(said["workload.exponent"]))
        one = _traffic(law, kept.neurons, min(rows, kept.neurons), said["mapping.policy"])
        layers = kept.model.layers
        counts = {name: np.repeat(each, layers, axis=0) for name, each in vars(one).items() if name != "pinned"}
        run = Memory(
            deployment.engine, flash, dram, manager, said["mapping.threads"],
        )  # fmt: skip
        context = np.full(TOKENS, float(said["workload.input"]))
        done = decode_sparse(run, kept, NeuronTraffic(**counts, pinned=0), context, said["mapping.overlap"])
        means = {key: float(getattr(done, key).mean()) for key in ("total", "io", "memory", "compute", "dram", "read")}
        return {
            **{f"{key}_s": means[key] for key in ("total", "io", "memory", "compute")},
            "tokens_per_s": 1 / means["total"],
            "dram_bytes": means["dram"],
            "read_bytes": means["read"],
            "held_share": float(done.held.mean()),
            **taken(deployment, said),
        }


@lru_cache(maxsize=512)
def _traffic(law: WindowLaw, neurons: int, rows: int, policy: str) -> NeuronTraffic:
    trace = renewal(law, TRACED, neurons, WARM_UP + TOKENS)
    return settled(held(trace, replace(Keeping(policy, capacity=rows, gathered=True), window=64)), WARM_UP)
