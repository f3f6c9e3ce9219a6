"""The attention of each kind of layer, from the keys of a `config.json`."""

from __future__ import annotations

from typing import Any

from simulator.workload.model.huggingface.keys import HEADS, HIDDEN, KV_HEADS, Keys
from simulator.workload.model.huggingface.traits import Traits

Data = dict[str, Any]

REUSES = "_reusing_kv"
"""What the name of an attention ends with whose layers have no keys and values of their own."""


def attentions(keys: Keys, traits: Traits, names: set[str]) -> dict[str, Data]:
    """The attention of each name that layers have."""
    if not names:
        return {}
    base = _latent(keys, traits) if keys.has("kv_lora_rank") else _per_head(keys, traits)
    sparse = _sparse(keys, base)
    if base.get("mla"):  # all layers are sparse, and some see what the layer before chose
        fields = base | sparse
        return {name: _without(fields, "indexer") if name == "shared" else fields for name in sorted(names)}
    window = keys.size("sliding_window", "sliding_window_size", "window_size", default=None)
    of = {
        "attention": base | _global(keys, base),
        "window": base | {"window": window} | _of_window(keys, traits, base),
        "chunk": base
        | {"chunk": keys.size("attention_chunk_size", default=dict(traits.defaults).get("attention_chunk_size"))},
        "sparse": base | sparse,
    }
    if ratios := _ratios(keys):
        of["sparse"] = of["window"] | sparse | {"compression": {"ratio": ratios[0], "overlap": True}}
        of["compressed"] = of["window"] | {"compression": {"ratio": ratios[-1]}}
    of |= {name + REUSES: shape | {"reuses_kv": True} for name, shape in of.items()}
    unknown = sorted(names - of.keys())
    if unknown:
        raise keys.error("layer_types", f"layers of type '{unknown[0]}' without their figures", "keys that give them")
    return {name: of[name] for name in sorted(names)}


def _ratios(keys: Keys) -> list[int]:
    """The tokens that entries of compressed attention stand for, the fewest first; none where nothing is compressed."""
    rates = (keys.mapping("compress_rates") or {}).values()
    if any(type(rate) is not int for rate in rates):
        raise keys.error("compress_rates", "", "whole numbers, by kind of layer")
    return sorted({ratio for ratio in keys.numbers("compress_ratios") or rates if ratio > 0})


def _without(data: Data, key: str) -> Data:
    return {name: value for name, value in data.items() if name != key}


def _per_head(keys: Keys, traits: Traits) -> Data:
    """Attention with keys and values a head."""
    heads, dim = keys.size(*HEADS), head_dim(keys, traits)
    kv_heads = keys.size(*KV_HEADS, default=heads)
    if heads % kv_heads:
        name = next(name for name in KV_HEADS if keys.has(name))
        raise keys.error(name, "KV heads that do not divide the heads", f"a divisor of {heads}")
    fallback = dict(traits.defaults).get("attention_bias", False)
    bias = keys.flag("attention_bias", "qkv_bias", "add_qkv_bias", "use_bias", "use_qkv_bias", default=fallback)
    value_dim, norm = keys.size("v_head_dim", default=None), traits.qk_norm
    if not keys.flag("use_qk_norm", "qk_layernorm", default=True):
        norm = "none"
    gate = {"none": 0, "head": value_dim or dim, "one": 1}[traits.gate]
    return {
        "heads": heads, "kv_heads": kv_heads, "head_dim": dim,
        "qkv_bias": bias if traits.qkv_bias is None else traits.qkv_bias,
        "output_bias": bias if traits.output_bias is None else traits.output_bias,
        "qk_norm": norm == "head", "qk_norm_whole": norm == "whole",
        "fused_qkv": traits.fused_qkv,
        "gate": gate if keys.flag("attn_output_gate", default=True) else 0,
        "sinks": traits.sinks == "all",
        **({"value_dim": value_dim} if value_dim not in (None, dim) else {}),
        **{name: keys.size(name, default=default) for name, default in _OWN if keys.has(name)},
        **dict(traits.attention),
    }  # fmt: skip


_OWN = (("q_lora_rank", None), ("o_lora_rank", None), ("o_groups", 1))


def _latent(keys: Keys, traits: Traits) -> Data:
    """Multi-head latent attention; queries are compressed unless `q_lora_rank` is null or absent."""
    if keys.flag("attention_bias", default=False):
        raise keys.error("attention_bias", "biases in latent attention", "false")
    nope, rope = keys.size("qk_nope_head_dim", default=128), keys.size("qk_rope_head_dim", default=64)
    heads, value = keys.size(*HEADS), keys.size("v_head_dim", default=128)
    keys.used.update(("num_key_value_heads", "head_dim", "qk_head_dim", "mla_use_nope"))
    mla = {
        "kv_lora_rank": keys.size("kv_lora_rank", default=512), "q_lora_rank": keys.size("q_lora_rank", default=None),
        "qk_nope_head_dim": nope, "qk_rope_head_dim": rope, "v_head_dim": value,
    }  # fmt: skip
    if keys.config.data.get("mla_use_nope"):
        mla["rope"] = False
    gate = value if keys.flag("mla_use_output_gate", default=False) else 0
    return {"heads": heads, "kv_heads": heads, "head_dim": nope + rope, "mla": mla, "gate": gate}


def _sparse(keys: Keys, base: Data) -> Data:
    """What chooses the keys that a token sees."""
    inner = keys.within("sparse_attention_config")
    if inner is not None:  # blocks of keys (MiniMax M3)
        indexer = {"heads": inner.size("sparse_num_index_heads"), "head_dim": inner.size("sparse_index_dim")}
        top_k = inner.size("sparse_topk_blocks") * inner.size("sparse_block_size")
        return {"top_k": top_k, "indexer": indexer | {"weighted": False, "norm": "both"}}
    if not keys.has("index_topk"):
        return {}
    indexer = {"heads": keys.size("index_n_heads"), "head_dim": keys.size("index_head_dim")}
    return {"top_k": keys.size("index_topk"), "indexer": indexer}


def _global(keys: Keys, base: Data) -> Data:
    """What attention that sees everything has of its own, beside layers with a window (Gemma 4, MiMo)."""
    own: Data = {}
    if keys.has("global_head_dim"):
        own["head_dim"] = keys.size("global_head_dim")
    if keys.flag("attention_k_eq_v", default=False):
        own |= {"values": "keys", "kv_heads": keys.size("num_global_key_value_heads", default=base["kv_heads"])}
    if keys.flag("add_full_attention_sink_bias", default=False):
        own["sinks"] = True
    return own


def _of_window(keys: Keys, traits: Traits, base: Data) -> Data:
    """What attention with a window has of its own (MiMo)."""
    own: Data = {}
    for ours, name in (
        ("heads", "swa_num_attention_heads"),
        ("kv_heads", "swa_num_key_value_heads"),
        ("head_dim", "swa_head_dim"),
    ):
        if keys.has(name):
            own[ours] = keys.size(name)
    if keys.has("swa_v_head_dim") and keys.size("swa_v_head_dim") != own.get("head_dim", base["head_dim"]):
        own["value_dim"] = keys.size("swa_v_head_dim")
    if traits.sinks == "window":
        own["sinks"] = keys.flag("add_swa_attention_sink_bias", default=True)
    return own


def head_dim(keys: Keys, traits: Traits) -> int:
    """The width of a head, as a key has it, or else as the heads divide the model's."""
    hidden, heads = keys.size(*HIDDEN), keys.size(*HEADS, default=1)
    defaults = dict(traits.defaults)
    width: int = keys.size(
        "head_dim", "attention_head_dim", "kv_channels", default=defaults.get("head_dim", 0), least=0
    )
    if not width and hidden % heads:
        name = next(name for name in HEADS if keys.has(name))
        raise keys.error(name, "heads that do not divide the hidden size", f"a divisor of {hidden:,}, or a head_dim")
    return width or hidden // heads
