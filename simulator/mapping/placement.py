"""Static placement: does a model fit with its keys and values, and how much more would?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from simulator.core import Quantity
from simulator.errors import CapacityError
from simulator.mapping.lowering import Target
from simulator.mapping.tensor_parallel import kv_ways
from simulator.workload import Model, decode, kv_bytes, operator_graph, weight_bytes

MOST_DEVICES = 4096  # looked at for a remedy


@dataclass(frozen=True)
class Placement:
    """What a model keeps in the main memory of all devices together, in bytes; `capacity` is what is free for it."""

    tier: str
    capacity: float
    weights: float
    kv: float  # of the whole batch at its full context, with the copies that many devices need

    @property
    def used(self) -> float:
        return self.weights + self.kv


def place(target: Target, model: Model, batch: int, context: int) -> Placement:
    """Put weights and the KV caches of `batch` sequences of `context` tokens in what the main memory has free.

    Weights that are not divided (norms, routers, MLA's down-projections) are kept by every device.
    Every device has room for the KV heads of the one that has most (`mapping/tensor_parallel.py`).

    Raises:
        CapacityError: they do not fit; says what would make them fit.
    """
    placement = _needed(target, model, batch, context)
    if placement.used > placement.capacity:
        raise CapacityError(
            f"{model.name} with {batch} x {context:,} tokens in {placement.tier}",
            needed=placement.used,
            there=placement.capacity,
            remedy=_remedy(target, model, batch, context),
        )
    return placement


def max_batch(target: Target, model: Model, context: int) -> int:
    """The most sequences of `context` tokens that fit beside the weights."""
    one = _needed(target, model, 1, context)
    return max(int((one.capacity - one.weights) // one.kv), 0)


def max_context(target: Target, model: Model, batch: int) -> int:
    """The longest context that `batch` sequences may have, at most what the model was made for."""
    low, high = 0, model.max_context
    while low < high:
        middle = (low + high + 1) // 2
        placement = _needed(target, model, batch, middle)
        low, high = (middle, high) if placement.used <= placement.capacity else (low, middle - 1)
    return low


def _needed(target: Target, model: Model, batch: int, context: int) -> Placement:
    tier = f"{target.device}.{target.memory}"
    heads = 1 if model.attention.mla else model.attention.kv_heads
    copies = target.ways / kv_ways(heads, target.ways)
    kv = float(batch * kv_bytes(model, float(context)) * copies)
    described = target.system.tiers[tier]
    free = (described.capacity - described.reserved) * target.system.count(tier)
    return Placement(tier, free, weight_bytes(model) + _copied_weights(model, target.ways), kv)


@lru_cache(maxsize=64)
def _copied_weights(model: Model, ways: int) -> float:
    """Bytes of the further copies of weights that each of `ways` devices keeps whole."""
    copies: Quantity = 0.0
    for operator, repeat in operator_graph(model, decode(1, 1)).operators():
        if operator.split == "none" and operator.kind in ("gemm", "norm"):
            copies = copies + operator.bytes.get("weight", 0.0) * (ways - 1) * repeat
    return float(copies)


def _remedy(target: Target, model: Model, batch: int, context: int) -> str:
    """What would fit: fewer sequences, a shorter context, more devices, or formats of fewer bytes."""
    most, longest, device = max_batch(target, model, context), max_context(target, model, batch), target.device
    fits = [f"batch {most}"] if most else []
    fits += [f"{longest:,} tokens"] if longest else []
    for count in range(target.system.machine.devices[device].count + 1, MOST_DEVICES):
        larger = replace(target, system=target.system.with_devices(count))
        placement = _needed(larger, model, batch, context)
        if placement.used <= placement.capacity:
            fits.append(f"{count} of {device}")
            break
    others = [tier for tier in target.description.reads if tier != target.memory]
    for tier in others:
        there = _needed(replace(target, memory=tier), model, batch, context)
        if target.system.tiers[there.tier].kind != "sram" and there.used <= there.capacity:
            fits.append(f"--memory {tier}")
    return (
        f"fits with {' or with '.join(fits)}, or try a smaller dtype" if fits else "no number of devices makes it fit"
    )


def nodes_needed(size: float, node_bytes: float) -> int:
    """The fewest nodes whose memory holds `size` bytes and has room left to work: `floor(size / node) + 1`."""
    return int(size // node_bytes) + 1
