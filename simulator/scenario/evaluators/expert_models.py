"""A Composition of Experts: how long a batch of prompts takes while expert models are switched, event by event."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache, partial
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from simulator.core import Activity, paced
from simulator.errors import CapacityError, ConfigError
from simulator.hardware import System
from simulator.mapping.deployment import Deployment, resolve
from simulator.mapping.footprint.kept import nodes_needed
from simulator.mapping.form import NO_RESIDENCY, MappingForm
from simulator.mapping.static_batch import check_context
from simulator.mapping.transfer import transfer
from simulator.registry import register
from simulator.scenario.calibration import Calibration
from simulator.scenario.cases import Columns, with_values
from simulator.scenario.costs import METRICS as COSTS
from simulator.scenario.costs import costs_of
from simulator.scenario.evaluator import EachAlone
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import ERROR, Metric
from simulator.scenario.parts import at_key, deployment, machine, model, named, tiers
from simulator.serving.coe import Service, serve
from simulator.serving.generation import Generation, generated
from simulator.units import Bytes, Count
from simulator.workload import Model, kv_bytes, weight_bytes
from simulator.workload.trace_forms import TraceForm, UniformTrace

Tier: TypeAlias = Literal["home", "cache"]
REQUESTED = ("batch", "input", "output", "router_tokens", "trace", "kv_tokens", "calibration")
SERVED = ("policy", "links", "inclusive", "router_in_cache", "prefetch", "group")
"""The keys of workload and residency that batches alone read."""
TIERS: tuple[Tier, ...] = ("home", "cache")


class ExpertModels(Workload):
    """Prompts that each ask for one of many fine-tuned copies of the model, in batches."""

    kind: Literal["expert_models"]
    phase: Literal["service", "footprint"] = "service"
    """What is computed: batches that are served, or the nodes alone that hold all experts."""
    experts: Count = 100
    """Expert models that prompts may ask for."""
    batch: Count = 1
    """Prompts that are served together."""
    input: Count = 512
    """Tokens of each prompt."""
    output: Count = 32
    """Tokens of each answer."""
    router_tokens: Count = 1
    """Tokens with which the router answers."""
    trace: TraceForm | None = None
    """Which expert each prompt asks for; null: all equally likely."""
    expert_bytes: Bytes | None = None
    """The size of an expert; null: that of all its weights."""
    kv_tokens: Count | None = None
    """Tokens that there is room for in the KV cache of a prompt; null: those of the prompt and its answer."""
    calibration: Calibration | None = None
    """Measured times of a prompt on the router and on its expert; null: those of their operators."""


@register("evaluator", "expert_models")
class ExpertModelsEvaluator(EachAlone):
    """Serves batches of prompts, one after another: each case is a run of its own, as residency is no formula.

    A router as large as the model reads each batch; experts live in the tier `residency.home` and are copied to
    `residency.cache`, which keeps the KV caches of a batch and the router too. Means over batches after the warm-up.
    """

    form = ExpertModels
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("latency_s", "s", "min", "latency of a batch", per="batch"),
        Metric("router_s", "s", "min", "time to route", per="batch"),
        Metric("switch_s", "s", "min", "time to switch experts", per="batch"),
        Metric("expert_s", "s", "min", "time of experts", per="batch"),
        Metric("execute_s", "s", "min", "time to execute", per="batch"),
        Metric("misses", "1", "min", "experts copied", per="batch"),
        Metric("resident_experts", "1", "max", "experts in the cache"),
        Metric("tokens_per_s", "1/s", "max", "throughput"),
        Metric("out_of_memory", "1", "min", "whether a memory is too small"),
        Metric("nodes", "1", "min", "nodes that hold all experts"),
        *COSTS,
    )
    needs: ClassVar[Collection[str]] = ("hardware", "model")
    mapping: ClassVar[Collection[str]] = (
        "devices",
        "engines",
        "memory",
        "dtype",
        "kv",
        "fusion",
        "runtime",
        "residency",
    )
    residency: ClassVar[Collection[str]] = (
        "home",
        "cache",
        "policy",
        "links",
        "bytes",
        "home_bytes",
        "inclusive",
        "router_in_cache",
        "prefetch",
        "group",
        "nodes_by",
    )
    kinds: ClassVar[Mapping[str, str]] = {"mapping.residency.policy": "residency"}

    @staticmethod
    def unread(scenario: Scenario) -> Mapping[str, str]:
        """What serves batches, where the nodes alone are counted."""
        work, keeps = scenario.workload, scenario.mapping.residency
        assert isinstance(work, ExpertModels)
        if work.phase == "service":
            return {}
        others = ("cache", "bytes") if keeps.nodes_by == "home" else ("home", "home_bytes")
        served = [f"workload.{key}" for key in REQUESTED] + [f"mapping.residency.{key}" for key in (*SERVED, *others)]
        run = [f"mapping.{key}" for key in ("engines", "memory", "kv", "fusion", "runtime")]
        run += ["mapping.dtype"] if work.expert_bytes and scenario.costs is None else []
        return dict.fromkeys([*served, *run], f"a footprint by the {keeps.nodes_by}")

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        work, keeps = scenario.workload, scenario.mapping.residency
        assert isinstance(work, ExpertModels)
        deployed = deployment(with_values(scenario, {"mapping.residency": None}))  # of one expert, on its own
        system, size = deployed.system, work.expert_bytes or weight_bytes(deployed.model)
        stated: dict[Tier, float | None] = {"home": keeps.home_bytes, "cache": keeps.bytes}
        read = (keeps.nodes_by,) if work.phase == "footprint" else TIERS
        rooms = {tier: stated[tier] or system.capacity(_tier(scenario, system, tier)) for tier in read}
        _check_rooms(scenario, system, stated, rooms)
        nodes = float(nodes_needed(work.experts * size, rooms[keeps.nodes_by]))
        known = {"nodes": nodes, **costs_of(scenario, system, deployed.model)}
        if work.phase == "footprint":
            return known
        return {**known, **_served(work, _service(scenario, work, deployed, size, rooms))}


def _service(
    scenario: Scenario, work: ExpertModels, deployed: Deployment, size: float, rooms: Mapping[Tier, float]
) -> Service:
    """The service of a machine: experts of this size, and what router and KV caches leave of the rooms for them."""
    keeps, system, expert = scenario.mapping.residency, deployed.system, deployed.model
    home, cache = tiers(scenario, system)
    check_context(expert, work.input + work.output)
    kept = work.batch * float(kv_bytes(expert, float(work.kv_tokens or work.input + work.output)))
    kept += size if keeps.router_in_cache else 0.0
    free = rooms["cache"] - kept
    with at_key("mapping", "residency"):
        switch = transfer(system, size, home, cache, keeps.links, "switch")
    run = partial(_run, scenario, work)
    return Service(
        router=run("router", work.router_tokens),
        expert=run("expert", work.output),
        switch=switch,
        expert_bytes=int(size),
        cache_bytes=int(free),
        home_bytes=int(rooms["home"] + (0 if keeps.inclusive else free)),
        policy=keeps.policy or "lru",
        prefetch=keeps.prefetch,
        group=keeps.group,
    )


def _check_rooms(scenario: Scenario, system: System, stated: Mapping[Tier, Any], rooms: Mapping[Tier, float]) -> None:
    """Nothing where no tier is to be filled beyond what it holds; else a ConfigError."""
    for tier, room in rooms.items():
        holds = system.capacity(_tier(scenario, system, tier))
        if room > holds:
            key = "home_bytes" if tier == "home" else "bytes"
            found, expected = f"{stated[tier]:,.0f} B", f"at most the {holds:,.0f} B of the {tier}"
            raise ConfigError(path=("mapping", "residency", key), found=found, expected=expected)


def _tier(scenario: Scenario, system: System, tier: Tier) -> str:
    return named(scenario, ("residency", tier), system.tiers)


def _run(scenario: Scenario, work: ExpertModels, name: str, output: int) -> Activity:
    """One prompt, and its answer, as one activity, once its expert is there."""
    if work.calibration is not None:
        return paced(name, work.calibration.seconds(scenario, output))
    form = scenario.mapping.model_copy(update={"residency": NO_RESIDENCY})
    return _alone(form, machine(scenario), model(scenario), work.input, output).activity(name)


@lru_cache(maxsize=64)
def _alone(form: MappingForm, system: System, expert: Model, input: int, output: int) -> Generation:
    """One prompt of an expert that a machine serves on its own, whatever the others."""
    return generated(resolve(form, system, expert).passes(1, input, output), input, output)


def _served(work: ExpertModels, service: Service) -> dict[str, Any]:
    """Means over the batches of a steady state; of what does not fit, that it does not."""
    warm_up, choices = (work.trace or UniformTrace(kind="uniform")).served(work.experts, work.batch)
    try:
        batches = serve(service, work.experts, choices, work.batch)
    except CapacityError as error:
        return {ERROR.name: str(error), "out_of_memory": 1.0}
    parts: dict[str, Any] = {"latency_s": batches.latency, "router_s": batches.router, "switch_s": batches.switch}
    parts |= {"expert_s": batches.expert, "execute_s": batches.router + batches.expert, "misses": batches.misses}
    means = {name: float(np.mean(part[warm_up:])) for name, part in parts.items()}
    return {
        **means,
        "resident_experts": float(min(service.cache_bytes // service.expert_bytes, work.experts)),
        "tokens_per_s": work.batch * work.output / means["latency_s"],
        "out_of_memory": 0.0,
    }
