"""A model from the keys that many types share, and from what its type has of its own (`traits.py`)."""

from __future__ import annotations

from typing import Any

from simulator.workload.model.form import MOST_LAYERS
from simulator.workload.model.huggingface.keys import EXPERTS, HEADS, HIDDEN, KV_HEADS, LAYERS, TOP_K, Keys
from simulator.workload.model.huggingface.layers import experts, listed, mixers, shortest
from simulator.workload.model.huggingface.traits import Traits

Data = dict[str, Any]

ACTIVATIONS = (
    {name: "silu" for name in ("silu", "swish", "swigluoai", "situ")}
    | {"relu": "relu", "relu2": "relu2", "xielu": "relu2"}
    | {name: "gelu" for name in ("gelu", "gelu_new", "gelu_fast", "gelu_python", "gelu_pytorch_tanh")}
)
"""Ours, by their names; the products inside an activation are so few that kin count as one."""

WIDTHS = ("moe_intermediate_size", "expert_intermediate_size", "expert_ffn_hidden_size", "intermediate_size")
SHARED = (
    "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size", "share_expert_dim",
    "shared_intermediate_size",
)  # fmt: skip
DENSE = (
    "dense_intermediate_size",
    "intermediate_size_mlp",
    "intermediate_size",
    "ffn_hidden_size",
    "n_inner",
    "ffn_dim",
)

REUSES = "_reusing_kv"
"""What the name of an attention ends with whose layers have no keys and values of their own."""


def assemble(keys: Keys, traits: Traits) -> Data:
    """The sections of a model's YAML, but for its name and formats."""
    count = keys.size(*LAYERS, default=listed(keys), most=MOST_LAYERS)
    data = _whole(keys, traits, count)
    names = mixers(keys, count)
    if traits.pattern and set(names) == {"attention"} and not keys.has("layer_types"):
        names = [traits.pattern[i % len(traits.pattern)] for i in range(count)]
        if "window" in names and not keys.has("sliding_window"):
            names = ["attention"] * count
    if names == ["attention"] * count and _slides(keys):
        names = ["window"] * count
    if traits.space and not traits.linear:  # transformers calls both kinds linear attention
        names = ["space" if name == "linear" else name for name in names]
    names, reusing = _reusing(keys, names)
    moe = _moe(keys, traits)
    mixed = experts(keys, count) if moe else [False] * count
    single = bool({"moe", "ffn"} & set(names)) or "space" in traits.pattern  # layers of one part
    if moe and (any(mixed) or "moe" in names):
        data["moe"] = moe
    widths = _widths(keys, reusing)
    if "ffn" in names or not (single or all(mixed)):
        data["ffn"] = _ffn(keys, traits, widths[0])
        data["ffns"] = {
            f"ffn_{width}": _ffn(keys, traits, width) for width in dict.fromkeys(widths) if width != widths[0]
        }
    if "linear" in names:
        data["linear"] = _linear(keys, traits)
    if "space" in names:
        data["space"] = _space(keys, traits)
    shapes = _attentions(keys, traits, {name for name in names if name not in ("linear", "space", "moe", "ffn")})
    dense = [" ffn" if width == widths[0] else f" ffn_{width}" for width in widths]
    second = ["" if single else " moe" if has else ffn for has, ffn in zip(mixed, dense, strict=True)]
    return data | _laid_out(shapes, [name + ffn for name, ffn in zip(names, second, strict=True)], data)


def _reusing(keys: Keys, names: list[str]) -> tuple[list[str], list[bool]]:
    """What mixes tokens, where the last layers have no keys and values of their own (Gemma 3n), and which these are."""
    last = keys.size("num_kv_shared_layers", default=0, least=0)
    own = len(names) - last
    alone = sorted(set(names[max(own, 0) :]) - set(names[: max(own, 0)]))
    if alone:
        expected = "fewer, so that a layer of each kind before them keeps keys and values"
        raise keys.error("num_kv_shared_layers", f"layers of kind '{alone[0]}' without any", expected)
    reusing = [place >= own for place in range(len(names))]
    return [name + REUSES if reused else name for name, reused in zip(names, reusing, strict=True)], reusing


def _widths(keys: Keys, reusing: list[bool]) -> list[int | None]:
    """The width of each layer's dense FFN, where a list has one a layer, or some are twice as wide; else None."""
    if isinstance(keys.config.data.get("intermediate_size"), list):
        listed = keys.numbers("intermediate_size")
        if len(listed) != len(reusing):
            raise keys.error("intermediate_size", "a layer list", f"one entry for each of {len(reusing)} layers")
        return list(listed)
    if not keys.flag("use_double_wide_mlp", default=False) or not any(reusing):
        return [None] * len(reusing)
    width = keys.size("intermediate_size")
    return [2 * width if reused else width for reused in reusing]


def _per_layer(keys: Keys) -> Data | None:
    """Embeddings of each layer (Gemma 3n, Gemma 4 E2B)."""
    width = keys.size("hidden_size_per_layer_input", default=0, least=0)
    return {"width": width, "vocab": keys.size("vocab_size_per_layer_input")} if width else None


def _whole(keys: Keys, traits: Traits, count: int) -> Data:
    """What layers share, and what stands around them."""
    biased = traits.norm == "layer" if traits.norm_bias is None else traits.norm_bias
    data: Data = {
        "layers": count,
        "hidden": keys.size(*HIDDEN),
        "vocab": keys.size("vocab_size", "padded_vocab_size"),
        "max_context": keys.size(
            "max_position_embeddings", "seq_length", "n_positions", "max_sequence_length", "max_seq_len", default=2048
        ),
        "tied_embeddings": keys.flag("tie_word_embeddings", default=traits.tied),
        "lm_head_bias": traits.lm_head_bias,
        "norm": {"kind": traits.norm, "bias": biased, "weight": traits.norm_weight, "per_layer": traits.norms},
        "positions": {"kind": traits.positions} | _rotary(keys, traits),
        "predict_layers": keys.predicted(),
        "per_layer": _per_layer(keys),
        "alternates": keys.size("altup_num_inputs", default=0, least=0),
        "laurel_rank": keys.size("laurel_rank", default=0, least=0),
        "streams": keys.size("hc_mult", default=1),
        "parallel": keys.flag("use_parallel_residual", default=traits.parallel),
    }
    if traits.positions == "learned":
        data["positions"]["count"] = data["max_context"]
    return data


def _rotary(keys: Keys, traits: Traits) -> Data:
    """The width of a head that RoPE turns, where that is not all of it."""
    keys.used.update(("rotary_dim", "rotary_pct", "partial_rotary_factor", "rope_parameters", "rope_scaling"))
    if traits.positions != "rope" or keys.has("kv_lora_rank"):
        return {}
    whole = _head_dim(keys, traits)
    rope = keys.config.data.get("rope_parameters") or {}
    said = (keys.config.data.get(name) for name in ("rotary_pct", "partial_rotary_factor"))
    factor = rope.get("partial_rotary_factor") or next((share for share in said if share is not None), 1.0)
    turned = keys.config.data.get("rotary_dim") or int(whole * float(factor))
    return {"rotary_dim": turned} if 0 < turned < whole else {}


def _head_dim(keys: Keys, traits: Traits) -> int:
    hidden, heads = keys.size(*HIDDEN), keys.size(*HEADS, default=1)
    defaults = dict(traits.defaults)
    width: int = keys.size(
        "head_dim", "attention_head_dim", "kv_channels", default=defaults.get("head_dim", 0), least=0
    )
    if not width and hidden % heads:
        name = next(name for name in HEADS if keys.has(name))
        raise keys.error(name, "heads that do not divide the hidden size", f"a divisor of {hidden:,}, or a head_dim")
    return width or hidden // heads


def _slides(keys: Keys) -> bool:
    """Whether all layers have the window that a config has, as no key says which."""
    enabled = keys.flag("use_sliding_window", default=True)
    return enabled and keys.has("sliding_window")


def _attentions(keys: Keys, traits: Traits, names: set[str]) -> dict[str, Data]:
    """The attention of each name that layers have."""
    if not names:
        return {}
    base = _latent(keys, traits) if keys.has("kv_lora_rank") else _per_head(keys, traits)
    sparse = _sparse(keys, base)
    if base.get("mla"):  # all layers are sparse, and some see what the layer before chose
        whole = base | sparse
        return {name: _without(whole, "indexer") if name == "shared" else whole for name in sorted(names)}
    window = keys.size("sliding_window", "sliding_window_size", "window_size", default=None)
    of = {
        "attention": base | _global(keys, base),
        "window": base | {"window": window} | _of_window(keys, traits, base),
        "chunk": base
        | {"chunk": keys.size("attention_chunk_size", default=dict(traits.defaults).get("attention_chunk_size"))},
        "sparse": base | sparse,
    }
    rates = keys.mapping("compress_rates")
    if keys.has("compress_ratios") or rates:
        ratios = sorted({ratio for ratio in keys.config.data.get("compress_ratios") or (rates or {}).values() if ratio})
        of["sparse"] = of["window"] | sparse | {"compression": {"ratio": ratios[0], "overlap": True}}
        of["compressed"] = of["window"] | {"compression": {"ratio": ratios[-1]}}
    of |= {name + REUSES: shape | {"reuses_kv": True} for name, shape in of.items()}
    unknown = sorted(names - of.keys())
    if unknown:
        raise keys.error("layer_types", f"layers of type '{unknown[0]}' without their figures", "keys that give them")
    return {name: of[name] for name in sorted(names)}


def _without(data: Data, key: str) -> Data:
    return {name: value for name, value in data.items() if name != key}


def _per_head(keys: Keys, traits: Traits) -> Data:
    """Attention with keys and values a head."""
    heads, dim = keys.size(*HEADS), _head_dim(keys, traits)
    kv_heads = keys.size(*KV_HEADS, default=heads)
    if heads % kv_heads:
        name = next(name for name in KV_HEADS if keys.has(name))
        raise keys.error(name, "KV heads that do not divide the heads", f"a divisor of {heads}")
    said = dict(traits.defaults).get("attention_bias", False)
    bias = keys.flag("attention_bias", "qkv_bias", "add_qkv_bias", "use_bias", "use_qkv_bias", default=said)
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


def _ffn(keys: Keys, traits: Traits, width: int | None = None) -> Data:
    bias = keys.flag("mlp_bias", "use_mlp_bias", default=False)
    data = {
        "intermediate": width or keys.size(*DENSE, default=4 * keys.size(*HIDDEN)),
        "matrices": traits.matrices,
        "activation": activation(keys, traits.activation),
        "bias": bias if traits.mlp_bias is None else traits.mlp_bias,
        "vectors": traits.ffn_vectors,
    }
    return data


def _moe(keys: Keys, traits: Traits) -> Data | None:
    """Routed and shared experts; None of a model that has none."""
    if not keys.size(*EXPERTS, default=0, least=0):
        return None
    width = keys.size(*WIDTHS)
    number = keys.size("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", default=0, least=0)
    shared = keys.size(*SHARED, default=0, least=0) or number * width
    if traits.shared == "dense":
        shared = keys.size("intermediate_size")
    own = dict(traits.moe)
    if traits.shared == "dense" and keys.has("top_k_experts"):  # Gemma 4: a norm each way, and scales of the router
        own |= {"norms": 3, "vectors": keys.size(*HIDDEN) + keys.size(*EXPERTS)}
    return {
        "experts": keys.size(*EXPERTS), "top_k": keys.size(*TOP_K), "intermediate": width,
        "matrices": traits.matrices, "activation": activation(keys, traits.activation), "shared_intermediate": shared,
        "latent": keys.size("moe_latent_size", "routed_expert_hidden_size", default=None), **own,
    }  # fmt: skip


def _linear(keys: Keys, traits: Traits) -> Data:
    """Linear attention: gated delta net (Qwen3-Next), Kimi delta attention, lightning attention (MiniMax)."""
    own, inner = dict(traits.linear), keys.within("linear_attn_config")
    if inner is not None:
        heads, dim = inner.size("num_heads"), inner.size("head_dim")
        full = inner.flag("use_full_rank_gate", default=False)
        own |= {"conv": inner.size("short_conv_kernel_size", default=4), "decay_rank": dim}
        own |= {"key_heads": heads, "value_heads": heads, "key_dim": dim, "value_dim": dim}
        return own if full else own | {"gate_rank": dim}
    if keys.has("linear_num_value_heads"):
        return own | {
            "key_heads": keys.size("linear_num_key_heads"), "value_heads": keys.size("linear_num_value_heads"),
            "key_dim": keys.size("linear_key_head_dim"), "value_dim": keys.size("linear_value_head_dim"),
            "conv": keys.size("linear_conv_kernel_dim", default=4),
        }  # fmt: skip
    if keys.has("linear_num_heads"):  # Kimi Linear, as transformers writes it
        heads, dim = keys.size("linear_num_heads"), keys.size("linear_head_dim")
        own |= {"conv": keys.size("linear_conv_kernel_dim", default=4), "decay_rank": dim, "gate_rank": dim}
        return own | {"key_heads": heads, "value_heads": heads, "key_dim": dim, "value_dim": dim}
    heads, dim = keys.size(*HEADS), _head_dim(keys, traits)
    if keys.has("block_size"):
        own["chunk"] = keys.size("block_size")
    return own | {"key_heads": heads, "value_heads": heads, "key_dim": dim, "value_dim": dim}


def _space(keys: Keys, traits: Traits) -> Data:
    """A state space: Mamba, or Mamba 2 with its heads."""
    own, hidden = dict(traits.space), keys.size(*HIDDEN)
    if own["kind"] == "conv":
        bias = keys.flag("conv_bias", default=False)
        return own | {"inner": hidden, "conv": keys.size("conv_L_cache", default=3), "conv_bias": bias, "bias": bias}
    data = {
        **own,
        "state": keys.size("ssm_state_size", "mamba_d_state", "state_size"),
        "conv": keys.size("conv_kernel", "mamba_d_conv", default=4),
        "conv_bias": keys.flag("use_conv_bias", "mamba_conv_bias", default=True),
        "bias": keys.flag("mamba_proj_bias", "use_bias", default=False),
    }
    expand = keys.size("mamba_expand", "expand", default=2)
    if own["kind"] == "mamba":
        rank = keys.config.data.get("mamba_dt_rank", keys.config.data.get("time_step_rank"))
        keys.used.update(("mamba_dt_rank", "time_step_rank"))
        return data | {
            "inner": keys.size("intermediate_size", default=expand * hidden)
            if keys.has("state_size")
            else expand * hidden,
            "dt_rank": rank if isinstance(rank, int) else -(-hidden // 16),
        }
    heads = keys.size("mamba_num_heads", "mamba_n_heads", "num_heads", default=128)
    dim = keys.config.data.get("mamba_head_dim", keys.config.data.get("mamba_d_head", keys.config.data.get("head_dim")))
    keys.used.update(("mamba_head_dim", "mamba_d_head"))
    width = heads * dim if isinstance(dim, int) else expand * hidden
    chunk = keys.size("chunk_size", "mamba_chunk_size", default=256)
    return data | {
        "heads": heads,
        "inner": width,
        "groups": keys.size("n_groups", "mamba_n_groups", default=1),
        "chunk": chunk,
    }


def activation(keys: Keys, default: str) -> str:
    """Our word for the activation of a model."""
    names = ("hidden_act", "hidden_activation", "mlp_hidden_act", "activation_function", "activation")
    return keys.choice(*names, known=ACTIVATIONS, default=default, what="activation")


def _laid_out(shapes: dict[str, Data], layers: list[str], data: Data) -> Data:
    """Sections of attention, and which layers have what: by a pattern, unless all have the same attention."""
    others = {name for name in ("linear", "space") if name in data}
    if len(shapes) == 1 and not others and not any(len(layer.split()) == 1 for layer in layers):
        (shape,) = shapes.values()
        mixed = [layer.endswith(" moe") for layer in layers]
        first = mixed.index(True) if True in mixed else 0
        rest = mixed[first:]
        every = rest.index(True, 1) if True in rest[1:] else 1
        if not any(mixed) or all(has == (i % every == 0) for i, has in enumerate(rest)):
            laid: Data = {"attention": shape}
            return laid | ({"moe": data["moe"] | {"first_layer": first, "every": every}} if any(mixed) else {})
    if shapes and "attention" not in shapes:
        first_name = next(layer.split()[0] for layer in layers if layer.split()[0] in shapes)
        shapes = {"attention" if name == first_name else name: shape for name, shape in shapes.items()}
        layers = [" ".join("attention" if part == first_name else part for part in layer.split()) for layer in layers]
    own = {name: shape for name, shape in shapes.items() if name != "attention"}
    laid = {"attention": shapes["attention"]} if shapes else {}
    return laid | ({"attentions": own} if own else {}) | {"pattern": shortest(layers)}
