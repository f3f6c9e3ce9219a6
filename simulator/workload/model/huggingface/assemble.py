"""A model from the keys that many types share, and from what its type has of its own (`traits.py`)."""

from __future__ import annotations

from typing import Any

from simulator.workload.model.form import MOST_LAYERS
from simulator.workload.model.huggingface.attention import REUSES, attentions, head_dim
from simulator.workload.model.huggingface.keys import EXPERTS, HIDDEN, LAYERS, TOP_K, Keys
from simulator.workload.model.huggingface.layers import experts, listed, mixers, shortest
from simulator.workload.model.huggingface.recurrent import linear, space
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


def assemble(keys: Keys, traits: Traits) -> Data:
    """The sections of a model's YAML, but for its name and formats."""
    count = keys.size(*LAYERS, default=listed(keys), most=MOST_LAYERS)
    data = _shared(keys, traits, count)
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
        data["linear"] = linear(keys, traits)
    if "space" in names:
        data["space"] = space(keys, traits)
    shapes = attentions(keys, traits, {name for name in names if name not in ("linear", "space", "moe", "ffn")})
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


def _shared(keys: Keys, traits: Traits, count: int) -> Data:
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
    width = head_dim(keys, traits)
    rope = keys.config.data.get("rope_parameters") or {}
    shares = (keys.config.data.get(name) for name in ("rotary_pct", "partial_rotary_factor"))
    factor = rope.get("partial_rotary_factor") or next((share for share in shares if share is not None), 1.0)
    turned = keys.config.data.get("rotary_dim") or int(width * float(factor))
    return {"rotary_dim": turned} if 0 < turned < width else {}


def _slides(keys: Keys) -> bool:
    """Whether all layers have the window that a config has, as no key says which."""
    enabled = keys.flag("use_sliding_window", default=True)
    return enabled and keys.has("sliding_window")


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
