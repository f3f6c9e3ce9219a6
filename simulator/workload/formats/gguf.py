"""The file types of llama.cpp (GGUF): mixes of block formats, by tensor, layer and model.

Source: `llama_tensor_get_type` in llama-quant.cpp (ggml-org/llama.cpp). A rule by layer counts in its mean over the
layers. Rows that are no whole number of blocks, which llama.cpp stores in a format of shorter blocks, count as others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from simulator.workload.formats.format import BLOCKS, ROUTERS, Format, Rule, any_model, everywhere

if TYPE_CHECKING:
    from simulator.workload.model.form import Model


def more_bits(layers: int) -> int:
    """Layers that get more bits in a mix: the first and the last eighth, and every third between."""
    return sum(i < layers // 8 or i >= 7 * layers // 8 or (i - layers // 8) % 3 == 2 for i in range(layers))


def _falcon(model: Model) -> bool:
    return model.family in ("falcon", "RefinedWeb", "RefinedWebModel")


def _not_falcon(model: Model) -> bool:
    return not _falcon(model)


def _eight_experts(model: Model) -> bool:
    return model.moe is not None and model.moe.experts == 8


def _eighty_layers(model: Model) -> bool:
    """What llama.cpp takes for a 70B: 8 query heads share each of its values."""
    return model.layers == 80


def _many_share(model: Model) -> bool:
    """Whether four query heads or more share each value."""
    return any(a.heads >= 4 * a.kv_heads for a in model.all_attention)


def _tied(model: Model) -> bool:
    return model.tied_embeddings


def _tied_falcon(model: Model) -> bool:
    return _tied(model) and _falcon(model)


def _mix(block: str, *rules: Rule) -> Format:
    """The head (or the table that serves as one) has 6 bits or more; positions, routers and vectors are fp32."""
    head = block if block == "q8_0" else "q6_k"
    common = (
        Rule("lm_head", "q8_0", when=_falcon),
        Rule("embedding", "q8_0", when=_tied_falcon),
        Rule("lm_head", head),
        Rule("embedding", head, when=_tied),
        *(Rule(name, "fp32") for name in ("position_embedding", *ROUTERS)),
        *(Rule(f"attention.{name}_proj", "q8_0", when=_eight_experts) for name in ("k", "v")),
    )
    return Format(BLOCKS[block], None, (*common, *rules), "fp32", "llama_tensor_get_type, ggml-org/llama.cpp")


def _down(block: str, layers: Callable[[int], float], when: Callable[[Model], bool] = any_model) -> tuple[Rule, ...]:
    return tuple(Rule(f"{part}.down_proj", block, layers, when) for part in ("ffn", "moe.experts", "moe.shared"))


_VALUES, _OUTPUT = "attention.v_proj", "attention.o_proj"
_FOUR_BITS = (
    Rule(_VALUES, "q5_k", when=_eighty_layers),
    Rule(_OUTPUT, "q5_k", when=_eight_experts),
)

GGUF: dict[str, Format] = {
    "q8_0": _mix("q8_0"),
    "q6_k": _mix("q6_k"),
    "q5_k_m": _mix(
        "q5_k", Rule(_VALUES, "q6_k", more_bits), Rule("attention.qkv_proj", "q6_k"), *_down("q6_k", more_bits)
    ),
    "q5_k_s": _mix("q5_k"),
    "q4_k_m": _mix(
        "q4_k",
        Rule(_VALUES, "q6_k", more_bits),
        Rule("attention.qkv_proj", "q5_k"),
        *_FOUR_BITS,
        *_down("q6_k", more_bits, _not_falcon),
        *_down("q6_k", lambda layers: layers // 16, _falcon),
        *_down("q5_k", lambda layers: more_bits(layers) - layers // 16, _falcon),
    ),
    "q4_k_s": _mix(
        "q4_k",
        Rule(_VALUES, "q5_k", lambda layers: min(layers, 4)),
        *_FOUR_BITS,
        *_down("q5_k", lambda layers: layers // 8, _not_falcon),
    ),
    "q4_0": _mix("q4_0"),
    "q2_k": _mix(
        "q2_k",
        Rule(_VALUES, "q4_k", when=_many_share),
        Rule(_VALUES, "q3_k"),
        Rule(_OUTPUT, "q5_k", when=_eight_experts),
        Rule(_OUTPUT, "q3_k"),
        *_down("q3_k", everywhere),
    ),
}
"""By name, in lower case."""
