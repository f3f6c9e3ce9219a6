"""The file types of llama.cpp (GGUF): mixes of block formats, by tensor, layer and model.

Source: `llama_tensor_get_type` in llama-quant.cpp (ggml-org/llama.cpp). A rule by layer counts in its mean over the
layers. Rows that are no whole number of blocks, which llama.cpp stores in a format of shorter blocks, count as others.
IQ3_XXS and types of fewer bits are made with an importance matrix, the others without one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from simulator.workload.formats.format import BLOCKS, ROUTERS, Format, Rule, any_model, everywhere

if TYPE_CHECKING:
    from simulator.workload.model.form import Model


def more_bits(layers: int) -> int:
    """Layers that get more bits in a mix: the first and the last eighth, and every third between."""
    return sum(i < layers // 8 or i >= 7 * layers // 8 or (i - layers // 8) % 3 == 2 for i in range(layers))


def _eighth(layers: int) -> int:
    return layers // 8


def _sixteenth(layers: int) -> int:
    return layers // 16


def _middle(layers: int) -> int:
    """All layers but the first and the last eighth."""
    return 7 * layers // 8 - layers // 8


def _falcon(model: Model) -> bool:
    return model.family in ("falcon", "RefinedWeb", "RefinedWebModel")


def _not_falcon(model: Model) -> bool:
    return not _falcon(model)


def _experts(model: Model) -> int:
    return model.moe.experts if model.moe else 0


def _eight_experts(model: Model) -> bool:
    return _experts(model) == 8


def _shared_values(model: Model) -> bool:
    """Whether four query heads or more share each of its values."""
    return any(each.heads >= 4 * each.kv_heads for each in model.all_attention[:1])


def _few_values(model: Model) -> bool:
    return _shared_values(model) or _experts(model) >= 4


def _eighty_layers(model: Model) -> bool:
    """What llama.cpp takes for a 70B: 8 query heads share each of its values."""
    return model.layers == 80


def _tied(model: Model) -> bool:
    return model.tied_embeddings


def _tied_falcon(model: Model) -> bool:
    return _tied(model) and _falcon(model)


def _mix(block: str, *rules: Rule, head: str = "q6_k", table: str | None = None) -> Format:
    """The head (or the table that serves as one) has bits of its own; positions, routers and vectors are fp32."""
    common = (
        Rule("lm_head", "q8_0", when=_falcon),
        Rule("embedding", "q8_0", when=_tied_falcon),
        Rule("lm_head", head),
        Rule("embedding", head, when=_tied),
        *([Rule("embedding", table)] if table else []),
        *(Rule(name, "fp32") for name in ("position_embedding", *ROUTERS)),
    )
    return Format(BLOCKS[block], None, (*common, *rules), "fp32", "llama_tensor_get_type, ggml-org/llama.cpp")


def _ffn(
    name: str, block: str, layers: Callable[[int], float], when: Callable[[Model], bool] = any_model
) -> tuple[Rule, ...]:
    """One matrix of all FFNs and experts."""
    return tuple(Rule(f"{part}.{name}_proj", block, layers, when) for part in ("ffn", "moe.experts", "moe.shared"))


_down = partial(_ffn, "down")


_QUERIES, _KEYS, _VALUES, _OUTPUT = (f"attention.{name}_proj" for name in ("q", "k", "v", "o"))
_FUSED = "attention.qkv_proj"
_EIGHT = tuple(Rule(name, "q8_0", when=_eight_experts) for name in (_KEYS, _VALUES))
_EIGHT_OUTPUT = Rule(_OUTPUT, "q5_k", when=_eight_experts)
_SEVENTY = Rule(_VALUES, "q5_k", when=_eighty_layers)


def _lowest(block: str, few: str, output: str, table: str) -> Format:
    """Of 1 or 2 bits, which need an importance matrix: values, output and the first FFNs have more."""
    return _mix(
        block,
        Rule(_VALUES, "q4_k", when=_few_values),
        Rule(_VALUES, few),
        Rule(_KEYS, "q4_k", when=_eight_experts),
        _EIGHT_OUTPUT,
        Rule(_OUTPUT, output),
        *_down(few, _eighth),
        head="q5_k",
        table=table,
    )


GGUF: dict[str, Format] = {
    "q8_0": _mix("q8_0", *_EIGHT, head="q8_0"),
    "q6_k": _mix("q6_k", *_EIGHT),
    "q5_k_m": _mix("q5_k", *_EIGHT, Rule(_VALUES, "q6_k", more_bits), Rule(_FUSED, "q6_k"), *_down("q6_k", more_bits)),
    "q5_k_s": _mix("q5_k", *_EIGHT),
    "q4_k_m": _mix(
        "q4_k",
        *_EIGHT,
        Rule(_VALUES, "q6_k", more_bits),
        Rule(_FUSED, "q5_k"),
        _SEVENTY,
        _EIGHT_OUTPUT,
        *_down("q6_k", more_bits, _not_falcon),
        *_down("q6_k", _sixteenth, _falcon),
        *_down("q5_k", lambda layers: more_bits(layers) - layers // 16, _falcon),
    ),
    "q4_k_s": _mix(
        "q4_k",
        *_EIGHT,
        Rule(_VALUES, "q5_k", lambda layers: min(layers, 4)),
        _SEVENTY,
        _EIGHT_OUTPUT,
        *_down("q5_k", _eighth, _not_falcon),
    ),
    "q3_k_l": _mix(
        "q3_k",
        *_EIGHT,
        Rule(_VALUES, "q5_k"),
        Rule(_FUSED, "q4_k"),
        Rule(_OUTPUT, "q4_k", when=_falcon),
        Rule(_OUTPUT, "q3_k", when=_eight_experts),
        Rule(_OUTPUT, "q5_k"),
        *_down("q4_k", everywhere, _falcon),
        *_down("q5_k", everywhere),
    ),
    "q3_k_m": _mix(
        "q3_k",
        *_EIGHT,
        _SEVENTY,
        Rule(_VALUES, "q5_k", lambda layers: min(layers, 2)),
        Rule(_VALUES, "q4_k"),
        Rule(_FUSED, "q4_k"),
        _EIGHT_OUTPUT,
        Rule(_OUTPUT, "q4_k", when=_not_falcon),
        *_down("q5_k", _sixteenth),
        *_down("q4_k", everywhere, _not_falcon),
        *_down("q4_k", lambda layers: more_bits(layers) - layers // 16, _falcon),
    ),
    "q3_k_s": _mix("q3_k", *_EIGHT, _SEVENTY, _EIGHT_OUTPUT),
    "q2_k": _mix(
        "q2_k",
        *_EIGHT,
        _SEVENTY,
        Rule(_VALUES, "q4_k", when=_shared_values),
        Rule(_VALUES, "q3_k"),
        _EIGHT_OUTPUT,
        Rule(_OUTPUT, "q3_k", when=_not_falcon),
        *_down("q3_k", everywhere),
    ),
    "q2_k_s": _mix("q2_k", *_EIGHT, _SEVENTY, Rule(_VALUES, "q4_k", when=_shared_values), *_down("q4_k", _eighth)),
    **{name: _mix(name, *_EIGHT) for name in ("q4_0", "q4_1", "q5_0", "q5_1")},
    **{
        name: _mix(name, *_EIGHT, Rule(_VALUES, "q5_k", when=_shared_values), _EIGHT_OUTPUT, *_down("q5_k", _eighth))
        for name in ("iq4_nl", "iq4_xs")
    },
    "iq3_m": _mix(
        "iq3_s",
        *_EIGHT,
        _SEVENTY,
        Rule(_VALUES, "q4_k"),
        Rule(_FUSED, "q4_k"),
        _EIGHT_OUTPUT,
        Rule(_OUTPUT, "q4_k", when=_not_falcon),
        *_down("q4_k", more_bits, _eight_experts),
        *_down("q4_k", _eighth, lambda model: not _eight_experts(model)),
    ),
    "iq3_s": _mix("iq3_s", *_EIGHT, _SEVENTY, Rule(_VALUES, "q4_k", when=_shared_values), _EIGHT_OUTPUT),
    "iq3_xs": _mix(
        "iq3_s",
        *_EIGHT,
        _SEVENTY,
        Rule(_VALUES, "q4_k", when=_shared_values),
        *(Rule(name, "iq3_xxs") for name in (_QUERIES, _KEYS)),
        _EIGHT_OUTPUT,
        *_ffn("up", "iq3_xxs", _middle),
        *_ffn("gate", "iq3_xxs", _middle),
    ),
    "iq3_xxs": _mix(
        "iq3_xxs",
        *_EIGHT,
        _SEVENTY,
        Rule(_VALUES, "q4_k", when=_shared_values),
        *(Rule(name, "iq2_s") for name in (_QUERIES, _KEYS)),
        _EIGHT_OUTPUT,
        Rule(_OUTPUT, "iq3_s", when=_not_falcon),
        head="q5_k",
        table="iq3_s",
    ),
    "iq2_m": _lowest("iq2_s", few="iq3_s", output="iq3_s", table="iq3_s"),
    "iq2_s": _lowest("iq2_xs", few="iq3_s", output="iq3_s", table="iq3_s"),
    "iq2_xs": _lowest("iq2_xs", few="q2_k", output="iq2_xs", table="q2_k"),
    "iq2_xxs": _lowest("iq2_xxs", few="q2_k", output="iq2_xxs", table="q2_k"),
    "iq1_m": _lowest("iq1_m", few="q2_k", output="iq2_xxs", table="q2_k"),
    "iq1_s": _lowest("iq1_s", few="q2_k", output="iq2_xxs", table="q2_k"),
    **{name: _mix(name, *_EIGHT, table="q4_k") for name in ("tq1_0", "tq2_0")},
    "mxfp4_moe": _mix(
        "q8_0", *(Rule(f"moe.experts.{name}_proj", "mxfp4") for name in ("up", "gate", "down")), head="q8_0"
    ),
}
"""By name, in lower case."""
