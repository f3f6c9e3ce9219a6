"""Decoding with weights in flash: what each step takes, and where its bytes and its time go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.core import Activity, Plan, Resource, closed_form
from simulator.core.account import over_steps
from simulator.core.plan import point
from simulator.errors import CapacityError
from simulator.mapping.flash_read import bytes_read
from simulator.mapping.neurons.held import NeuronTraffic
from simulator.mapping.neurons.stored import Stored
from simulator.mapping.neurons.token_plan import (
    LayerWork,
    Memory,
    Traffic,
    ends_work,
    layer_works,
    overlapped,
    serial,
)
from simulator.workload import Sequences, kv_bytes, weight_bytes

Floats = NDArray[np.float64]
Overlap: TypeAlias = Literal["none", "layer", "prefetch"]

SAMPLED = 16  # steps that run event by event where activities overlap


@dataclass(frozen=True, eq=False)
class Decoded:
    """Steps of a decode run, in order; arrays of shape (steps,).

    Attributes:
        io, memory, compute: seconds of flash reads, of copies, and of the engine, as if nothing overlapped.
        total: seconds of the step. Where activities overlap, of steps spread evenly over the run, event by event.
        asked, read: bytes that were asked of flash, and that it moved.
        dram: bytes of weights that DRAM holds at the end of the step.
        held, missed: shares of all neurons that DRAM holds then, and that the step had to load; NaN without sparsity.
        demand: total demand of all steps on each resource.
    """

    io: Floats
    memory: Floats
    compute: Floats
    total: Floats
    asked: Floats
    read: Floats
    dram: Floats
    held: Floats
    missed: Floats
    demand: dict[Resource, float]


def decode_dense(memory: Memory, stored: Stored, file: Stored, context: Floats, resident: float) -> Decoded:
    """With no sparsity: a share `resident` of the weights stays in DRAM, the rest is read for each token, in order.

    `file` is the model as it lies in flash, where that is in another format than the engine computes in.

    Raises:
        CapacityError: DRAM cannot hold the resident weights and the KV cache.
    """
    layers, batch = stored.model.layers, (Sequences(1, 1, context),)
    size = (1 - resident) * file.token_bytes
    (work,) = layer_works(memory, stored, batch, [Traffic(stored.neurons, sequential=size / layers)], sparse=False)
    asked = np.full(len(context), size)
    dram = np.full(len(context), resident * weight_bytes(file.model))
    _check_room(memory, stored, dram if resident else np.zeros(1), context)
    return replace(_decoded(memory, stored, [work] * layers, batch, "none"), asked=asked, read=asked, dram=dram)


def decode_sparse(
    memory: Memory,
    stored: Stored,
    traffic: NeuronTraffic,
    context: Floats,
    overlap: Overlap = "none",
    drafted: int = 0,
    shared: bool = False,
) -> Decoded:
    """With the traffic of a trace, of shape (layers, steps); `drafted` tokens more a step are verified with it.

    Each layer has a buffer of its own beside its pinned neurons; a `shared` one serves all layers in turn.

    Overlap: `none`, one thing after another, as arXiv 2312.11514 implements it; `layer`, flash reads beside the FFN
    over the neurons that are there; `prefetch`, beside the layer before too. What drafts the tokens is not counted.

    Raises:
        CapacityError: weights, buffers and the KV cache are more than DRAM holds, or the memory of the engine.
    """
    system, model = memory.system, stored.model
    buffered = traffic.held - traffic.pinned
    rows = (buffered.max(axis=0) if shared else buffered.sum(axis=0)) + traffic.pinned * model.layers
    dram = stored.fixed_bytes + rows * stored.neuron_bytes
    _check_room(memory, stored, dram, context)
    batch = (Sequences(1, 1 + drafted, context, scored=drafted > 0),)

    of_layers = [
        Traffic(
            computed=traffic.computed[layer].astype(float),
            fresh=traffic.missed[layer].astype(float),
            reads=traffic.reads[layer] * stored.reads_per_neuron,
            moved=traffic.moved[layer].astype(float),
        )
        for layer in range(model.layers)
    ]
    works = layer_works(memory, stored, batch, of_layers, stored.ranks.tolist(), split=overlap != "none")
    done = _decoded(memory, stored, works, batch, overlap)
    reads = traffic.reads.sum(axis=0) * stored.reads_per_neuron
    return replace(
        done,
        asked=reads * stored.read_bytes,
        read=reads * bytes_read(system, memory.flash, stored.read_bytes, memory.packed),
        dram=dram,
        held=rows / (stored.neurons * model.layers),
        missed=traffic.missed.mean(axis=0) / stored.neurons,
    )


def _check_room(memory: Memory, stored: Stored, weights: Floats, context: Floats) -> None:
    """Weights are in DRAM, and where the engine computes from a memory of its own there too, with the KV cache."""
    system, target = memory.system, memory.target
    own = target.tier
    cache = float(np.max(kv_bytes(stored.model, context)))
    for tier in dict.fromkeys((memory.dram, own)):
        there = system.capacity(tier) - system.tiers[tier].reserved
        needed = float(weights.max()) + (cache if tier == own else 0.0)
        if needed > there:
            remedy = "a shorter window, less room for neurons, or a smaller dtype"
            raise CapacityError(f"{stored.model.name} in {tier}", needed=needed, available=there, remedy=remedy)


def _decoded(
    memory: Memory, stored: Stored, works: Sequence[LayerWork], batch: tuple[Sequences], overlap: Overlap
) -> Decoded:
    """The times and demands; bytes are left to those who know them."""
    steps = np.size(batch[0].past)
    ends = ends_work(memory, stored, batch)
    parts = {part.name: [a for work in works for a in getattr(work, part.name)] for part in fields(LayerWork)}
    compute = [*parts["attention"], *parts["predict"], *parts["resident"], *parts["fresh"], *ends]
    if overlap == "none":
        plan = serial(works, ends)
        total = _seconds(plan, steps)
    else:
        plan = overlapped(works, ends, overlap == "prefetch")
        sampled = np.unique(np.linspace(0, steps - 1, min(SAMPLED, steps)).round().astype(int))
        from simulator.core.events import seconds  # which loads a simulator that no closed form needs

        total = np.array([seconds(point(plan, int(step))) for step in sampled])
    unknown = np.full(steps, np.nan)
    return Decoded(
        io=_seconds(_chain(parts["read"]), steps),
        memory=_seconds(_chain(parts["manage"]), steps),
        compute=_seconds(_chain(compute), steps),
        total=total,
        asked=unknown,
        read=unknown,
        dram=unknown,
        held=unknown,
        missed=unknown,
        demand=over_steps([(plan, steps)]),
    )


def _chain(activities: Sequence[Activity]) -> Plan:
    plan = Plan()
    for activity in activities:
        plan.add(activity)
    return plan


def _seconds(plan: Plan, steps: int) -> Floats:
    return np.broadcast_to(np.asarray(closed_form(plan).time, dtype=np.float64), steps)
