"""The modules of a Hugging Face checkpoint behind each of our matrices, and which of them a list of names means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from simulator.workload.formats.format import TENSORS

_LAYERS = ("model.layers", "transformer.h", "model.decoder.layers")
_OUTER = {
    "embedding": ("model.embed_tokens", "transformer.wte", "transformer.word_embeddings", "model.decoder.embed_tokens"),
    "position_embedding": ("model.decoder.embed_positions",),
    "lm_head": ("lm_head",),
}
_INNER = {
    **{f"attention.{name}_proj": (f"self_attn.{name}_proj", f"attn.{name}_proj") for name in ("q", "k", "v")},
    "attention.qkv_proj": ("self_attention.query_key_value", "self_attn.qkv_proj"),
    "attention.o_proj": ("self_attn.o_proj", "self_attn.out_proj", "self_attention.dense"),
    "attention.q_a_proj": ("self_attn.q_a_proj",),
    "attention.q_b_proj": ("self_attn.q_b_proj",),
    "attention.kv_a_proj": ("self_attn.kv_a_proj_with_mqa",),
    "attention.kv_b_proj": ("self_attn.kv_b_proj",),
    "ffn.up_proj": ("mlp.up_proj", "mlp.dense_h_to_4h", "fc1"),
    "ffn.gate_proj": ("mlp.gate_proj",),
    "ffn.down_proj": ("mlp.down_proj", "mlp.dense_4h_to_h", "fc2"),
    "moe.experts.up_proj": ("mlp.experts.0.up_proj", "block_sparse_moe.experts.0.w3"),
    "moe.experts.gate_proj": ("mlp.experts.0.gate_proj", "block_sparse_moe.experts.0.w1"),
    "moe.experts.down_proj": ("mlp.experts.0.down_proj", "block_sparse_moe.experts.0.w2"),
    **{
        f"moe.shared.{name}_proj": (f"mlp.shared_expert.{name}_proj", f"mlp.shared_experts.{name}_proj")
        for name in ("up", "gate", "down")
    },
    "moe.shared.gate": ("mlp.shared_expert_gate",),
    "moe.router": ("mlp.gate", "mlp.router", "block_sparse_moe.gate"),
}


def shares(names: Sequence[str], layers: int) -> dict[str, float]:
    """Our matrices that `names` mean, each with the share of the layers in which they do.

    A name is a module or what its name begins, ends or holds, at its dots (`self_attn`); `re:` a regular expression of
    the whole name; with `*`, a pattern of it, or of what it begins with. What is no matrix of ours, such as a norm, is
    passed over.
    """
    parts = {}
    for tensor in TENSORS:
        places = list(_places(tensor, layers))
        meant = sum(any(_means(name, module) for name in names for module in modules) for modules in places)
        if meant:
            parts[tensor] = meant / len(places)
    return parts


def _places(tensor: str, layers: int) -> Iterator[tuple[str, ...]]:
    """The names that a matrix may have, in each layer; once where it is outside of them."""
    if tensor in _OUTER:
        yield _OUTER[tensor]
        return
    for layer in range(layers):
        yield tuple(f"{root}.{layer}.{module}" for root in _LAYERS for module in _INNER[tensor])


def _means(name: str, module: str) -> bool:
    if name.startswith("re:"):
        return re.match(name.removeprefix("re:"), module) is not None
    if "*" in name:
        return fnmatchcase(module, name) or fnmatchcase(module, f"{name}.*")
    return f".{name.strip('.')}." in f".{module}."
