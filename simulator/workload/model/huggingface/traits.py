"""What each model type has that its config does not say, or says in words of its own: a row a type.

Checked against the modules that transformers builds on the meta device (`tests/workload/model/counts.csv`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Traits:
    """What tells a model type from Llama; what its config says, by the keys that many types share, comes first.

    Attributes:
        qkv_bias, output_bias: biases of attention; None: as `attention_bias` says.
        mlp_bias: biases of the FFN; None: as `mlp_bias` says.
        qk_norm: norms on queries and keys, a head or all heads as one vector.
        gate: what heads see is gated, by as many numbers as a head is wide or by one.
        sinks: layers with a learned number a head in the softmax: all, those with a window, none.
        fused_qkv: queries, keys and values come of one matrix.
        norm, norms: kind and number of norms of a layer; norm_bias: whether they have biases (None: layer norms do).
        norm_weight: whether norms have weights.
        parallel: attention and FFN read the same input.
        lm_head_bias: whether the head has a bias.
        positions: how positions enter.
        tied: whether the head is the embedding where the config does not say.
        matrices, activation: of the FFN, where the config does not say.
        ffn_vectors: numbers that an activation has of its own.
        shared: the width of shared experts where the config has no key for it alone: none, or that of dense FFNs.
        moe: further figures of its experts.
        pattern: what mixes tokens, where the config does not say, repeated.
        linear, space: figures of linear attention and of state spaces that configs do not say.
        attention: further figures of its attention.
        defaults: values of keys that configs leave out.
    """

    qkv_bias: bool | None = None
    output_bias: bool | None = None
    mlp_bias: bool | None = None
    qk_norm: Literal["none", "head", "whole"] = "none"
    gate: Literal["none", "head", "one"] = "none"
    sinks: Literal["all", "window", "none"] = "none"
    fused_qkv: bool = False
    norm: Literal["rms", "layer"] = "rms"
    norms: int = 2
    norm_bias: bool | None = None
    norm_weight: bool = True
    parallel: bool = False
    positions: str = "rope"
    tied: bool = False
    lm_head_bias: bool = False
    matrices: int = 3
    activation: str = "silu"
    ffn_vectors: int = 0
    shared: Literal["none", "dense"] = "none"
    moe: tuple[tuple[str, Any], ...] = ()
    pattern: tuple[str, ...] = ()
    linear: tuple[tuple[str, Any], ...] = ()
    space: tuple[tuple[str, Any], ...] = ()
    attention: tuple[tuple[str, Any], ...] = ()
    defaults: tuple[tuple[str, Any], ...] = ()


BALANCED = (("balance_bias", True),)
PLAIN = Traits()
QWEN3 = Traits(qk_norm="head", defaults=(("head_dim", 128),))
QWEN_HYBRID = Traits(
    qk_norm="head", gate="head", moe=(("shared_gate", True),), linear=(("rule", "delta"),),
    pattern=("linear", "linear", "linear", "attention"), defaults=(("head_dim", 256),),
)  # fmt: skip
_GEMMA3N = {
    "vocab_size": 262_400, "hidden_size": 2048, "intermediate_size": 16_384, "num_hidden_layers": 35,
    "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 256, "max_position_embeddings": 32_768,
    "sliding_window": 512, "vocab_size_per_layer_input": 262_144, "hidden_size_per_layer_input": 256,
    "altup_num_inputs": 4, "num_kv_shared_layers": 15, "laurel_rank": 64,
}  # fmt: skip
_GEMMA4 = {
    "vocab_size": 262_144, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 30,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "global_head_dim": 512,
    "max_position_embeddings": 131_072, "sliding_window": 512, "vocab_size_per_layer_input": 262_144,
    "hidden_size_per_layer_input": 256,
}  # fmt: skip
GEMMA = Traits(norms=4, tied=True, activation="gelu", defaults=(("head_dim", 256),))
DEEPSEEK = Traits(moe=BALANCED)
DEEPSEEK_V4 = Traits(
    sinks="all", moe=BALANCED, attention=(("values", "shared"),), norm="rms", defaults=(("moe_layer_freq", 1),)
)
LAYER_NORM = Traits(norm="layer", matrices=2, activation="gelu", qkv_bias=True, output_bias=True, mlp_bias=True)
GRANITE = Traits(tied=True)
MAMBA2 = (("kind", "mamba2"), ("norm", True))

_GPT2 = {"vocab_size": 50_257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}
_GPT_NEO = {
    "vocab_size": 50_257, "max_position_embeddings": 2048, "hidden_size": 2048, "num_layers": 24, "num_heads": 16,
    "window_size": 256, "attention_types": [[["global", "local"], 12]],
}  # fmt: skip
_GPT_NEOX = {
    "vocab_size": 50_432, "hidden_size": 6144, "num_hidden_layers": 44, "num_attention_heads": 64,
    "intermediate_size": 24_576, "attention_bias": True, "rotary_pct": 0.25,
}  # fmt: skip
_GPTJ = {"vocab_size": 50_400, "n_positions": 2048, "n_embd": 4096, "n_layer": 28, "n_head": 16, "rotary_dim": 64}
_PHI = {
    "vocab_size": 51_200, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24,
    "num_attention_heads": 32, "partial_rotary_factor": 0.5,
}  # fmt: skip
_OLMO = {
    "vocab_size": 50_304, "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32,
    "num_attention_heads": 32,
}  # fmt: skip
_STARCODER2 = {
    "vocab_size": 49_152, "hidden_size": 3072, "intermediate_size": 12_288, "num_hidden_layers": 30,
    "num_attention_heads": 24, "num_key_value_heads": 2, "max_position_embeddings": 4096,
}  # fmt: skip
_PERSIMMON = {
    "vocab_size": 262_144, "hidden_size": 4096, "intermediate_size": 16_384, "num_hidden_layers": 36,
    "num_attention_heads": 64, "max_position_embeddings": 16_384, "partial_rotary_factor": 0.5,
}  # fmt: skip

TRAITS: dict[str, Traits] = {
    "qwen3_vl": QWEN3,
    "qwen3_vl_moe": QWEN3,
    "qwen3_5": QWEN_HYBRID,
    "qwen3_5_moe": QWEN_HYBRID,
    "qwen3_next": QWEN_HYBRID,
    "qwen2_5_vl": Traits(qkv_bias=True),
    "qwen2_vl": Traits(qkv_bias=True),
    "mimo": Traits(qkv_bias=True, output_bias=False),
    "mimo_v2_flash": Traits(sinks="window", moe=BALANCED),
    "minimax_m2": Traits(qk_norm="whole", moe=BALANCED),
    "minimax_m3": Traits(qk_norm="head", moe=BALANCED),
    "minimax_m3_vl": Traits(qk_norm="head", moe=BALANCED),
    "minimax": Traits(linear=(("rule", "lightning"), ("norm", "whole"), ("chunk", 256))),
    "kimi_k2": DEEPSEEK,
    "kimi_k25": DEEPSEEK,
    "deepseek_v32": DEEPSEEK,
    "glm_moe_dsa": DEEPSEEK,
    "kimi_linear": Traits(moe=BALANCED, linear=(("rule", "delta"),)),
    "kimi_k3": Traits(moe=BALANCED, linear=(("rule", "delta"),)),
    "deepseek_v4": DEEPSEEK_V4,
    "deepseek_ref": DEEPSEEK_V4,
    "gemma": replace(GEMMA, norms=2),
    "gemma2": replace(GEMMA, pattern=("window", "attention")),
    "gemma3": replace(GEMMA, qk_norm="head", pattern=("window",) * 5 + ("attention",)),
    "gemma3n": replace(
        GEMMA, qk_norm="head", pattern=("window",) * 4 + ("attention",), defaults=tuple(_GEMMA3N.items())
    ),
    "gemma4": replace(
        GEMMA,
        qk_norm="head",
        shared="dense",
        pattern=("window",) * 5 + ("attention",),
        defaults=tuple(_GEMMA4.items()),
    ),
    "llama4": Traits(shared="dense", defaults=(("attention_chunk_size", 8192), ("interleave_moe_layer_step", 1))),
    "gpt_oss": Traits(
        qkv_bias=True,
        output_bias=True,
        sinks="all",
        moe=(("router_bias", True), ("bias", True)),
        pattern=("window", "attention"),
    ),
    "step3p5": Traits(qk_norm="head", gate="one", moe=BALANCED),
    "step3p7": Traits(qk_norm="head", gate="one", moe=BALANCED),
    "nemotron_h": Traits(
        positions="none", matrices=2, activation="relu2", moe=BALANCED, space=MAMBA2, qkv_bias=False, output_bias=False
    ),
    "jamba": Traits(
        positions="none",
        space=(("kind", "mamba"), ("norm", True)),
        defaults=(("attn_layer_period", 8), ("expert_layer_period", 2)),
    ),
    "mamba": Traits(positions="none", tied=True, pattern=("space",), space=(("kind", "mamba"),)),
    "falcon_mamba": Traits(positions="none", tied=True, pattern=("space",), space=(("kind", "mamba"),)),
    "mamba2": Traits(positions="none", pattern=("space",), space=MAMBA2),
    "bamba": Traits(space=MAMBA2),
    "granitemoehybrid": Traits(positions="none", tied=True, space=MAMBA2),
    "granite": GRANITE,
    "granitemoe": GRANITE,
    "granitemoeshared": GRANITE,
    "glm4_moe": Traits(moe=BALANCED, output_bias=False),
    "glm4_moe_lite": DEEPSEEK,
    "glm": Traits(output_bias=False),
    "glm4": Traits(norms=4, output_bias=False),
    "ernie4_5": Traits(tied=True),
    "ernie4_5_moe": Traits(tied=True, moe=(("router_bias", True),)),
    "exaone4": Traits(qk_norm="head"),
    "exaone_moe": Traits(qk_norm="head", moe=BALANCED),
    "olmo2": Traits(qk_norm="whole"),
    "olmo3": Traits(qk_norm="whole"),
    "olmoe": Traits(qk_norm="whole"),
    "flex_olmo": Traits(qk_norm="whole"),
    "phi3": Traits(fused_qkv=True),
    "phimoe": Traits(norm="layer", norm_bias=True),
    "starcoder2": replace(LAYER_NORM, tied=True, defaults=tuple(_STARCODER2.items())),
    "cohere": Traits(norm="layer", norm_bias=False, norms=1, parallel=True, tied=True),
    "cohere2": Traits(
        norm="layer", norm_bias=False, norms=1, parallel=True, tied=True, pattern=("window",) * 3 + ("attention",)
    ),
    "apertus": Traits(qk_norm="head", matrices=2, activation="relu2", ffn_vectors=2),
    "seed_oss": Traits(output_bias=False, defaults=(("attention_bias", True),)),
    "hunyuan_v1_dense": Traits(qk_norm="head"),
    "hunyuan_v1_moe": Traits(qk_norm="head"),
    "ministral": Traits(),
    "ministral3": Traits(),
    "mistral3": Traits(),
    "smollm3": Traits(tied=True),
    "arcee": Traits(matrices=2, activation="relu2"),
    "dots1": Traits(qk_norm="head", moe=BALANCED),
    "internlm2": Traits(),
    "internlm3": Traits(),
    "baichuan": Traits(),
    "helium": Traits(),
    "cwm": Traits(),
    "nemotron": Traits(norm="layer", matrices=2, activation="relu2"),
    "gpt2": replace(LAYER_NORM, tied=True, fused_qkv=True, positions="learned", defaults=tuple(_GPT2.items())),
    "gpt_neo": replace(LAYER_NORM, tied=True, qkv_bias=False, positions="learned", defaults=tuple(_GPT_NEO.items())),
    "gpt_neox": replace(
        LAYER_NORM, fused_qkv=True, parallel=True, qkv_bias=None, output_bias=None, defaults=tuple(_GPT_NEOX.items())
    ),
    "gptj": replace(
        LAYER_NORM,
        parallel=True,
        norms=1,
        qkv_bias=False,
        output_bias=False,
        lm_head_bias=True,
        defaults=tuple(_GPTJ.items()),
    ),
    "phi": replace(LAYER_NORM, parallel=True, norms=1, lm_head_bias=True, defaults=tuple(_PHI.items())),
    "olmo": Traits(norm="layer", norm_bias=False, norm_weight=False, defaults=tuple(_OLMO.items())),
    "persimmon": replace(
        LAYER_NORM, activation="relu2", fused_qkv=True, qk_norm="head", defaults=tuple(_PERSIMMON.items())
    ),
    "exaone": Traits(),
}
"""Model types, by `model_type`; that of a text part is without its `_text`."""
