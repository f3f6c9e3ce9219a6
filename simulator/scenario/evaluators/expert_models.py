"""A Composition of Experts: how long a batch of prompts takes while expert models are switched, event by event."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, NoReturn

import numpy as np

from simulator.core import Activity
from simulator.mapping.deployment import Deployment
from simulator.mapping.form import Residency
from simulator.mapping.static_batch import check_context
from simulator.mapping.transfer import transfer
from simulator.registry import register
from simulator.scenario.cases import Columns, with_values
from simulator.scenario.costs import METRICS as COSTS
from simulator.scenario.costs import costs_of
from simulator.scenario.evaluator import no_plan
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import Metric
from simulator.scenario.parts import deployment, named
from simulator.serving.coe import Service, serve
from simulator.serving.generation import generated
from simulator.units import Count
from simulator.workload import kv_bytes, weight_bytes
from simulator.workload.trace import uniform

ROUNDS, WARM_UP = 32, 2
"""As many prompts as experts a round, and at least one batch after the warm-up.

The first round asks for each expert in turn: no miss is a first one.
"""


class ExpertModels(Workload):
    """Prompts that each ask for one of many fine-tuned copies of the model, all equally likely, in batches."""

    kind: Literal["expert_models"]
    experts: Count = 100
    """Expert models that prompts may ask for."""
    batch: Count = 1
    """Prompts that are served together."""
    input: Count = 512
    """Tokens of each prompt."""
    output: Count = 32
    """Tokens of each answer."""


@register("evaluator", "expert_models")
class ExpertModelsEvaluator:
    """Serves batches of prompts, one after another: each case is a run of its own, as residency is no formula.

    A router as large as the model reads each batch; experts live in the tier `residency.home` and are copied to
    `residency.cache`, which keeps the router and the KV caches of a batch too. Means over batches once caches are full.
    """

    form = ExpertModels
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("latency_s", "s", "min", "latency of a batch", per="batch"),
        Metric("switch_s", "s", "min", "time to switch experts", per="batch"),
        Metric("execute_s", "s", "min", "time to execute", per="batch"),
        Metric("misses", "1", "min", "experts copied", per="batch"),
        Metric("resident_experts", "1", "max", "experts in the cache"),
        Metric("tokens_per_s", "1/s", "max", "throughput"),
        *COSTS,
    )
    needs: ClassVar[Collection[str]] = ("hardware", "model")
    mapping: ClassVar[Collection[str]] = ("devices", "engines", "memory", "dtype", "kv", "fusion", "residency")
    kinds: ClassVar[Mapping[str, str]] = {"mapping.residency.policy": "residency"}
    vectorised: ClassVar[bool] = False
    requires: ClassVar[Mapping[str, str]] = {}

    @staticmethod
    def batched(scenario: Scenario | None, paths: Sequence[str]) -> list[str]:
        return []

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        work, keeps = scenario.workload, scenario.mapping.residency
        assert isinstance(work, ExpertModels)
        deployed = deployment(with_values(scenario, {"mapping.residency": None}))  # of one expert, on its own
        system, expert = deployed.system, deployed.model
        home, cache = (named(scenario, ("residency", key), system.tiers) for key in ("home", "cache"))
        check_context(expert, work.input + work.output)
        size = weight_bytes(expert)
        kept = size + work.batch * float(kv_bytes(expert, float(work.input + work.output)))
        service = Service(
            router=_run(deployed, "router", work.input, 1),
            expert=_run(deployed, "expert", work.input, work.output),
            switch=transfer(system, size, home, cache, keeps.links, "switch"),
            expert_bytes=int(size),
            cache_bytes=int(system.capacity(cache) - kept),
            home_bytes=int(system.capacity(home)),
            policy=keeps.policy or "lru",
        )
        warm_up = -(-WARM_UP * work.experts // work.batch)
        prompts = max(ROUNDS * work.experts // work.batch, warm_up + 1) * work.batch
        experts = [*range(work.experts), *uniform(work.experts, prompts - work.experts).choices.tolist()]
        batches = serve(service, work.experts, experts, work.batch)
        steady = slice(warm_up, None)
        latency = float(np.mean(batches.latency[steady]))
        return {
            "latency_s": latency,
            "switch_s": float(np.mean(batches.switch[steady])),
            "execute_s": float(np.mean(batches.router[steady] + batches.expert[steady])),
            "misses": float(np.mean(batches.misses[steady])),
            "resident_experts": float(min(service.cache_bytes // service.expert_bytes, work.experts)),
            "tokens_per_s": work.batch * work.output / latency,
            **costs_of(scenario, system, expert),
        }

    @staticmethod
    def detail(scenario: Scenario) -> NoReturn:
        raise no_plan(scenario)


def _run(deployed: Deployment, name: str, input: int, output: int) -> Activity:
    """One prompt, and its answer, as one activity, once its expert is there."""
    alone = replace(deployed, residency=Residency())
    return generated(alone.passes(1, input, output), input, output).activity(name)
