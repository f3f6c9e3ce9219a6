"""How many sequences a deployment has room for: weights, KV caches and activations in the memory of its devices."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from simulator.errors import CapacityError
from simulator.mapping.deployment import Deployment
from simulator.mapping.memory_plan import space
from simulator.mapping.placement import active_bytes, cached_bytes, copied_weights, largest
from simulator.workload.parameters import weight_bytes_by_class


@dataclass(frozen=True)
class Room:
    """Bytes on each device of low Op/B, where experts and KV caches lie.

    Attributes:
        capacity: what is free for the model.
        experts: routed experts.
        others: all other weights, where they are on the same device; else 0.
        activations: what a stage keeps of its tokens.
        spaces: memory spaces (bank bundles) of the device; 1 where engines do not work at once.
    """

    capacity: float
    experts: float
    others: float
    activations: float
    spaces: int

    @property
    def kv(self) -> float:
        """Bytes left for KV caches.

        With several spaces the experts lie evenly in all, KV caches in all but the last, which has what is read by the
        other engine alone: other weights and activations. What of these the last cannot hold takes room from the KV
        caches; room that it has left is none for them.
        """
        beside = self.others + self.activations
        if self.spaces == 1:
            return self.capacity - self.experts - beside
        each = (self.capacity - self.experts) / self.spaces
        return (self.spaces - 1) * each - max(beside - each, 0.0)


def room(deployment: Deployment, decoding: int, prompt: int) -> Room:
    """What the devices of a deployment hold, where a node has up to `decoding` sequences and a prompt in a stage.

    Every node has all weights but the experts, which are spread over all nodes. The embedding and the head are divided
    over devices by the vocabulary, norms and routers are copied. A memory space is kept for prompts only where there
    are some.

    Raises:
        CapacityError: the weights that are not experts do not fit on devices of their own.
    """
    model, low, high = deployment.model, deployment.low, deployment.high
    stored = weight_bytes_by_class(model)
    experts = stored["experts"] / (deployment.nodes * low.ways)
    others = (sum(stored.values()) - stored["experts"] + copied_weights(model, high.ways)) / high.ways
    activations = float(active_bytes(model, decoding, prompt))
    capacity = space(low, low.memory).capacity
    if high.device != low.device:
        there = space(high, high.memory).capacity
        if others + activations > there:
            remedy = "more devices, or a smaller dtype"
            what = f"{model.name} without its experts on a {high.device}"
            raise CapacityError(what, needed=others + activations, there=there, remedy=remedy)
        others = 0.0
    stack = low.system.tiers[f"{low.device}.{low.memory}"].stack
    apart = prompt > 0 and deployment.together and deployment.shares_memory
    spaces = stack.bundles if stack and apart else 1
    return Room(capacity, experts, others, activations, spaces)


def most_sequences(deployment: Deployment, context: int, prompt: int, asked: int) -> int:
    """How many of `asked` sequences of `context` tokens in the end fit, each admitted with room for all of them.

    `prompt` tokens may be computed beside those that decode (0 where prompts are computed elsewhere). The sequences of
    a node share what its devices have left.

    Raises:
        CapacityError: there is no room for one.
    """
    low, nodes = deployment.low, deployment.nodes

    def kept(sequences: int) -> float:
        """Bytes on each device of the KV caches of so many sequences of a node."""
        return float(cached_bytes(deployment.model, low.ways, sequences, float(context))) / low.ways

    def fit(sequences: int) -> bool:
        try:
            return kept(sequences) <= room(deployment, sequences, prompt).kv
        except CapacityError:
            return False

    free = room(deployment, 1, prompt)
    fits = nodes * largest(fit, ceil(asked / nodes))
    if fits < 1:
        raise CapacityError(
            f"one sequence of {context:,} tokens beside {deployment.model.name} on a {low.device}",
            needed=free.capacity - free.kv + kept(1),
            there=free.capacity,
            remedy="a shorter sequence, more devices, or a smaller dtype",
        )
    return min(asked, fits)
