"""Reads a Hugging Face `config.json`, with the defaults that transformers has for missing keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from simulator.config import Config, Mark, validate
from simulator.errors import ConfigError, nearest
from simulator.workload.formats.quantisation import NUMBERS, quantisation
from simulator.workload.model.form import MOST_LAYERS, Model
from simulator.workload.model.huggingface.assemble import assemble
from simulator.workload.model.huggingface.keys import HEADS, HIDDEN, KV_HEADS, LAYERS, Keys, text_part
from simulator.workload.model.huggingface.layers import mixers
from simulator.workload.model.huggingface.own_words import OWN_WORDS
from simulator.workload.model.huggingface.pruned import pruned
from simulator.workload.model.huggingface.silent import left
from simulator.workload.model.huggingface.traits import TRAITS, Traits

Data = dict[str, Any]


def from_huggingface(config: Mapping[str, Any], name: str) -> Model:
    """The model that a Hugging Face `config` describes. Raises `ConfigError` as `read_huggingface` does."""
    file = Path("config.json")
    return read_huggingface(Config(file, dict(config), {(): Mark(file)}, {}), name)


def read_huggingface(config: Config, name: str, beside: Config | None = None) -> Model:
    """The model that a loaded `config.json` describes: of one with several parts, that of text.

    `beside` is a file of quantisation that lies beside it (`hf_quant_config.json`).

    Raises:
        ConfigError: a `model_type` that is not supported (it names the nearest, and what else reads it), a missing
            key, a value of another kind, what contradicts itself, or a variant that a `Model` cannot express.
    """
    outer = Keys(config)
    keys = text_part(outer)
    kind = keys.config.data.get("model_type") or outer.config.data.get("model_type")
    known = kind.removesuffix("_text") if isinstance(kind, str) else ""
    if known not in READERS:
        raise _unsupported(keys, kind)
    data: Data = {"name": name, "family": known} | READERS[known](keys)
    if keys is not outer and outer.has("tie_word_embeddings"):
        data["tied_embeddings"] = outer.flag("tie_word_embeddings", default=False)
    plain = replace(config, data={key: value for key, value in data.items() if value is not None})
    shape = validate(plain, Model)
    data["dtypes"] = dtypes(keys, outer, shape, beside)
    data["weight_scales"] = data["dtypes"].pop("weight_scales", 0.0)
    data["not_modelled"] = left(keys, outer)
    return validate(replace(plain, data=plain.data | data), Model)


def known_type(config: Mapping[str, Any]) -> bool:
    """Whether there is a reader for the type of a config, or for that of its text part."""
    inner = config.get("text_config")
    kind = (inner if isinstance(inner, dict) else config).get("model_type") or config.get("model_type")
    return isinstance(kind, str) and kind.removesuffix("_text") in READERS


def _unsupported(keys: Keys, kind: object) -> ConfigError:
    if kind is None:
        expected = f"the type of the model, as its config.json has it: {', '.join(COMMON)}, ... (docs/models.md)"
        return keys.error("model_type", "missing key", expected)
    expected = (
        f"one of {len(READERS)} that are read (docs/models.md); `tiersim import-model` reads others that transformers "
        "can build, and docs/models.md says how to write a model YAML"
    )
    return keys.error("model_type", "unsupported model", expected, nearest(str(kind), READERS))


COMMON = ("llama", "qwen3", "mistral", "gemma3", "deepseek_v3", "gpt_oss", "gpt2")
"""Types that a message names to who has given none."""


def _llama(keys: Keys) -> Data:
    bias = keys.flag("attention_bias", default=False)
    attention = _attention(keys, qkv_bias=bias, output_bias=bias)
    return _base(keys) | {"attention": attention, "ffn": _ffn(keys, bias=keys.flag("mlp_bias", default=False))}


def _mistral(keys: Keys) -> Data:
    window = None if keys.null("sliding_window") else keys.size("sliding_window", default=4096)
    return _base(keys) | {"attention": _attention(keys, window=window), "ffn": _ffn(keys)}


def _mixtral(keys: Keys) -> Data:
    moe = _moe(keys, experts=("num_local_experts", 8), top_k=2, intermediate="intermediate_size")
    return _base(keys) | {"attention": _attention(keys, window=keys.size("sliding_window", default=None)), "moe": moe}


def _qwen(keys: Keys, qkv_bias: bool, **differences: Any) -> Data:
    """Qwen2 has biases on Q, K and V, Qwen3 norms on Q and K; which layers have a window, `layer_types` says, else the
    first `max_window_layers` see everything.
    """
    bias = keys.flag("attention_bias", default=False)
    differences |= {"qkv_bias": qkv_bias or bias, "output_bias": bias}
    if keys.flag("use_sliding_window", default=False):
        layers = keys.size("num_hidden_layers", most=MOST_LAYERS)
        full = keys.size("max_window_layers", default=28, least=0)
        differences["window"] = keys.size("sliding_window", default=4096)
        listed = mixers(keys, layers) if keys.has("layer_types") else None
        if listed and (others := set(listed) - {"attention", "window"}):
            expected = "full_attention or sliding_attention"
            raise keys.error("layer_types", f"layers of {min(others)} in a {keys.config.data['model_type']}", expected)
        differences["window_pattern"] = [
            listed[layer] == "window" if listed else layer >= full for layer in range(layers)
        ]
    return _base(keys) | {"attention": _attention(keys, **differences), "ffn": _ffn(keys)}


def _qwen_moe(keys: Keys, data: Data, experts: int, top_k: int, **shared: Any) -> Data:
    """Every `decoder_sparse_step`-th layer has experts, but for `mlp_only_layers`."""
    step, dense = keys.size("decoder_sparse_step", default=1), keys.numbers("mlp_only_layers")
    if dense and (step != 1 or dense != list(range(len(dense)))):
        raise keys.error("mlp_only_layers", "dense layers", "the first layers only, and decoder_sparse_step 1")
    first = len(dense) or step - 1
    moe = _moe(keys, experts=("num_experts", experts), top_k=top_k) | shared
    return data | {"moe": moe | {"first_layer": first, "every": step}} | ({} if first else {"ffn": None})


def _qwen2_moe(keys: Keys) -> Data:
    shared = keys.size("shared_expert_intermediate_size", default=5632)
    data = _qwen(keys, qkv_bias=True)
    return _qwen_moe(keys, data, experts=60, top_k=4, shared_intermediate=shared, shared_gate=True)


def _qwen3(keys: Keys) -> Data:
    return _qwen(keys, qkv_bias=False, qk_norm=True, head_dim=keys.size("head_dim", default=128))


def _qwen3_moe(keys: Keys) -> Data:
    return _qwen_moe(keys, _qwen(keys, qkv_bias=False, qk_norm=True), experts=128, top_k=8)


def _deepseek(keys: Keys, balance_bias: bool) -> Data:
    """Latent attention; queries are compressed unless `q_lora_rank` is null."""
    if keys.flag("attention_bias", default=False):
        raise keys.error("attention_bias", "biases in latent attention", "false")
    if keys.size("moe_layer_freq", default=1) != 1:
        raise keys.error("moe_layer_freq", "dense layers between those with experts", "1")
    nope, rope = keys.size("qk_nope_head_dim", default=128), keys.size("qk_rope_head_dim", default=64)
    mla = {
        "kv_lora_rank": keys.size("kv_lora_rank", default=512),
        "q_lora_rank": None if keys.null("q_lora_rank") else keys.size("q_lora_rank", default=1536),
        "qk_nope_head_dim": nope,
        "qk_rope_head_dim": rope,
        "v_head_dim": keys.size("v_head_dim", default=128),
    }
    heads = keys.size("num_attention_heads")
    moe = _moe(keys, experts=("n_routed_experts", 256), top_k=8)
    shared = keys.size("n_shared_experts", default=0, least=0) * moe["intermediate"]
    dense = keys.size("first_k_dense_replace", default=0, least=0)
    return _base(keys) | {
        "attention": {"heads": heads, "kv_heads": heads, "head_dim": nope + rope, "mla": mla},
        "ffn": _ffn(keys) if dense else None,
        "moe": moe | {"shared_intermediate": shared, "first_layer": dense, "balance_bias": balance_bias},
    }


def _grok(keys: Keys) -> Data:
    moe = _moe(keys, experts=("num_experts", 8), top_k=2, intermediate="intermediate_size", activation="gelu")
    norm = {"kind": "rms", "per_layer": 4}
    return _base(keys, tied=True) | {"attention": _attention(keys), "moe": moe, "norm": norm}


_OPT = {"hidden_size": 768, "num_hidden_layers": 12, "ffn_dim": 3072, "num_attention_heads": 12, "vocab_size": 50_272}
_BLOOM = {"n_embed": 64, "n_layer": 2, "n_head": 8, "vocab_size": 250_880}


def _falcon(keys: Keys, new: bool = False) -> Data:
    """The new decoder (40B) has two norms a layer and grouped keys, the old one (7B) one norm and one key head."""
    keys = keys.with_defaults({"vocab_size": 65_024, "hidden_size": 4544})
    new, bias = keys.flag("new_decoder_architecture", default=new), keys.flag("bias", default=False)
    parallel = new or keys.flag("parallel_attn", default=True)
    heads = keys.size(*HEADS)
    if new:
        kv_heads = keys.size(*KV_HEADS, default=heads)
        norms = keys.size("num_ln_in_parallel_attn", default=2)
    else:
        kv_heads = 1 if keys.flag("multi_query", default=True) else heads
        norms = 1 if parallel else 2
    data = _base(keys, norm="layer", tied=True)
    size = keys.size("ffn_hidden_size", default=4 * data["hidden"])
    return data | {
        "attention": _attention(keys, kv_heads=kv_heads, fused_qkv=True, qkv_bias=bias, output_bias=bias),
        "ffn": {"intermediate": size, "matrices": 2, "activation": _activation(keys, "gelu"), "bias": bias},
        "norm": data["norm"] | {"per_layer": norms},
        "positions": {"kind": "alibi" if keys.flag("alibi", default=False) else "rope"},
        "parallel": parallel,
    }


def _opt(keys: Keys) -> Data:
    keys = keys.with_defaults(_OPT)
    data, bias = _base(keys, norm="layer", tied=True), keys.flag("enable_bias", default=True)
    if keys.size("word_embed_proj_dim", default=data["hidden"]) != data["hidden"]:
        raise keys.error("word_embed_proj_dim", "a projected embedding", f"hidden_size, {data['hidden']}")
    if not keys.flag("do_layer_norm_before", default=True):
        raise keys.error("do_layer_norm_before", "norms after each branch", "true")
    size, activation = keys.size("ffn_dim"), _activation(keys, "relu")
    return data | {
        "attention": _attention(keys, qkv_bias=bias, output_bias=bias),
        "ffn": {"intermediate": size, "matrices": 2, "activation": activation, "bias": bias},
        "positions": {"kind": "learned", "count": data["max_context"], "offset": 2},
    }


def _bloom(keys: Keys) -> Data:
    keys = keys.with_defaults(_BLOOM)
    data = _base(keys, norm="layer", tied=True)
    return data | {
        "attention": _attention(keys, fused_qkv=True, qkv_bias=True, output_bias=True),
        "ffn": {"intermediate": 4 * data["hidden"], "matrices": 2, "activation": "gelu", "bias": True},
        "norm": data["norm"] | {"embedding": True},
        "positions": {"kind": "alibi"},
    }


def _assembled(traits: Traits) -> Callable[[Keys], Data]:
    return lambda keys: assemble(keys.with_defaults(dict(traits.defaults)), traits)


READERS: dict[str, Callable[[Keys], Data]] = {
    **{kind: _assembled(traits) for kind, traits in TRAITS.items()},
    **OWN_WORDS,
    "nemotron-nas": pruned,
    "llama": _llama,
    "mistral": _mistral,
    "mixtral": _mixtral,
    "qwen2": partial(_qwen, qkv_bias=True),
    "qwen2_moe": _qwen2_moe,
    "qwen3": _qwen3,
    "qwen3_moe": _qwen3_moe,
    "falcon": _falcon,
    "RefinedWeb": partial(_falcon, new=True),
    "RefinedWebModel": _falcon,
    "opt": _opt,
    "bloom": _bloom,
    "deepseek_v2": partial(_deepseek, balance_bias=False),
    "deepseek_v3": partial(_deepseek, balance_bias=True),  # a bias for each expert balances its load
    "grok-1": _grok,
}
"""`model_type` -> the reader of its keys."""


def _base(keys: Keys, norm: str = "rms", tied: bool = False) -> Data:
    """What all types have, under the names that most of them use."""
    return {
        "layers": keys.size(*LAYERS, most=MOST_LAYERS),
        "hidden": keys.size(*HIDDEN),
        "vocab": keys.size("vocab_size"),
        "predict_layers": keys.predicted(),
        "max_context": keys.size("max_position_embeddings", "seq_length", default=2048),
        "tied_embeddings": keys.flag("tie_word_embeddings", default=tied),
        "norm": {"kind": norm, "bias": norm == "layer"},
        "positions": {"kind": "rope"},
    }


def _attention(keys: Keys, **differences: Any) -> Data:
    heads = keys.size(*HEADS)
    head_dim = keys.size("head_dim", default=keys.size(*HIDDEN) // heads)
    kv_heads = keys.size(*KV_HEADS, default=heads)
    return {"heads": heads, "kv_heads": kv_heads, "head_dim": head_dim} | differences


def _ffn(keys: Keys, **differences: Any) -> Data:
    size = keys.size("intermediate_size")
    return {"intermediate": size, "matrices": 3, "activation": _activation(keys, "silu")} | differences


def _moe(
    keys: Keys,
    experts: tuple[str, int],
    top_k: int,
    intermediate: str = "moe_intermediate_size",
    activation: str = "silu",
) -> Data:
    """Routed experts: the key of their number and its default, the default of `num_experts_per_tok`, their width."""
    return {
        "experts": keys.size(experts[0], default=experts[1]),
        "top_k": keys.size("num_experts_per_tok", default=top_k),
        "intermediate": keys.size(intermediate),
        "matrices": 3,
        "activation": _activation(keys, activation),
    }


_ACTIVATIONS = {"silu": "silu", "swish": "silu", "relu": "relu", "relu2": "relu2"} | dict.fromkeys(
    ("gelu", "gelu_new", "gelu_fast", "gelu_python", "gelu_pytorch_tanh"), "gelu"
)


def _activation(keys: Keys, default: str) -> str:
    names = ("hidden_act", "activation_function", "activation")
    return keys.choice(*names, known=_ACTIVATIONS, default=default, what="activation")


def dtypes(keys: Keys, outer: Keys, shape: Model, beside: Config | None) -> Data:
    """The checkpoint's format (bf16 where none is given), and what its quantisation says of others."""
    names = ("torch_dtype", "dtype")
    source = keys if keys.has("torch_dtype") or keys.has("dtype") else outer
    dtype = source.choice(*names, known=NUMBERS, default="bfloat16", what="number format")
    stored: Data = {"weights": dtype, "activations": dtype, "kv": dtype}
    for holder in (keys, outer):
        for name in ("quantization_config", "quantization"):
            quantised = holder.within(name)
            if quantised:
                stored |= quantisation(quantised, shape, name)
    if beside is not None:
        more = quantisation(Keys(beside), shape)
        narrow = stored["weights"] != stored["activations"]  # lists of single modules add to what the config says
        stored |= {"mixed": more["mixed"]} if narrow and "mixed" in more else more
    if (
        keys.choice("expert_dtype", known={"fp4": "mxfp4", "": ""}, default="", what="format of experts")
        and "mixed" not in stored
    ):
        stored["mixed"] = [("moe.experts.*", "mxfp4", 1.0)]
    return stored
