"""What a step of training keeps in each tier, and whether it fits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from simulator.errors import CapacityError
from simulator.mapping.footprint.held import Held
from simulator.mapping.placement.held import BUFFERS
from simulator.mapping.placement.rule import STATE
from simulator.mapping.training.step import TrainingStep

KIND: Mapping[str, str] = {"activations": "activations", **dict.fromkeys(STATE, "states")}
"""The kind of bytes that a part is; others are weights."""


def held_of_training(step: TrainingStep) -> tuple[Held, ...]:
    """What each tier of one replica holds, of all its devices together; main memory first.

    Weights, gradients, the optimizer's numbers and the activations of one micro batch lie where rules say; what lives
    for one layer alone, in main memory. What is copied has room in the memory that it is copied to: of a layer at hand
    and of the next one, where copies go ahead; during the optimizer's step, which comes after, of its own.
    """
    sizes: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(("weights", "states", "activations"), 0.0))
    home = step.engine.tier
    for part, shares in step.places.items():
        for spot, share in shares:
            sizes[spot.tier][KIND.get(part, "weights")] += share * step.replicas.share(part) * step.kept.parts[part]
    sizes[home]["activations"] += step.kept.working
    passes, updates = _of_passes(step), _of_updates(step)
    for tier in {home, *updates}:
        sizes[tier]["states"] += max(passes if tier == home else 0.0, updates.get(tier, 0.0))
    return tuple(
        Held(
            tier,
            step.replicas.room(step.engine, tier),
            each["weights"],
            0.0,
            each["activations"],
            states=each["states"],
        )
        for tier, each in sorted(sizes.items(), key=lambda item: item[0] != home)
    )


def _of_passes(step: TrainingStep) -> float:
    """The room in main memory of what is copied for layers of the forward and the backward passes."""
    room = 0.0
    for block in step.graph.blocks[:-1]:
        before, after = step.flows(block, step.micro_batches > 1)
        one = sum(max(before.get(spot, 0.0), after.get(spot, 0.0)) for spot in {**before, **after})
        one += sum(
            size
            for part, size in step.kept.layers[block.name.removesuffix(".backward")].items()
            if step.replicas.shards(part)
        )
        room = max(room, one * min(block.repeat, BUFFERS if step.offload.ahead else 1))
    return room


def _of_updates(step: TrainingStep) -> dict[str, float]:
    """The room of what is copied for the optimizer's step, by tier: of layers that come, are at hand, and go."""
    rooms: dict[str, float] = defaultdict(float)
    for spot, share in step.places["optimizer"]:
        own = share * step.replicas.share("optimizer")
        before, _, after = step.update_flows(spot, own / step.model.layers)
        one = sum(max(before.get(each, 0.0), after.get(each, 0.0)) for each in {**before, **after})
        rooms[step.updates(spot).tier] += one * (1 + bool(before) + bool(after) if step.offload.ahead else 1)
    return rooms


def check_held(step: TrainingStep, tokens: str) -> None:
    """Nothing, where a step fits; `tokens`: what it is of, in words.

    Raises:
        CapacityError: it does not; says where and how much.
    """
    for each in held_of_training(step):
        if not each.fits:
            largest = max(("states", "weights", "activations"), key=lambda kind: float(getattr(each, kind)))
            more = "`sharded: weights`, or take more devices" if step.replicas.number > 1 else "or take more devices"
            remedy = {
                "states": f"place `gradients` and `optimizer` in another tier, {more}",
                "weights": f"place weights in another tier, {more}",
                "activations": "take `recompute: layer`, more micro batches, fewer tokens, or place `activations`",
            }[largest]
            what = f"training {step.model.name} on {tokens} in {each.tier}"
            raise CapacityError(what, needed=float(each.used), available=each.capacity, remedy=remedy)
