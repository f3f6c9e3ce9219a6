"""Readers of types that state the same figures in words, or in sections, of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from simulator.workload.model.huggingface.assemble import assemble
from simulator.workload.model.huggingface.keys import HEADS, Keys
from simulator.workload.model.huggingface.layers import unlisted
from simulator.workload.model.huggingface.recurrent import space
from simulator.workload.model.huggingface.traits import LAYER_NORM, Traits

Data = dict[str, Any]


def _mpt(keys: Keys) -> Data:
    """Layer norms without biases, and ALiBi unless `attn_config` says otherwise."""
    own, inner = keys.with_defaults(_MPT), keys.within("attn_config")
    alibi = inner.flag("alibi", default=True) if inner else True
    if inner and (inner.flag("qk_ln", default=False) or inner.flag("rope", default=False)):
        raise inner.error("qk_ln" if inner.has("qk_ln") else "rope", "attention of MPT", "false")
    if not own.flag("no_bias", default=True):
        raise own.error("no_bias", "biases of MPT", "true")
    hidden = own.size("d_model")
    width = int(own.number("expansion_ratio", default=4) * hidden)
    heads = inner.size("kv_n_heads", default=None) if inner else None
    positions = "alibi" if alibi else "learned" if own.flag("learned_pos_emb", default=True) else "none"
    bare = replace(
        LAYER_NORM, norm_bias=False, qkv_bias=False, output_bias=False, mlp_bias=False, fused_qkv=True, tied=True,
        positions=positions,
    )  # fmt: skip
    return assemble(own.with_defaults({"intermediate_size": width, "num_kv_heads": heads}), bare)


_MPT = {"d_model": 2048, "n_heads": 16, "n_layers": 24, "vocab_size": 50_368, "max_seq_len": 2048}


def _dbrx(keys: Keys) -> Data:
    """Experts and KV heads in sections of their own."""
    own = keys.with_defaults({"d_model": 2048, "n_heads": 16, "n_layers": 24, "vocab_size": 32_000})
    attention, ffn = keys.within("attn_config"), keys.within("ffn_config")
    figures: Data = {"num_kv_heads": attention.size("kv_n_heads", default=1) if attention else 1}
    figures["moe_intermediate_size"] = ffn.size("ffn_hidden_size", default=3584) if ffn else 3584
    figures["num_experts"] = ffn.size("moe_num_experts", default=4) if ffn else 4
    figures["num_experts_per_tok"] = ffn.size("moe_top_k", default=1) if ffn else 1
    return assemble(own.with_defaults(figures), Traits(norm="layer", norm_bias=False, fused_qkv=True))


def _chatglm(keys: Keys) -> Data:
    """ChatGLM 2 and 3, and GLM-4 by the same keys; RoPE turns half of a head."""
    groups = (
        keys.size("multi_query_group_num", default=1) if keys.flag("multi_query_attention", default=False) else None
    )
    if keys.flag("add_bias_linear", default=False):
        raise keys.error("add_bias_linear", "biases of ChatGLM", "false")
    if not keys.flag("rmsnorm", default=True):
        raise keys.error("rmsnorm", "norms of ChatGLM", "true")
    dim = keys.size("kv_channels", default=128)
    figures = {"num_key_value_heads": groups, "intermediate_size": keys.size("ffn_hidden_size", default=13_696)}
    own = keys.with_defaults({key: value for key, value in _CHATGLM.items() if key not in keys.config.data})
    data = assemble(
        own.with_defaults(figures | {"rotary_dim": dim // 2, "head_dim": dim}),
        Traits(fused_qkv=True, qkv_bias=keys.flag("add_qkv_bias", default=False), output_bias=False),
    )
    return data


_CHATGLM = {"num_layers": 28, "hidden_size": 4096, "num_attention_heads": 32, "padded_vocab_size": 65_024}


def _gpt_bigcode(keys: Keys) -> Data:
    """One key and value head for all, unless `multi_query` is false."""
    own = keys.with_defaults(_BIGCODE)
    heads = 1 if own.flag("multi_query", default=True) else own.size(*HEADS)
    return assemble(
        own.with_defaults({"num_key_value_heads": heads}),
        replace(LAYER_NORM, tied=True, fused_qkv=True, positions="learned"),
    )


_BIGCODE = {"vocab_size": 50_257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}


def _stablelm(keys: Keys) -> Data:
    """A parallel layer has one norm."""
    own = keys.with_defaults(_STABLELM)
    if own.flag("qk_layernorm", default=False):
        raise own.error("qk_layernorm", "a norm of its own for each head", "false")
    parallel = own.flag("use_parallel_residual", default=False)
    return assemble(own, Traits(norm="layer", norms=1 if parallel else 2, output_bias=False))


_STABLELM = {
    "vocab_size": 50_304, "intermediate_size": 6912, "hidden_size": 2560, "num_hidden_layers": 32,
    "num_attention_heads": 32, "max_position_embeddings": 4096, "partial_rotary_factor": 0.25,
}  # fmt: skip


def _lfm2(keys: Keys) -> Data:
    """The width of FFNs is two thirds of what the config has, to the next multiple (LFM2, arXiv 2511.23404)."""
    own = keys.with_defaults(_LFM2)
    width = own.size("block_ff_dim", "intermediate_size")
    if own.flag("block_auto_adjust_ff_dim", default=True):
        width = 2 * width // 3
        step = own.size("block_multiple_of", default=256)
        if not own.null("block_ffn_dim_multiplier"):
            width = -(-int(own.number("block_ffn_dim_multiplier", default=1.0) * width) // step) * step
    own.used.update(("block_dim", "conv_dim", "conv_dim_out", "block_use_swiglu", "block_mlp_init_scale"))
    return assemble(own.replaced({"intermediate_size": width}), Traits(qk_norm="head", tied=True, space=_CONV))


def _falcon_h1(keys: Keys) -> Data:
    """Attention and Mamba 2 from one input in each layer (Falcon-H1, arXiv 2507.22448, section 2.1)."""
    own = unlisted(keys.with_defaults(_FALCON_H1))
    if own.flag("projectors_bias", default=False) != own.flag("mamba_proj_bias", default=False):
        raise own.error("projectors_bias", "biases of one projection of a state space", "as mamba_proj_bias has it")
    norm = own.flag("mamba_rms_norm", default=False)
    mixed = space(own, Traits(space=(("kind", "mamba2"), ("norm", norm))))
    mixed["inner"] = own.size("mamba_d_ssm", default=mixed["inner"])
    dim = own.config.data.get("mamba_d_head")
    if type(dim) is int and dim * mixed["heads"] != mixed["inner"]:
        width = f"{mixed['inner'] / mixed['heads']:g}, as mamba_d_ssm and mamba_n_heads have it"
        raise own.error("mamba_d_head", "the width of a head", width)
    own.used.add("mamba_norm_before_gate")
    return assemble(own, Traits()) | {"space": mixed, "pattern": ["attention+space ffn"]}


_FALCON_H1 = {
    "vocab_size": 128_000, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 8192, "mamba_n_heads": 128,
    "mamba_d_state": 256, "mamba_d_ssm": 1024,
}  # fmt: skip
_CONV = (("kind", "conv"),)
_LFM2 = {
    "vocab_size": 65_536, "hidden_size": 2560, "intermediate_size": 12_288, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 128_000,
}  # fmt: skip


OWN_WORDS: dict[str, Callable[[Keys], Data]] = {
    "mpt": _mpt,
    "dbrx": _dbrx,
    "chatglm": _chatglm,
    "gpt_bigcode": _gpt_bigcode,
    "stablelm": _stablelm,
    "lfm2": _lfm2,
    "falcon_h1": _falcon_h1,
}
"""`model_type` -> the reader of its keys."""
