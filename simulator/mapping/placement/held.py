"""What a placed model keeps in each tier: weights, keys and values, activations, and buffers of what is copied."""

from __future__ import annotations

from collections import defaultdict

from simulator.core import Quantity
from simulator.mapping.footprint.kept import active_bytes
from simulator.mapping.placement.cache import experts_of
from simulator.mapping.placement.layer import Layers
from simulator.mapping.placement.layout import PHASES, Shares
from simulator.mapping.placement.placed import Placed
from simulator.mapping.placement.rule import LAYERED, REPLICATED
from simulator.mapping.placement.spot import main_memory
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT

KIND = {"kv": "kv", "activations": "activations"}
"""The kind of bytes that a part is; others are weights."""
BUFFERS = 2
"""Room for copies: of the layer at hand, and of the next."""


def held_in_tiers(placed: Placed, batch: Quantity, prompt: Quantity) -> dict[str, dict[str, float]]:
    """Bytes by tier and kind, of all devices together.

    What lies in several places by phase lies in each of them. What is copied has room in the tier that it is copied to
    for two layers (one, where nothing is copied ahead), keys and values for two batches of one layer. One prompt of a
    batch is computed at a time; where several batches take turns, the input of a layer is kept of all prompts. A model
    that drafts lies beside.
    """
    sizes: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(("weights", "kv", "activations"), 0.0))
    layout = placed.layout
    weights = dict(layout.weights) | {("kv", layer): size for layer, size in enumerate(layout.kv)}
    for (part, layer), size in weights.items():
        for tier, share in _most(placed, part, layer).items():
            sizes[tier][KIND.get(part, "weights")] += size * share
    if layout.cached:
        spot = next(iter(layout.cached.values()))
        cached, buffers = _cached(placed)
        sizes[layout.home.tier]["weights"] += cached + buffers
        sizes[spot.tier]["weights"] -= 0.0 if spot.cache and spot.cache.inclusive else cached
    for tier, kind, size in _buffers(placed, weights):
        sizes[tier][kind] += size
    _activations(placed, sizes, batch, prompt)
    for tier, own in held_in_tiers(placed.draft, batch, prompt).items() if placed.draft else ():
        sizes[tier] = {k: max(sizes[tier][k], own[k]) if k == "activations" else sizes[tier][k] + own[k] for k in own}
    return sizes


def _most(placed: Placed, part: str, layer: int) -> dict[str, float]:
    """The share of a part that lies in each tier, in the phase in which more does."""
    most: dict[str, float] = {}
    for phase in PHASES:
        here: dict[str, float] = {}
        for spot, share in placed.layout.of(phase, part, layer):
            ways = placed.engines[spot.by or placed.layout.target.name].ways if spot.pages == REPLICATED else 1
            here[spot.tier] = here.get(spot.tier, 0.0) + share * ways
        most = {tier: max(most.get(tier, 0.0), here.get(tier, 0.0)) for tier in {**most, **here}}
    return most


def _cached(placed: Placed) -> tuple[float, float]:
    """The room of cached experts, and of two that are copied, but for a cache that holds all."""
    cached, room = placed.layout.cached, placed.room
    form = next(iter(cached.values())).cache
    number = room * (len(cached) if form and form.experts is not None else 1)
    buffers = BUFFERS if number < len(cached) * experts_of(placed.layout.model) else 0
    size = max(map(placed.layout.expert, cached))
    return number * size, buffers * size


def _buffers(placed: Placed, sizes: dict[tuple[str, int], float]) -> list[tuple[str, str, float]]:
    """The room of copies: tier, kind and bytes."""
    offload = placed.deployed.software.runtime.offload
    buffers = BUFFERS if offload.ahead else 1
    largest: dict[tuple[str, str], float] = {}
    for phase in PHASES:
        layers = Layers(placed.layout, placed.engines, phase, placed.batches, offload)
        for layer in range(len(placed.layout.kv)):
            copied: dict[tuple[str, str], float] = {}
            for part in LAYERED:
                size = sizes.get((part, layer), 0.0) / (placed.batches if part == "kv" else 1)
                for spot, share in placed.layout.of(phase, part, layer):
                    if (to := layers.to(spot)) and not spot.cache:
                        key = (to, KIND.get(part, "weights"))
                        copied[key] = copied.get(key, 0.0) + size * share
            largest = {key: max(largest.get(key, 0.0), copied.get(key, 0.0)) for key in {**largest, **copied}}
    return [(tier, kind, buffers * size) for (tier, kind), size in largest.items()]


def _activations(placed: Placed, sizes: dict[str, dict[str, float]], batch: Quantity, prompt: Quantity) -> None:
    """What goes into a layer and comes out of it on each device that computes; of batches in turn, all their inputs."""
    model, each = placed.layout.model, float(batch) / placed.batches
    for engine in placed.engines.values():
        tier = main_memory(engine.system, engine.name)
        sizes[tier]["activations"] += float(active_bytes(model, each, prompt)) * engine.ways
    if placed.batches > 1:
        waiting = float(batch * prompt) * model.hidden * BYTES_PER_ELEMENT[model.dtypes.activations]
        shares: Shares = placed.layout.of("prefill", "activations", 0)
        for spot, share in shares:
            sizes[spot.tier]["activations"] += waiting * share
