"""Tensor parallelism: each operator divided over devices that work in lockstep."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from simulator.core import Quantity
from simulator.errors import ConfigError, one_of
from simulator.workload import Model, Operator
from simulator.workload.model.attention import Attention
from simulator.workload.model.form import Layer, Mixer
from simulator.workload.model.parameters import mixer_bytes
from simulator.workload.model.recurrent import LinearAttention, StateSpace
from simulator.workload.operators.operator import Operand

WHOLE_INPUT = {"columns", "vocab"}  # every device reads the whole input
WHOLE_OUTPUT = {"rows"}  # every device makes a partial sum of the whole output


def shard(operator: Operator, ways: int) -> Operator:
    """The largest share of an operator that one of `ways` devices has.

    `columns` and `vocab` divide FLOPs, weights and output; `rows` FLOPs, weights and input; `heads` and `elements` all;
    `none` nothing. Keys and values divide by whole heads, and with more devices than heads each has copies
    (Megatron-LM, arXiv 1909.08053; GQA, arXiv 2305.13245); all else divides evenly (`check_ways`).
    """
    if ways == 1 or operator.split == "none":
        return operator
    reads_cache = "kv_read" in operator.bytes
    copies = kv_ways(operator.ways, ways) if operator.ways else ways
    others = ways if reads_cache else copies  # what makes K or V is copied with them
    divide: dict[Operand, float] = {"kv_read": copies, "kv_write": copies}
    if operator.split in WHOLE_INPUT:
        divide["input"] = 1
    if operator.split in WHOLE_OUTPUT:
        divide["output"] = divide["saved_read"] = 1  # dW = x^T dy: what was saved is x, whole where y was divided
    share: dict[Operand, Quantity] = {name: size / divide.get(name, others) for name, size in operator.bytes.items()}
    apart = operator.apart and replace(
        operator.apart, passed=operator.apart.passed / copies, sums=operator.apart.sums / others
    )
    shape = _shape(operator, others, copies)
    return replace(operator, flops=operator.flops / others, bytes=share, shape=shape, apart=apart)


CUT: Mapping[str, str] = {"columns": "n", "vocab": "n", "rows": "k"}
"""Which size of a product each split divides."""


def _shape(operator: Operator, ways: float, copies: float) -> dict[str, Any]:
    """The sizes of one device's share: of attention its heads, of products per head their number."""
    shape = dict(operator.shape)
    heads = ("heads",) if "heads" in shape else ("count",) if "count" in shape else ("m",)
    for size in (CUT[operator.split],) if operator.split in CUT else heads:
        if size in shape:
            shape[size] = shape[size] / ways
    if "kv_heads" in shape:
        shape["kv_heads"] = shape["kv_heads"] / copies
    return shape


def check_ways(model: Model, ways: int, expert_ways: int | None = None) -> None:
    """Nothing where each of `ways` devices can have an equal share of a model by tensor parallelism.

    As Megatron-LM has it (arXiv 1909.08053): `ways` divides the heads, and the inner width of each FFN, shared experts
    and, where these are cut (over `expert_ways` devices; None: over all), routed ones. It divides the KV heads, or they
    divide it, and have copies. A vocabulary is padded.

    Raises:
        ConfigError: it does not; names the counts that do.
    """
    problem = _undivided(model, ways, ways if expert_ways is None else expert_ways)
    if problem:
        possible = one_of(map(str, even_ways(model)))
        raise ConfigError(
            f"devices that share {model.name} by tensor parallelism",
            path="devices",
            found=f"{ways}, which do not divide its {problem}",
            expected=f"{possible}; more can be stages of a pipeline or replicas (pipeline, data)",
        )


def even_ways(model: Model) -> list[int]:
    """Over how many devices a model can be cut evenly."""
    heads = math.gcd(*(_heads(mixer)[0] for layer, _ in model.kinds for mixer in layer.mixers)) or model.hidden
    divisors = {part for i in range(1, math.isqrt(heads) + 1) if heads % i == 0 for part in (i, heads // i)}
    return [ways for ways in sorted(divisors) if not _undivided(model, ways, ways)]


def _undivided(model: Model, ways: int, expert_ways: int) -> str:
    """What so many devices do not divide, or nothing."""
    for mixer in (mixer for layer, _ in model.kinds for mixer in layer.mixers):
        heads, shared = _heads(mixer)
        if heads % ways:
            return f"{heads} heads"
        if shared % ways and ways % shared:
            return f"{shared} KV heads" if isinstance(mixer, Attention) else f"{shared} groups of heads"
    widths = [
        (ffn.intermediate, ways)
        for ffn in dict.fromkeys(layer.ffn for layer, _ in model.kinds if layer.ffn and not layer.moe)
    ]
    moe = model.moe
    widths += [(moe.intermediate, expert_ways), (moe.shared_intermediate, ways)] if moe else []
    return next((f"FFN width of {width:,}" for width, parts in widths if width % parts), "")


def _heads(mixer: Mixer) -> tuple[int, int]:
    """Heads of what mixes tokens, and those that groups of them share; more devices than these hold copies."""
    if isinstance(mixer, LinearAttention):
        return mixer.value_heads, mixer.key_heads
    if isinstance(mixer, StateSpace):
        return mixer.heads or mixer.inner, mixer.groups
    return mixer.heads, mixer.kv_heads


def cache_ways(model: Model, ways: int) -> float:
    """Into how many parts the KV cache of a model is divided over so many devices, in the mean over its bytes."""
    kept = [
        (number * float(size), parts)
        for layer, number in model.kinds
        for size, parts in layer_parts(model, layer, 1.0, ways)
    ]
    parts = sum(size / parts for size, parts in kept)
    return sum(size for size, _ in kept) / parts if parts else ways


def layer_parts(model: Model, layer: Layer, context: Quantity, ways: int) -> Iterator[tuple[Quantity, float]]:
    """What each mixer of a layer keeps of a sequence, in bytes, and into how many parts that is divided: MLA's latent
    into one, keys and values by their heads, a state by its own.
    """
    for mixer in layer.mixers:
        parts = float(ways)
        if isinstance(mixer, Attention):
            parts = kv_ways(1 if mixer.mla else mixer.kv_heads, ways)
        yield mixer_bytes(model, mixer, context), parts


def kv_ways(heads: int, ways: int) -> float:
    """Into how many parts keys and values are divided: the device with most has `ceil(heads / ways)` of the heads."""
    return heads / math.ceil(heads / ways)
