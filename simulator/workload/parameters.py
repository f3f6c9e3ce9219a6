"""How many parameters a model has, by class, and how many bytes its weights and its KV cache take."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields

import numpy as np

from simulator.core.resource import Quantity
from simulator.workload.dtypes import BYTES_PER_ELEMENT
from simulator.workload.model import Attention, Ffn, Model


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


def parameters(model: Model) -> Parameters:
    """Parameters by class, from the model's shape alone; of a sparse model, those that are not zero."""
    hidden, norm, moe, density = model.hidden, model.norm, model.moe, model.weight_density
    moe_layers = sum(layer.moe for layer in model.decoder)
    norm_width = 1 + norm.bias
    experts = router = shared = 0
    if moe:
        experts = moe_layers * moe.experts * _ffn(moe.expert, hidden, density)
        router = moe_layers * (round(density * moe.experts * hidden) + moe.router_bias * moe.experts)
        shared = moe_layers * (
            (_ffn(moe.shared, hidden, density) if moe.shared else 0) + round(density * moe.shared_gate * hidden)
        )
    dense = (model.layers - moe_layers) * _ffn(model.ffn, hidden, density) if model.ffn else 0
    counts = {
        "embedding": (model.vocab + model.positions.rows) * hidden,
        "attention": model.layers * _attention(model.attention, hidden, density),
        "ffn": dense + shared,
        "experts": experts,
        "router": router,
        "norm": norm_width
        * (
            (model.layers * norm.per_layer + 1 + norm.embedding) * hidden + model.layers * _inner_norms(model.attention)
        ),
        "lm_head": (0 if model.tied_embeddings else model.vocab * hidden) + model.lm_head_bias * model.vocab,
    }
    idle = experts * (moe.experts - moe.top_k) // moe.experts if moe else 0
    return Parameters(**counts, active=sum(counts.values()) - idle)


def weight_bytes(model: Model) -> float:
    """Bytes of all weights, in the model's format for weights."""
    return parameters(model).total * model.weight_bytes


def kv_bytes_per_layer(model: Model) -> float:
    """Bytes that one token takes in the KV cache of one layer.

    A key and a value for each KV head: `2 kv_heads head_dim`; MLA: the latent and the shared RoPE key,
    `kv_lora_rank + qk_rope_head_dim`.
    """
    a = model.attention
    elements = a.mla.kv_lora_rank + a.mla.qk_rope_head_dim if a.mla else 2 * a.kv_heads * a.head_dim
    return elements * BYTES_PER_ELEMENT[model.dtypes.kv]


def kv_bytes_per_token(model: Model) -> float:
    """Bytes that one token takes in the KV cache of all layers, while no sliding window drops it."""
    return model.layers * kv_bytes_per_layer(model)


def kv_bytes(model: Model, context: Quantity) -> Quantity:
    """Bytes that a sequence of `context` tokens takes in the KV cache; a layer with a window of W keeps min(n, W)."""
    layers = Counter(layer.window for layer in model.decoder)
    kept = sum((n * (context if w is None else np.minimum(context, w)) for w, n in layers.items()), start=0.0)
    return kept * kv_bytes_per_layer(model)


def _attention(a: Attention, hidden: int, density: float) -> int:
    """One layer's projections."""
    q_width, v_width = a.heads * a.head_dim, a.heads * a.v_head_dim
    output, output_bias = v_width * hidden, a.output_bias * hidden
    if a.mla:
        q = a.mla.q_lora_rank * (hidden + q_width) if a.mla.q_lora_rank else hidden * q_width
        down = hidden * (a.mla.kv_lora_rank + a.mla.qk_rope_head_dim)
        up = a.mla.kv_lora_rank * a.heads * (a.mla.qk_nope_head_dim + a.v_head_dim)
        return round(density * (q + down + up + output)) + output_bias
    qkv_width = q_width + 2 * a.kv_heads * a.head_dim
    return round(density * (hidden * qkv_width + output)) + a.qkv_bias * qkv_width + output_bias


def _inner_norms(a: Attention) -> int:
    """Widths of one layer's norms inside attention: on queries and keys (Qwen3), on latents (MLA)."""
    latents = (a.mla.q_lora_rank or 0) + a.mla.kv_lora_rank if a.mla else 0
    return latents + 2 * a.qk_norm * a.head_dim


def _ffn(ffn: Ffn, hidden: int, density: float) -> int:
    """One FFN: up and gate have biases of the inner width, down one of the outer."""
    wide = ffn.matrices - 1
    return round(density * ffn.matrices * hidden * ffn.intermediate) + ffn.bias * (wide * ffn.intermediate + hidden)
