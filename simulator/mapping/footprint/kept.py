"""What a model keeps: bytes of weights, keys and values and activations, with the copies that many devices need."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from simulator.core import Quantity
from simulator.mapping.parallel.pipeline import Stage
from simulator.mapping.parallel.tensor import layer_parts
from simulator.workload import Model, Operator, decode, operator_graph, weight_bytes
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT
from simulator.workload.formats.storage import element_bytes
from simulator.workload.model.folding import folded
from simulator.workload.model.parameters import layer_kv_bytes, weight_bytes_by_class


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
    kept = (
        n * size * (ways / parts)
        for layer, n in model.kinds
        for size, parts in layer_parts(model, layer, context, ways)
    )
    return batch * sum(kept, start=0.0)


def active_bytes(model: Model, batch: Quantity, prompt: Quantity) -> Quantity:
    """Bytes on every device of what goes into a layer and what comes out of it: `2 tokens hidden` elements.

    Tokens are one of each sequence of a batch, and all of one prompt: prompts are computed one at a time. Images, of
    which a tower gives nothing but this, are computed together.
    """
    tokens = batch * prompt if model.patches else batch + prompt
    return 2.0 * tokens * model.hidden * BYTES_PER_ELEMENT[model.dtypes.activations]


def stage_bytes(stage: Stage, model: Model, context: float) -> tuple[float, float]:
    """Bytes of the weights of one stage, and its share of the keys and values of the model.

    A table that embedding and head share is kept once where both are in it.
    """
    weights = sum(n * w for n, w in zip(stage.repeats, _block_weights(model, stage.target.ways), strict=True))
    if model.tied_embeddings and stage.repeats[0] and stage.repeats[-1]:
        weights -= model.vocab * model.hidden * element_bytes(model, "embedding")
    return weights, sum((n * k for n, k in zip(stage.repeats, _block_kv(model, context), strict=True)), start=0.0)


@lru_cache(maxsize=64)
def _block_weights(model: Model, ways: int) -> tuple[float, ...]:
    """Bytes of the weights of one of each block, with those that each of `ways` devices keeps whole."""
    experts = float(model.moe.experts) if model.moe else 0.0
    first, *others = operator_graph(model, decode(1, 1), lambda _: experts).blocks
    sizes = []
    for block in (first, *others):
        operators = [operator for operator in block.operators if operator.kind != "embedding"]
        kept = sum(float(o.bytes.get("weight", 0.0) + o.bytes.get("expert", 0.0)) for o in operators)
        sizes.append(kept + sum(copies(operator, ways) for operator in operators))
    tables = sum(weight_bytes_by_class(model)[name] for name in ("embedding", "layer_embedding"))
    return (sizes[0] + tables, *sizes[1:])


def _block_kv(model: Model, context: float) -> list[float]:
    """The share of a sequence's keys and values that one of each block keeps."""
    kept = [
        sum(float(layer_kv_bytes(model, layer, context)) for layer in layers) for layers, _ in folded(model.decoder)
    ]
    total = sum(k * repeat for k, (_, repeat) in zip(kept, folded(model.decoder), strict=True))
    return [0.0, *(k / total if total else 0.0 for k in kept), 0.0]


@lru_cache(maxsize=64)
def copied_weights(model: Model, ways: int) -> float:
    """Bytes of the further copies of weights that each of `ways` devices keeps whole."""
    further = 0.0
    for operator, repeat in operator_graph(model, decode(1, 1)).operators():
        further = further + copies(operator, ways) * repeat
    return further


def copies(operator: Operator, ways: int) -> float:
    """Bytes of the further copies of an operator's weights, where each of `ways` devices keeps them whole."""
    copied = operator.split == "none" and operator.kind in ("gemm", "norm")
    return float(operator.bytes.get("weight", 0.0) * (ways - 1)) if copied else 0.0


def nodes_needed(size: float, node_bytes: float) -> int:
    """The fewest nodes whose memory holds `size` bytes and has room left to work: `floor(size / node) + 1`."""
    return int(size // node_bytes) + 1
