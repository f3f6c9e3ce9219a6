"""Static placement: does a model fit with its keys and values, and how much more would?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from simulator.core import Quantity
from simulator.errors import CapacityError
from simulator.mapping.pipeline_parallel import Replica, Stage
from simulator.mapping.target import Target
from simulator.mapping.tensor_parallel import cache_ways, even_ways
from simulator.workload import Model, Operator, decode, kv_bytes, operator_graph, weight_bytes
from simulator.workload.dtypes import BYTES_PER_ELEMENT
from simulator.workload.folding import folded
from simulator.workload.parameters import weight_bytes_by_class
from simulator.workload.storage import element_bytes


@dataclass(frozen=True)
class Placement:
    """What a model keeps in the main memory of all devices together, in bytes; `capacity` is what is free for it."""

    tier: str
    capacity: float
    weights: float
    kv: float  # of the whole batch at its full context, with the copies that many devices need
    activations: float

    @property
    def used(self) -> float:
        return self.weights + self.kv + self.activations

    @property
    def fits(self) -> bool:
        return self.used <= self.capacity


def place(
    target: Target,
    model: Model,
    batch: int,
    context: int,
    *,
    output: int | None = None,
    replica: Replica | None = None,
    draft: Model | None = None,
) -> Placement:
    """Put weights, KV caches and activations in what the main memory has free.

    Of `batch` sequences of `context` tokens in the end, `output` of which they generate: the others are prompts, one of
    which is computed at a time (None: prompts are computed elsewhere). Weights that are not divided (norms, routers,
    MLA's down-projections) are kept by every device. Every device has room for the KV heads of the one that has most
    (`mapping/tensor_parallel.py`). Each stage of a `replica` keeps its own layers, and each of the replicas its part of
    the batch; a `draft` model lies beside.

    Raises:
        CapacityError: they do not fit; says what would make them fit.
    """
    needed = _needed(target, model, batch, context, output, replica, draft)
    for stage, placement in enumerate(needed):
        if not placement.fits:
            beside = f" and {draft.name}" if draft else ""
            where = f" of stage {stage + 1} of {len(needed)}" if len(needed) > 1 else ""
            raise CapacityError(
                f"{model.name}{beside} with {batch} x {context:,} tokens in {placement.tier}{where}",
                needed=placement.used,
                there=placement.capacity,
                remedy=_remedy(target, model, batch, context, output, replica, draft),
            )
    copies = replica.parallel.data if replica else 1
    capacity, weights, kv, kept = (
        sum(getattr(part, name) for part in needed) * copies for name in ("capacity", "weights", "kv", "activations")
    )
    return Placement(needed[0].tier, capacity, weights, kv, kept)


def max_batch(
    target: Target,
    model: Model,
    context: int,
    *,
    output: int | None = None,
    replica: Replica | None = None,
    draft: Model | None = None,
) -> int:
    """The most sequences of `context` tokens that `place` has room for, a multiple of the replicas; 0: not one."""
    copies = replica.parallel.data if replica else 1
    return copies * largest(
        lambda each: all(p.fits for p in _needed(target, model, copies * each, context, output, replica, draft))
    )


def max_context(
    target: Target,
    model: Model,
    batch: int,
    *,
    output: int | None = None,
    replica: Replica | None = None,
    draft: Model | None = None,
) -> int:
    """The longest context that `batch` sequences may have, at most what the models were made for."""
    most = min(model.max_context, draft.max_context if draft else model.max_context)
    return largest(
        lambda context: all(p.fits for p in _needed(target, model, batch, context, output, replica, draft)), most
    )


def largest(fits: Callable[[int], bool], most: int | None = None, near: int = 1) -> int:
    """The largest number, at most `most`, that fits, where one more does not; 0 where 1 does not.

    `near` is a first guess: from there in growing steps, then by bisection, so that `fits` is asked of few numbers.
    """
    if most is not None and fits(most):
        return most
    low, high, step = 0, most, max(near // 64, 1)
    number = near if most is None else min(near, most - 1)
    while number > 0 and (high is None or number < high):
        if fits(number):
            low, number = number, number + step
        else:
            high, number = number, number - step
            if low:
                break
        step *= 2
    while high is not None and high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def stored_bytes(model: Model, ways: int) -> float:
    """Bytes of weights on `ways` devices together, with those that each keeps whole."""
    return weight_bytes(model) + copied_weights(model, ways)


def cached_bytes(model: Model, ways: int, batch: Quantity, context: Quantity) -> Quantity:
    """Bytes of the KV caches of `batch` sequences on `ways` devices together, with the copies that these need."""
    return batch * kv_bytes(model, context) * (ways / cache_ways(model, ways))


def active_bytes(model: Model, batch: Quantity, prompt: Quantity) -> Quantity:
    """Bytes on every device of what goes into a layer and what comes out of it: `2 tokens hidden` elements.

    Tokens are one of each sequence of a batch, and all of one prompt: prompts are computed one at a time.
    """
    return 2.0 * (batch + prompt) * model.hidden * BYTES_PER_ELEMENT[model.dtypes.activations]


def needed_bytes(target: Target, model: Model, batch: Quantity, input: Quantity, output: Quantity) -> Quantity:
    """Bytes that `place` puts in the main memory of all devices together, of one batch or of many at once."""
    kept = cached_bytes(model, target.ways, batch, input + output)
    return stored_bytes(model, target.ways) + kept + active_bytes(model, batch, input) * target.ways


def free_bytes(target: Target) -> float:
    """Bytes of the main memory of all devices together, less what is reserved."""
    described = target.system.tiers[f"{target.device}.{target.memory}"]
    return (described.capacity - described.reserved) * target.ways


def _needed(
    target: Target,
    model: Model,
    batch: int,
    context: int,
    output: int | None,
    replica: Replica | None,
    draft: Model | None,
) -> list[Placement]:
    """What each stage needs, of a batch over all replicas."""
    prompt = 0 if output is None else max(context - output, 0)
    if replica:
        each = batch // replica.parallel.data
        return [_of_stage(stage, model, each, context, prompt) for stage in replica.stages]
    models, ways = [model, draft] if draft else [model], target.ways
    return [
        Placement(
            f"{target.device}.{target.memory}",
            free_bytes(target),
            sum(stored_bytes(m, ways) for m in models),
            float(sum(cached_bytes(m, ways, batch, float(context)) for m in models)),
            float(max(active_bytes(m, batch, prompt) for m in models)) * ways,
        )
    ]


def _of_stage(stage: Stage, model: Model, batch: int, context: int, prompt: int) -> Placement:
    """The blocks of one stage; a table that embedding and head share is kept once where both are in it."""
    target, ways = stage.target, stage.target.ways
    weights = sum(n * w for n, w in zip(stage.repeats, _block_weights(model, ways), strict=True))
    if model.tied_embeddings and stage.repeats[0] and stage.repeats[-1]:
        weights -= model.vocab * model.hidden * element_bytes(model, "embedding")
    share = sum(n * k for n, k in zip(stage.repeats, _block_kv(model, context), strict=True))
    return Placement(
        f"{target.device}.{target.memory}",
        free_bytes(target),
        weights,
        float(cached_bytes(model, ways, batch, float(context))) * share,
        float(active_bytes(model, batch, prompt)) * ways,
    )


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
    target: Target,
    model: Model,
    batch: int,
    context: int,
    output: int | None,
    replica: Replica | None,
    draft: Model | None,
) -> str:
    """What would fit: fewer sequences, a shorter context, more devices, or formats of fewer bytes."""
    most = max_batch(target, model, context, output=output, replica=replica, draft=draft)
    longest = max_context(target, model, batch, output=output, replica=replica, draft=draft)
    fits = [f"batch {most}"] if most else []
    fits += [f"{longest:,} tokens"] if longest else []
    if replica is None:
        fits += _other_machines(target, model, batch, context, output, draft)
        if not fits:
            return "no number of devices makes it fit"
    elif not fits:
        return "more stages, more devices a stage, or a smaller dtype"
    return f"fits with {' or with '.join(fits)}, or try a smaller dtype"


def _other_machines(
    target: Target, model: Model, batch: int, context: int, output: int | None, draft: Model | None
) -> list[str]:
    fits = []
    device, nodes = target.device, target.system.machine.nodes
    models = [model, draft] if draft else [model]
    may_grow = device == target.system.device()[0] and f"{device}->{device}" in target.system.links
    counts = set[int].intersection(*(set(even_ways(m)) for m in models)) if may_grow else ()
    for count in sorted(n for n in counts if n > target.ways and n % nodes == 0):
        larger = replace(target, system=target.system.with_devices(count))
        (placement,) = _needed(larger, model, batch, context, output, None, draft)
        if placement.fits:
            fits.append(f"{count} of {device}")
            break
    for tier in (tier for tier in target.description.reads if tier != target.memory):
        (placement,) = _needed(replace(target, memory=tier), model, batch, context, output, None, draft)
        if target.system.tiers[placement.tier].kind != "sram" and placement.fits:
            fits.append(f"--memory {tier}")
            fits += ["--spill"] if target.description.kind == "dataflow" and draft is None else []
    return fits


def nodes_needed(size: float, node_bytes: float) -> int:
    """The fewest nodes whose memory holds `size` bytes and has room left to work: `floor(size / node) + 1`."""
    return int(size // node_bytes) + 1
