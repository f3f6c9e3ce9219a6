"""How many parameters a model has, by class, and how many bytes its weights and its KV cache take."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from simulator.core.resource import Quantity
from simulator.workload.formats.storage import storage
from simulator.workload.model.form import Attention, Ffn, Model


@dataclass(frozen=True)
class Parameters:
    """Parameters of a model by class.

    Attributes:
        embedding: token table, learned positions. A head tied to the table is counted here, and `lm_head` is 0.
        attention: projections, with their biases.
        ffn: dense FFNs, and shared experts with their gate.
        experts: routed experts, all of them.
        router: routers of the experts.
        norm: all norms.
        lm_head: the output projection where it is not tied.
        active: those that one token uses: all but the experts that it did not choose. The embedding counts whole.
    """

    embedding: int
    attention: int
    ffn: int
    experts: int
    router: int
    norm: int
    lm_head: int
    active: int

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(getattr(self, field.name) for field in fields(self) if field.name != "active")


class Weights(NamedTuple):
    """The weights of one name in all layers: elements of its matrices, and of norms and biases."""

    part: str  # of `Parameters`
    tensor: str  # as formats name it (`workload/formats/format.py`)
    matrices: float
    vectors: int = 0


def parameters(model: Model) -> Parameters:
    """Parameters by class, from the model's shape alone; of a sparse model, those that are not zero."""
    counts = dict.fromkeys((field.name for field in fields(Parameters)), 0)
    for weights in _weights(model):
        counts[weights.part] += round(weights.matrices) + weights.vectors
    moe = model.moe
    idle = counts["experts"] * (moe.experts - moe.top_k) // moe.experts if moe else 0
    return Parameters(**counts | {"active": sum(counts.values()) - idle})


def weight_bytes(model: Model) -> float:
    """Bytes of all weights, each in the format that it is stored in."""
    return sum(weight_bytes_by_class(model).values())


@lru_cache(maxsize=256)
def weight_bytes_by_class(model: Model) -> Mapping[str, float]:
    """Bytes of all weights by class of `Parameters`: `sum_tensors elements x bytes of one`, with scales and zeros."""
    stored, sizes = storage(model), defaultdict[str, float](float)
    for weights in _weights(model):
        matrices = weights.matrices * stored.matrix(weights.tensor).element_bytes
        sizes[weights.part] += matrices + weights.vectors * stored.vector_bytes
    return sizes


def kv_bytes_per_layer(model: Model) -> float:
    """Bytes that one token takes in the KV cache of one layer.

    A key and a value for each KV head: `2 kv_heads head_dim`; MLA: the latent and the shared RoPE key,
    `kv_lora_rank + qk_rope_head_dim`.
    """
    a = model.attention
    elements = a.mla.kv_lora_rank + a.mla.qk_rope_head_dim if a.mla else 2 * a.kv_heads * a.head_dim
    return elements * storage(model).kv_bytes


def kv_bytes_per_token(model: Model) -> float:
    """Bytes that one token takes in the KV cache of all layers, while no sliding window drops it."""
    return model.layers * kv_bytes_per_layer(model)


def kv_bytes(model: Model, context: Quantity) -> Quantity:
    """Bytes that a sequence of `context` tokens takes in the KV cache; a layer with a window of W keeps min(n, W)."""
    layers = Counter(layer.window for layer in model.decoder)
    kept = sum((n * (context if w is None else np.minimum(context, w)) for w, n in layers.items()), start=0.0)
    return kept * kv_bytes_per_layer(model)


def _weights(model: Model) -> Iterator[Weights]:
    hidden, norm, moe, density = model.hidden, model.norm, model.moe, model.weight_density
    yield Weights("embedding", "embedding", model.vocab * hidden)
    yield Weights("embedding", "position_embedding", model.positions.rows * hidden)
    for tensor, elements, bias in _attention(model.attention, hidden):
        yield Weights("attention", tensor, model.layers * density * elements, model.layers * bias)
    moe_layers = sum(layer.moe for layer in model.decoder)
    if model.ffn:
        yield from _ffn("ffn", "ffn", model.ffn, hidden, density, model.layers - moe_layers)
    if moe:
        yield from _ffn("experts", "moe.experts", moe.expert, hidden, density, moe_layers * moe.experts)
        router = moe_layers * density * moe.experts * hidden
        yield Weights("router", "moe.router", router, moe_layers * moe.router_bias * moe.experts)
        if moe.shared:
            yield from _ffn("ffn", "moe.shared", moe.shared, hidden, density, moe_layers)
            yield Weights("ffn", "moe.shared.gate", moe_layers * density * moe.shared_gate * hidden)
    outer = (model.layers * norm.per_layer + 1 + norm.embedding) * hidden
    widths = outer + model.layers * _inner_norms(model.attention)
    yield Weights("norm", "norm", 0.0, (1 + norm.bias) * widths)
    head = 0 if model.tied_embeddings else model.vocab * hidden
    yield Weights("lm_head", "lm_head", head, model.lm_head_bias * model.vocab)


def _attention(a: Attention, hidden: int) -> Iterator[tuple[str, int, int]]:
    """One layer's projections: name, elements, biases."""
    q, kv = a.heads * a.head_dim, a.kv_heads * a.head_dim
    widths: dict[str, tuple[int, int]]
    if a.mla:
        rank, v_width = a.mla.kv_lora_rank, a.heads * a.v_head_dim
        compressed = {"q_a": (hidden, a.mla.q_lora_rank), "q_b": (a.mla.q_lora_rank, q)} if a.mla.q_lora_rank else {}
        widths = compressed or {"q": (hidden, q)}
        widths |= {"kv_a": (hidden, rank + a.mla.qk_rope_head_dim)}
        widths |= {"kv_b": (rank, a.heads * a.mla.qk_nope_head_dim + v_width)}
    else:
        widths = (
            {"qkv": (hidden, q + 2 * kv)} if a.fused_qkv else {"q": (hidden, q), "k": (hidden, kv), "v": (hidden, kv)}
        )
    for name, (n_in, n_out) in widths.items():
        yield f"attention.{name}_proj", n_in * n_out, a.qkv_bias * n_out if a.mla is None else 0
    yield "attention.o_proj", a.heads * a.v_head_dim * hidden, a.output_bias * hidden


def _inner_norms(a: Attention) -> int:
    """Widths of one layer's norms inside attention: on queries and keys (Qwen3), on latents (MLA)."""
    latents = (a.mla.q_lora_rank or 0) + a.mla.kv_lora_rank if a.mla else 0
    return latents + 2 * a.qk_norm * a.head_dim


def _ffn(part: str, name: str, ffn: Ffn, hidden: int, density: float, number: int) -> Iterator[Weights]:
    """So many FFNs: up and gate have biases of the inner width, down one of the outer."""
    for matrix in ("up", "gate", "down") if ffn.matrices == 3 else ("up", "down"):
        bias = hidden if matrix == "down" else ffn.intermediate
        elements = number * density * hidden * ffn.intermediate
        yield Weights(part, f"{name}.{matrix}_proj", elements, number * ffn.bias * bias)
