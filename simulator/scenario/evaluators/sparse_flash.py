"""A model whose active neurons are read from flash: what a token takes, by flash, DRAM and sparsity."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar, Literal, NoReturn

import numpy as np

from simulator.errors import CapacityError
from simulator.mapping.neurons.held import Keeping, NeuronTraffic, held, settled
from simulator.mapping.neurons.stored import stored
from simulator.mapping.neurons.token_plan import Memory
from simulator.mapping.static_batch import check_context
from simulator.registry import register
from simulator.scenario.cases import Columns
from simulator.scenario.costs import METRICS as COSTS
from simulator.scenario.costs import costs_of
from simulator.scenario.evaluator import no_plan
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import Metric
from simulator.scenario.parts import deployment, named
from simulator.serving.sparse import decode_sparse
from simulator.units import Count, Fraction
from simulator.workload.window_law import WindowLaw, renewal

TRACED, WARM_UP, TOKENS = 1, 192, 24
"""Layers that are traced (the law is the same in all), tokens in which caches fill, and tokens that are timed."""


class SparseFlash(Workload):
    """Tokens of one sequence, of which each activates a share of the neurons of every layer."""

    kind: Literal["sparse_flash"]
    input: Count = 512
    """Tokens of context that each token reads."""
    share: Fraction = 0.1
    """Share of the neurons of a layer that are active at a token."""
    exponent: Fraction = 0.5228
    """Of the growth with tokens: `share k^exponent` are active at k tokens together (`workload/window_law.py`)."""


@register("evaluator", "sparse_flash")
class SparseFlashEvaluator:
    """Reads neurons from flash for tokens, one after another: each case is a run of its own.

    The DRAM (`residency.cache`) keeps the rest of the model and as many neurons as `residency.bytes` leave, or as it
    has room for; `residency.policy` says which. What is missing is read from the flash (`residency.home`);
    `residency.manager` is the engine that moves rows. Means of a token once caches are full.
    """

    form = SparseFlash
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("total_s", "s", "min", "time", per="token"),
        Metric("io_s", "s", "min", "time of flash reads", per="token"),
        Metric("memory_s", "s", "min", "time to manage memory", per="token"),
        Metric("compute_s", "s", "min", "time to compute", per="token"),
        Metric("tokens_per_s", "1/s", "max", "throughput"),
        Metric("dram_bytes", "B", "min", "DRAM that the model takes"),
        Metric("read_bytes", "B", "min", "bytes read from flash", per="token"),
        Metric("held_share", "1", "max", "share of active neurons in DRAM"),
        *COSTS,
    )
    needs: ClassVar[Collection[str]] = ("hardware", "model")
    mapping: ClassVar[Collection[str]] = ("devices", "engines", "dtype", "kv", "fusion", "residency")
    kinds: ClassVar[Mapping[str, str]] = {"mapping.residency.policy": "rows"}
    vectorised: ClassVar[bool] = False
    requires: ClassVar[Mapping[str, str]] = {}

    @staticmethod
    def batched(scenario: Scenario | None, paths: Sequence[str]) -> list[str]:
        return []

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        work, keeps = scenario.workload, scenario.mapping.residency
        assert isinstance(work, SparseFlash)
        deployed = deployment(scenario)
        system, kept = deployed.system, stored(deployed.model)
        flash, dram = (named(scenario, ("residency", key), system.tiers) for key in ("home", "cache"))
        manager = named(scenario, ("residency", "manager"), system.engines)
        check_context(kept.model, float(work.input), "input")
        room = keeps.bytes or system.capacity(dram) - system.tiers[dram].reserved
        rows = int((room - kept.fixed_bytes) // (kept.model.layers * kept.neuron_bytes))
        if rows < 1:
            what = f"{kept.model.name}: the weights that are no neuron's"
            raise CapacityError(what, needed=kept.fixed_bytes, there=room, remedy="more DRAM")
        one = _traffic(
            WindowLaw(work.share, work.exponent), kept.neurons, min(rows, kept.neurons), keeps.policy or "lru"
        )
        counts = {n: np.repeat(each, kept.model.layers, axis=0) for n, each in vars(one).items() if n != "pinned"}
        run = Memory(deployed.engine, flash, dram, manager, keeps.threads)
        context = np.full(TOKENS, float(work.input))
        tokens = decode_sparse(run, kept, NeuronTraffic(**counts, pinned=0), context, keeps.overlap)
        names = ("total", "io", "memory", "compute", "dram", "read")
        means = {name: float(getattr(tokens, name).mean()) for name in names}
        return {
            **{f"{name}_s": means[name] for name in ("total", "io", "memory", "compute")},
            "tokens_per_s": 1 / means["total"],
            "dram_bytes": means["dram"],
            "read_bytes": means["read"],
            "held_share": float(tokens.held.mean()),
            **costs_of(scenario, system, deployed.model),
        }

    @staticmethod
    def detail(scenario: Scenario) -> NoReturn:
        raise no_plan(scenario)


@lru_cache(maxsize=512)
def _traffic(law: WindowLaw, neurons: int, rows: int, policy: str) -> NeuronTraffic:
    trace = renewal(law, TRACED, neurons, WARM_UP + TOKENS)
    return settled(held(trace, replace(Keeping(policy, capacity=rows, gathered=True), window=64)), WARM_UP)
