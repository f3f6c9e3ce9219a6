"""The modules of a Hugging Face checkpoint behind each of our matrices, and which of them a list of names means."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.workload.model.form import Model

_LAYERS = (
    "model.layers", "transformer.h", "model.decoder.layers", "model.language_model.layers",
    "language_model.model.layers", "backbone.layers", "layers",
)  # fmt: skip
_OUTER = {
    "embedding": (
        "model.embed_tokens", "transformer.wte", "transformer.word_embeddings", "model.decoder.embed_tokens",
        "model.language_model.embed_tokens", "language_model.model.embed_tokens", "backbone.embeddings", "embed",
    ),
    "position_embedding": ("model.decoder.embed_positions",),
    "lm_head": ("lm_head", "language_model.lm_head", "head"),
}  # fmt: skip
_ATTENTION = ("self_attn", "attn", "mixer")
_MOE = ("mlp", "block_sparse_moe", "mixer", "ffn", "feed_forward")
_FFN = ("up", "gate", "down")
_MIXTRAL = {"up": "w3", "gate": "w1", "down": "w2"}
_INNER: dict[str, tuple[str, ...]] = {
    **{
        f"attention.{name}_proj": tuple(f"{at}.{name}_proj" for at in _ATTENTION)
        for name in ("q", "k", "v", "q_a", "q_b", "kv_b", "o_a", "o_b")
    },
    "attention.qkv_proj": ("self_attention.query_key_value", "self_attn.qkv_proj"),
    "attention.o_proj": (
        "self_attn.o_proj", "self_attn.out_proj", "self_attention.dense", "attn.o_proj", "mixer.o_proj",
    ),
    "attention.kv_a_proj": ("self_attn.kv_a_proj_with_mqa", "attn.kv_a_proj_with_mqa"),
    "attention.gate_proj": ("self_attn.g_proj", "self_attn.q_proj"),  # Qwen3-Next has it in the matrix of queries
    "attention.indexer_q_proj": ("self_attn.indexer.wq_b", "attn.indexer.wq_b"),
    "attention.indexer_k_proj": ("self_attn.indexer.wk", "attn.indexer.wk"),
    "attention.indexer_k_gate_proj": ("attn.indexer.compressor.wgate",),
    "attention.indexer_weights_proj": ("self_attn.indexer.weights_proj", "attn.indexer.weights_proj"),
    "attention.compressor_kv_proj": ("attn.compressor.wkv",),
    "attention.compressor_gate_proj": ("attn.compressor.wgate",),
    "linear.qkv_proj": (
        "linear_attn.in_proj_qkv", "linear_attn.in_proj_qkvz", "self_attn.q_proj", "self_attn.qkv_proj",
    ),
    "linear.gate_proj": (
        "linear_attn.in_proj_z", "linear_attn.in_proj_qkvz", "self_attn.g_proj", "self_attn.output_gate",
    ),
    "linear.beta_proj": ("linear_attn.in_proj_b", "linear_attn.in_proj_ba", "self_attn.b_proj"),
    "linear.decay_proj": ("linear_attn.in_proj_a", "linear_attn.in_proj_ba"),
    **{f"linear.decay_{part}_proj": (f"self_attn.f_{part}_proj",) for part in ("a", "b")},
    **{f"linear.gate_{part}_proj": (f"self_attn.g_{part}_proj",) for part in ("a", "b")},
    "linear.o_proj": ("linear_attn.out_proj", "self_attn.o_proj", "self_attn.out_proj"),
    **{f"space.{name}_proj": (f"mixer.{name}_proj", f"mamba.{name}_proj") for name in ("x", "dt", "in", "out")},
    "ffn.up_proj": ("mlp.up_proj", "mlp.dense_h_to_4h", "fc1", "feed_forward.up_proj", "mixer.up_proj"),
    "ffn.gate_proj": ("mlp.gate_proj", "feed_forward.gate_proj"),
    "ffn.down_proj": ("mlp.down_proj", "mlp.dense_4h_to_h", "fc2", "feed_forward.down_proj", "mixer.down_proj"),
    **{
        f"moe.experts.{name}_proj": (
            *(f"{moe}.experts.0.{name}_proj" for moe in _MOE),
            *(f"{moe}.experts.0.{_MIXTRAL[name]}" for moe in _MOE),
        )
        for name in _FFN
    },
    **{
        f"moe.shared.{name}_proj": tuple(
            f"{moe}.{shared}.{name}_proj" for moe in _MOE for shared in ("shared_expert", "shared_experts")
        )
        for name in _FFN
    },
    "moe.shared.gate": ("mlp.shared_expert_gate",),
    "moe.router": tuple(f"{moe}.{name}" for moe in _MOE for name in ("gate", "router")),
    "moe.latent_in_proj": ("mixer.fc1_latent_proj",),
    "moe.latent_out_proj": ("mixer.fc2_latent_proj",),
}  # fmt: skip
_OF_FAMILY = {
    "gemma4": {
        **{f"moe.experts.{name}_proj": (f"experts.0.{name}_proj",) for name in _FFN},
        **{f"moe.shared.{name}_proj": (f"mlp.{name}_proj",) for name in _FFN},
        "moe.router": ("router.proj",),
    }
}
"""Where a family has other modules."""

_NUMBERED = re.compile(r"(?:.*\.)?(?:layers|h)\.(\d+)(.*)")


def shares(names: Sequence[str], shape: Model) -> dict[str, float]:
    """Our matrices that `names` mean, each with the share of the layers that have it in which they do.

    A name is a module or what its name begins, ends or holds, at its dots (`self_attn`); `re:` a regular expression of
    the whole name; with `*`, a pattern of it, or of what it begins with. What is no matrix of ours, such as a norm, is
    passed over.
    """
    general, by_layer = _sorted(names, shape.layers)
    inner = _INNER | _OF_FAMILY.get(shape.family, {})
    meant, total = defaultdict[str, int](int), defaultdict[str, int](int)
    for number, tensors in enumerate(_tensors(shape)):
        for tensor in tensors & inner.keys():
            total[tensor] += 1
            local = by_layer[number]
            meant[tensor] += any(_means(name, module) for name in local for module in inner[tensor]) or any(
                _means(name, f"{root}.{number}.{module}")
                for name in general
                for root in _LAYERS
                for module in inner[tensor]
            )
    for tensor, modules in _OUTER.items():
        total[tensor], meant[tensor] = 1, any(_means(name, module) for name in general for module in modules)
    return {tensor: meant[tensor] / total[tensor] for tensor in total if meant[tensor]}


def _sorted(names: Sequence[str], layers: int) -> tuple[list[str], dict[int, list[str]]]:
    """Names that may mean any layer, and for each layer what is left of those that name its number."""
    general, by_layer = [], defaultdict[int, list[str]](list)
    for name in names:
        numbered = None if name.startswith("re:") else _NUMBERED.fullmatch(name)
        if numbered is None:
            general.append(name)
            continue
        digits, rest = numbered.groups()
        open_ended = rest.startswith("*")  # `layers.1*` means layers 10 to 19 too
        for layer in range(layers):
            if str(layer) == digits or (open_ended and str(layer).startswith(digits)):
                by_layer[layer].append(rest.lstrip("*").lstrip(".") or "*")
    return general, by_layer


def _tensors(shape: Model) -> list[set[str]]:
    """The matrices that each layer has."""
    from simulator.workload.model.weights import of_layer

    of = {layer: {each.tensor for each in of_layer(shape, layer) if each.matrices} for layer, _ in shape.kinds}
    return [of[layer] for layer in shape.decoder]


def _means(name: str, module: str) -> bool:
    if name.startswith("re:"):
        return re.match(name.removeprefix("re:"), module) is not None
    if "*" in name:
        return fnmatchcase(module, name) or fnmatchcase(module, f"{name}.*")
    return f".{name.strip('.')}." in f".{module}."
