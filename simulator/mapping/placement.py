"""Static placement: does a model fit with its keys and values, and how much more would?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from simulator.errors import CapacityError
from simulator.mapping.pipeline_parallel import Replica, Stage
from simulator.mapping.target import Target
from simulator.mapping.tensor_parallel import cache_ways
from simulator.workload import Model, Operator, decode, kv_bytes, operator_graph, weight_bytes
from simulator.workload.graph import folded
from simulator.workload.parameters import weight_bytes_by_class
from simulator.workload.storage import element_bytes

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


def place(
    target: Target,
    model: Model,
    batch: int,
    context: int,
    *,
    replica: Replica | None = None,
    draft: Model | None = None,
) -> Placement:
    """Put weights and the KV caches of `batch` sequences of `context` tokens in what the main memory has free.

    Weights that are not divided (norms, routers, MLA's down-projections) are kept by every device.
    Every device has room for the KV heads of the one that has most (`mapping/tensor_parallel.py`). Each stage of a
    `replica` keeps its own layers, and each of the replicas its part of the batch; a `draft` model lies beside.

    Raises:
        CapacityError: they do not fit; says what would make them fit.
    """
    needed = _needed(target, model, batch, context, replica, draft)
    for stage, placement in enumerate(needed):
        if placement.used > placement.capacity:
            beside = f" and {draft.name}" if draft else ""
            where = f" of stage {stage + 1} of {len(needed)}" if len(needed) > 1 else ""
            raise CapacityError(
                f"{model.name}{beside} with {batch} x {context:,} tokens in {placement.tier}{where}",
                needed=placement.used,
                there=placement.capacity,
                remedy=_remedy(target, model, batch, context, replica, draft),
            )
    copies = replica.parallel.data if replica else 1
    capacity, weights, kv = (
        sum(getattr(part, name) for part in needed) * copies for name in ("capacity", "weights", "kv")
    )
    return Placement(needed[0].tier, capacity, weights, kv)


def max_batch(
    target: Target, model: Model, context: int, *, replica: Replica | None = None, draft: Model | None = None
) -> int:
    """The most sequences of `context` tokens that fit beside the weights."""
    copies = replica.parallel.data if replica else 1
    ones = _needed(target, model, copies, context, replica, draft)
    return copies * min(max(int((one.capacity - one.weights) // one.kv), 0) for one in ones if one.kv)


def max_context(
    target: Target, model: Model, batch: int, *, replica: Replica | None = None, draft: Model | None = None
) -> int:
    """The longest context that `batch` sequences may have, at most what the models were made for."""
    low, high = 0, min(model.max_context, draft.max_context if draft else model.max_context)
    while low < high:
        middle = (low + high + 1) // 2
        needed = _needed(target, model, batch, middle, replica, draft)
        fits = all(placement.used <= placement.capacity for placement in needed)
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _needed(
    target: Target, model: Model, batch: int, context: int, replica: Replica | None, draft: Model | None
) -> list[Placement]:
    """What each stage needs, of a batch over all replicas."""
    if replica:
        each = batch // replica.parallel.data
        return [_of_stage(stage, model, each, context) for stage in replica.stages]
    tier, free = _free(target)
    models = [model, draft] if draft else [model]
    weights = sum(weight_bytes(m) + copied_weights(m, target.ways) for m in models)
    return [Placement(tier, free, weights, sum(_kv(m, target.ways, batch, context) for m in models))]


def _free(target: Target) -> tuple[str, float]:
    """The tier of weights and KV, and its bytes on all devices less what is reserved."""
    tier = f"{target.device}.{target.memory}"
    described = target.system.tiers[tier]
    return tier, (described.capacity - described.reserved) * target.system.count(tier)


def _kv(model: Model, ways: int, batch: int, context: int) -> float:
    return float(batch * kv_bytes(model, float(context)) * (ways / cache_ways(model, ways)))


def _of_stage(stage: Stage, model: Model, batch: int, context: int) -> Placement:
    """The blocks of one stage; a table that embedding and head share is kept once where both are in it."""
    tier, free = _free(stage.target)
    ways = stage.target.ways
    weights = sum(n * w for n, w in zip(stage.repeats, _block_weights(model, ways), strict=True))
    if model.tied_embeddings and stage.repeats[0] and stage.repeats[-1]:
        weights -= model.vocab * model.hidden * element_bytes(model, "embedding")
    share = sum(n * k for n, k in zip(stage.repeats, _block_kv(model, context), strict=True))
    return Placement(tier, free, weights, _kv(model, ways, batch, context) * share)


@lru_cache(maxsize=64)
def _block_weights(model: Model, ways: int) -> tuple[float, ...]:
    """Bytes of the weights of one of each block, with those that each of `ways` devices keeps whole."""
    experts = float(model.moe.experts) if model.moe else 0.0
    first, *others = operator_graph(model, decode(1, 1), lambda _: experts).blocks
    found = []
    for block in (first, *others):
        operators = [operator for operator in block.operators if operator.kind != "embedding"]
        kept = sum(float(o.bytes.get("weight", 0.0) + o.bytes.get("expert", 0.0)) for o in operators)
        found.append(kept + sum(_copies(operator, ways) for operator in operators))
    return (found[0] + weight_bytes_by_class(model)["embedding"], *found[1:])


def _block_kv(model: Model, context: int) -> list[float]:
    """The share of a sequence's keys and values that one of each block keeps."""
    kept = [sum(min(context, layer.window or context) for layer in layers) for layers, _ in folded(model.decoder)]
    total = sum(k * repeat for k, (_, repeat) in zip(kept, folded(model.decoder), strict=True))
    return [0.0, *(k / total for k in kept), 0.0]


@lru_cache(maxsize=64)
def copied_weights(model: Model, ways: int) -> float:
    """Bytes of the further copies of weights that each of `ways` devices keeps whole."""
    copies = 0.0
    for operator, repeat in operator_graph(model, decode(1, 1)).operators():
        copies = copies + _copies(operator, ways) * repeat
    return copies


def _copies(operator: Operator, ways: int) -> float:
    """Bytes of the further copies of an operator's weights, where each of `ways` devices keeps them whole."""
    whole = operator.split == "none" and operator.kind in ("gemm", "norm")
    return float(operator.bytes.get("weight", 0.0) * (ways - 1)) if whole else 0.0


def _remedy(
    target: Target, model: Model, batch: int, context: int, replica: Replica | None, draft: Model | None
) -> str:
    """What would fit: fewer sequences, a shorter context, more devices, or formats of fewer bytes."""
    most = max_batch(target, model, context, replica=replica, draft=draft)
    longest = max_context(target, model, batch, replica=replica, draft=draft)
    fits = [f"batch {most}"] if most else []
    fits += [f"{longest:,} tokens"] if longest else []
    if replica is None:
        fits += _other_machines(target, model, batch, context, draft)
        if not fits:
            return "no number of devices makes it fit"
    elif not fits:
        return "more stages, more devices a stage, or a smaller dtype"
    return f"fits with {' or with '.join(fits)}, or try a smaller dtype"


def _other_machines(target: Target, model: Model, batch: int, context: int, draft: Model | None) -> list[str]:
    fits = []
    device = target.device
    for count in range(target.system.machine.devices[device].count + 1, MOST_DEVICES):
        larger = replace(target, system=target.system.with_devices(count))
        (placement,) = _needed(larger, model, batch, context, None, draft)
        if placement.used <= placement.capacity:
            fits.append(f"{count} of {device}")
            break
    for tier in (tier for tier in target.description.reads if tier != target.memory):
        (there,) = _needed(replace(target, memory=tier), model, batch, context, None, draft)
        if target.system.tiers[there.tier].kind != "sram" and there.used <= there.capacity:
            fits.append(f"--memory {tier}")
            fits += ["--spill"] if target.description.kind == "dataflow" and draft is None else []
    return fits


def nodes_needed(size: float, node_bytes: float) -> int:
    """The fewest nodes whose memory holds `size` bytes and has room left to work: `floor(size / node) + 1`."""
    return int(size // node_bytes) + 1
