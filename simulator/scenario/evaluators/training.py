"""A step of training: its forward and backward passes and the optimizer's step, in closed form."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from simulator.config.choose import one_among
from simulator.core import Resource, closed_form
from simulator.core.account import bound_by, energy, joules
from simulator.errors import ConfigError
from simulator.hardware.energy import static_power
from simulator.mapping.placement.rule import Rule
from simulator.mapping.runtime.form import IDEAL, load_runtime
from simulator.mapping.runtime.machine import under_runtime
from simulator.mapping.target import peak
from simulator.mapping.training.auto import automatic
from simulator.mapping.training.held import check_held, held_of_training
from simulator.mapping.training.kept import kept
from simulator.mapping.training.places import places
from simulator.mapping.training.replicas import replicas
from simulator.mapping.training.step import TrainingStep, with_programs
from simulator.registry import register
from simulator.scenario.cases import Columns, with_values
from simulator.scenario.costs import METRICS as COSTS
from simulator.scenario.costs import costs_of
from simulator.scenario.evaluator import EachAlone
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import Metric
from simulator.scenario.parts import at_key, deployment, machine
from simulator.units import Count
from simulator.workload import operator_graph, prefill, training_graph
from simulator.workload.training.backward import Recompute
from simulator.workload.training.step import OPTIMIZERS

FORMATS = ("fp32", "bf16", "fp16", "fp8")
"""Formats of weights that are trained."""


class Training(Workload):
    """One step of training over whole sequences, in mixed precision: weights and gradients beside numbers in fp32."""

    kind: Literal["training"]
    batch: Count = 1
    """Sequences of a step."""
    tokens: Count = 512
    """Tokens of each sequence."""
    micro_batches: Count = 1
    """Equal parts of the batch that are computed one after another, whose gradients add up."""
    recompute: Recompute = "none"
    """What the backward pass makes again instead of saving it."""
    optimizer: Annotated[str, one_among(lambda: tuple(OPTIMIZERS))] = "adam"
    """What updates the weights."""


@register("evaluator", "training")
class TrainingEvaluator(EachAlone):
    """Times a step of training on one engine over devices that share the model by tensor parallelism, and replicas.

    `step_s` is the sum of `forward_s`, of `backward_s`, in which the head with its loss counts, and of `update_s`, the
    optimizer's step. `flops_per_s` are those of the model (three times the forward pass, whatever is made again) of one
    device over `step_s`; `utilisation` is their share of the peak rate of its products. `copied_bytes` cross links
    between tiers, of all devices; `placed` says by which rules. Times are lower bounds where what runs at once meets on
    a resource.
    """

    form = Training
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("step_s", "s", "min", "time of a step"),
        Metric("forward_s", "s", "min", "forward passes"),
        Metric("backward_s", "s", "min", "backward passes"),
        Metric("update_s", "s", "min", "optimizer's step"),
        Metric("tokens_per_s", "1/s", "max", "throughput"),
        Metric("flops_per_s", "FLOP/s", "max", "rate of the model's FLOPs", per="device"),
        Metric("utilisation", "1", "max", "share of the peak rate"),
        Metric("copied_bytes", "B", "min", "bytes that cross links between tiers"),
        Metric("needed_bytes", "B", "min", "memory needed"),
        Metric("capacity_bytes", "B", "max", "memory"),
        Metric("energy_per_token_j", "J", "min", "energy", per="token"),
        Metric("power_w", "W", "min", "power"),
        *COSTS,
        Metric("bound_by", label="what binds"),
        Metric("placed", label="what lies outside of main memory"),
    )
    needs: ClassVar[Collection[str]] = ("hardware", "model")
    mapping: ClassVar[Collection[str]] = (
        "devices", "engines", "tensor", "data", "sharded", "memory", "placement", "dtype", "activations",
        "compute", "fusion", "runtime",
    )  # fmt: skip

    @staticmethod
    def unread(scenario: Scenario) -> Mapping[str, str]:
        """A runtime that makes nothing else of the machine, where nothing is placed."""
        software = scenario.mapping.runtime
        if software in (None, IDEAL) or scenario.mapping.placement:
            return {}
        system = machine(scenario)
        same = under_runtime(system, load_runtime(software)) is system
        return {"mapping.runtime": f"training on {system.name}, of which that has no figure,"} if same else {}

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        work = scenario.workload
        assert isinstance(work, Training)
        step = training_step(scenario, work)
        at_once = micro_batch(work, step.replicas.number)
        check_held(step, f"{at_once} x {work.tokens:,} tokens at once")
        times = {name: float(closed_form(plan).time) for name, plan in step.plans.items()}
        seconds, tokens = sum(times.values()), work.batch * work.tokens
        engine, model, demand = step.engine, step.model, step.plan.demand()
        forward = operator_graph(model, prefill(work.batch, work.tokens), training=True).totals().flops
        copies = step.replicas.number
        rate = 3 * float(forward) / seconds / engine.ways / copies
        places = held_of_training(step)
        used = joules((*energy(demand, copies), *energy(static_power(step.deployed.system, seconds))))
        total = np.nan if used is None else float(used)
        return {
            "step_s": seconds,
            **{f"{name}_s": time for name, time in times.items()},
            "tokens_per_s": tokens / seconds,
            "flops_per_s": rate,
            "utilisation": rate / peak(engine.system, engine.name, model.dtypes.products),
            "copied_bytes": copies * _copied(step, demand),
            "needed_bytes": copies * sum(float(each.used) for each in places),
            "capacity_bytes": copies * sum(each.capacity for each in places),
            "energy_per_token_j": total / tokens,
            "power_w": total / seconds,
            **costs_of(scenario, step.deployed.system, model),
            "bound_by": bound_by(step.plan),
            "placed": _placed(step),
        }

    @staticmethod
    def detail(scenario: Scenario) -> TrainingStep:
        """The deployment, its plans and where what they keep lies."""
        work = scenario.workload
        assert isinstance(work, Training)
        return training_step(scenario, work)


def training_step(scenario: Scenario, work: Training) -> TrainingStep:
    """The step that a scenario asks for, with where its state lies.

    Raises:
        ConfigError: what does not go together, by its key.
    """
    deployed = deployment(with_values(scenario, {"mapping.placement": ()}))
    model = deployed.model
    if not 2 <= work.tokens <= model.max_context:
        raise ConfigError(path="workload.tokens", found=work.tokens, expected=f"2 to {model.max_context:,}")
    if (weights := model.dtypes.weights) not in FORMATS:
        expected = f"one of {', '.join(FORMATS)}: an optimizer updates no quantised weights"
        raise ConfigError(path="mapping.dtype", found=f"weights in {weights}", expected=expected)
    batch = prefill(micro_batch(work, deployed.parallel.data), work.tokens)
    with at_key("model"):
        graph = training_graph(model, batch, recompute=work.recompute, optimizer=work.optimizer)
        saving = training_graph(model, batch, optimizer=work.optimizer) if work.recompute != "none" else graph
    keeps = kept(model, graph, saving, deployed.engine.ways, OPTIMIZERS[work.optimizer])
    pinned = deployed.software.runtime.offload.pinned
    rules = scenario.mapping.placement

    engine = with_programs(deployed.engine, graph, alone=bool(rules) or deployed.parallel.data > 1)

    def placed(rules: tuple[Rule, ...]) -> TrainingStep:
        several = replicas(deployed.parallel.data, deployed.sharded, deployed.system, rules)
        sizes = {part: size * several.number * several.share(part) for part, size in keeps.parts.items()}
        where = places(rules, deployed.engine, sizes, pinned)
        return TrainingStep(deployed, engine, graph, work.micro_batches, keeps, where, several)

    with at_key("mapping"):
        return automatic(placed) if isinstance(rules, str) else placed(rules)


def micro_batch(work: Training, copies: int) -> int:
    """Sequences that a replica computes at once.

    Raises:
        ConfigError: replicas and micro batches do not divide the batch.
    """
    if work.batch % (work.micro_batches * copies):
        over = f"{work.micro_batches} of {copies} replicas" if copies > 1 else work.micro_batches
        expected = f"numbers that divide the batch of {work.batch}"
        raise ConfigError(path="workload.micro_batches", found=over, expected=expected)
    return work.batch // (work.micro_batches * copies)


def _placed(step: TrainingStep) -> str:
    """What lies outside of main memory: parts, their shares, tiers, and how they are used from there."""
    return "; ".join(
        f"{part} {share:.3g} in {spot.tier}, {spot.manner}"
        for part, shares in step.places.items()
        for spot, share in shares
        if step.kept.parts[part] and spot.tier != step.engine.tier
    )


def _copied(step: TrainingStep, demand: Mapping[Resource, Any]) -> float:
    """Bytes that cross links between tiers."""
    tiers, links = step.engine.system.tiers, step.engine.system.links
    return sum(
        float(units) * resource.count
        for resource, units in demand.items()
        if resource.name in links and all(end in tiers for end in resource.name.split("->"))
    )
