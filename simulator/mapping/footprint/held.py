"""What a deployment keeps in each tier: weights, keys and values, activations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.core import Quantity
from simulator.mapping.footprint.kept import active_bytes, cached_bytes, stage_bytes, stored_bytes
from simulator.mapping.parallel.pipeline import Replica, Stage
from simulator.mapping.placement.held import held_in_tiers
from simulator.mapping.placement.placed import Placed
from simulator.mapping.spill.passes import Spill
from simulator.workload import Model
from simulator.workload.model.parameters import weight_bytes_by_class

if TYPE_CHECKING:
    from simulator.mapping.deployment import Deployment


@dataclass(frozen=True)
class Held:
    """Bytes of one tier, of all devices together; arrays where the batch or its lengths are.

    Attributes:
        tier: its full name, `device.tier`.
        capacity: what is free for the model.
        kv: keys and values of the whole batch at its full context, with the copies that many devices need.
        kept: what nothing may fill: the rest of a memory space that is for prompts.
        states: of training, gradients and what the optimizer keeps.
    """

    tier: str
    capacity: float
    weights: Quantity
    kv: Quantity
    activations: Quantity
    kept: Quantity = 0.0
    states: Quantity = 0.0

    @property
    def used(self) -> Quantity:
        return self.weights + self.kv + self.activations + self.kept + self.states

    @property
    def fits(self) -> bool | NDArray[np.bool_]:
        return self.used <= self.capacity


def held(
    deployed: Deployment,
    batch: Quantity,
    context: Quantity,
    prompt: Quantity,
    stages: Replica | None = None,
    beside: bool = False,
) -> tuple[Held, ...]:
    """What one replica keeps of `batch` sequences of `context` tokens in the end, one prompt of which is computed at
    a time.

    Every device keeps what is not divided (norms, routers, MLA's down-projections), and has room for the KV heads of
    the one that has most (`tensor_parallel.py`). Each stage keeps its own layers; a draft lies beside the model.
    Experts and KV caches lie with the engine of low Op/B, other weights with that of high Op/B, activations with both.

    Where a prompt is computed `beside` sequences that decode, by engines that run together over one memory, one of its
    spaces (bank bundles) is for what the engine of high Op/B alone reads: other weights and activations. Experts lie
    evenly in all spaces, KV caches in the others, and what else is left of the last one stays empty.

    A runtime that keeps its KV caches in blocks has whole ones of each sequence. Of groups that share each sequence,
    one; it has an equal part of the tokens, and room for keys and values of a layer that come and that go on.
    """
    model, low, high = deployed.model, deployed.low, deployed.high
    block, groups = deployed.software.runtime.kv_block, deployed.parallel.context
    shared = block * groups
    context = np.ceil(context / shared) * shared if shared > 1 else context
    prompt = np.ceil(prompt / groups) if groups > 1 else prompt
    if stages:
        return tuple(_of_stage(stage, model, batch, context, prompt, groups) for stage in stages.stages)
    models = deployed.models
    kv = sum(cached_bytes(m, low.ways, batch, context) for m in models) / groups
    active: Quantity = reduce(np.maximum, (_active(m, low.ways, batch, prompt, groups) for m in models))
    experts = sum(weight_bytes_by_class(m)["experts"] for m in models)
    own = experts / deployed.nodes if deployed.shares_experts else experts
    stored = sum(stored_bytes(m, high.ways) for m in models) - experts
    if not deployed.shares_memory:
        return (
            Held(low.tier, low.system.free(low.tier), own, kv, active * low.ways),
            Held(high.tier, high.system.free(high.tier), stored, 0.0, active * high.ways),
        )
    kept: Quantity = 0.0
    stack = low.system.tiers[low.tier].stack
    if beside and prompt and deployed.together and stack and stack.bundles > 1:
        kept = np.maximum((low.system.free(low.tier) - own) / stack.bundles - stored - active * low.ways, 0.0)
    return (Held(low.tier, low.system.free(low.tier), stored + own, kv, active * low.ways, kept),)


def held_in_both(spill: Spill) -> tuple[Held, ...]:
    """What main memory and the tier behind it hold, by the memory plan."""
    target = spill.target
    names = {tier: f"{target.device}.{tier}" for tier in (target.memory, target.spill or target.memory)}
    return tuple(
        Held(full, target.system.free(full), *(spill.stored(tier, kind) for kind in ("weight", "kv", "activation")))
        for tier, full in names.items()
    )


def held_as_placed(placed: Placed, batch: Quantity, prompt: Quantity) -> tuple[Held, ...]:
    """What each tier holds, by the rules of a placement; main memory first."""
    sizes, system = held_in_tiers(placed, batch, prompt), placed.layout.target.system
    order = sorted(sizes, key=lambda tier: tier != placed.layout.home.tier)
    return tuple(Held(tier, system.free(tier), **sizes[tier]) for tier in order)


def _active(model: Model, ways: int, batch: Quantity, prompt: Quantity, groups: int) -> Quantity:
    """Bytes of a device beside weights and KV caches: activations; keys and values of a layer that come and go on."""
    passed = 2 * cached_bytes(model, ways, 1.0, prompt) / model.layers / ways if groups > 1 else 0.0
    return active_bytes(model, batch, prompt) + passed


def _of_stage(stage: Stage, model: Model, batch: Quantity, context: Quantity, prompt: Quantity, groups: int) -> Held:
    target = stage.target
    weights, kv = stage_bytes(stage, model, float(context))
    return Held(
        target.tier,
        target.system.free(target.tier),
        weights,
        cached_bytes(model, target.ways, batch, context) * kv / groups,
        _active(model, target.ways, batch, prompt, groups) * target.ways,
    )
