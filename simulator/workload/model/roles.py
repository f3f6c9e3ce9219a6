"""What the parameters of a layer's modules are to a model: a role for each name, and sections from their shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from simulator.workload.model.huggingface.assemble import ACTIVATIONS
from simulator.workload.model.huggingface.keys import TOP_K

Data = dict[str, Any]
Shapes = Mapping[str, tuple[int, ...]]

_IN_ATTENTION = r"(attn|attention|mixer|temporal_block)\w*\."
ROLES = {
    "expert": r"experts?\.(?!shared)(\d+\.|.*\.)?(\w+?)(\.weight|\.bias|_bias)?$",
    "shared": r"shared\w*\.(\w+)\.(weight|bias)$",
    "router": r"(gate|router|layer|wg|classifier)\.(weight|bias)$",
    "q": _IN_ATTENTION + r".*(q_proj|query|q_lin|wq)\.(weight|bias)$",
    "k": _IN_ATTENTION + r".*(k_proj|key|k_lin|wk)\.(weight|bias)$",
    "v": _IN_ATTENTION + r".*(v_proj|value|v_lin|wv)\.(weight|bias)$",
    "qkv": _IN_ATTENTION + r".*(qkv_proj|query_key_value|c_attn|Wqkv|qkv|W_pack|att_proj)\.(weight|bias)$",
    "o": _IN_ATTENTION + r".*(o_proj|out_proj|dense|c_proj|wo|o_lin|attn_out)\.(weight|bias)$",
    "gate": r"(gate_proj|w1|linear_fc1_gate)\.(weight|bias)$",
    "gate_up": r"(gate_up_proj|input_linear|dense_h_to_4h_gated)\.(weight|bias)$",
    "up": r"(up_proj|fc1|c_fc|dense_h_to_4h|fc_in|w3|intermediate\.dense|linear_1)\.(weight|bias)$",
    "down": r"(down_proj|fc2|(mlp|ffn)\.c_proj|dense_4h_to_h|fc_out|w2|output_linear|linear_2)\.(weight|bias)$",
}  # fmt: skip
"""Patterns of names, in the order in which they are tried; norms and state spaces are told by their modules."""


def roles_of(shapes: Shapes, classes: Mapping[str, str], config: Any, hidden: int) -> tuple[Data, list[str]]:
    """The parts and norms of a layer, and the names of what has no role.

    `shapes` are of its parameters by name, `classes` names of its modules' types.
    """
    left = dict(shapes)
    norms = _norms(left, classes, hidden)
    parts = [part for part in (_space(left, config), _attention(left, classes, config), _moe(left, config)) if part]
    dense = None if any(section == "moe" for section, _ in parts) else _ffn(left, config, "")
    parts += [("ffn", dense)] if dense else []
    count, kind, biased = norms
    per_part = count / len(parts) if parts else 0
    if per_part not in (0.5, 1, 2):  # as a norm that is left, the layer cannot be expressed
        left = {f"norms.{count}": ()} | left
    return {"parts": parts, "norms": per_part, "norm_kind": kind, "norm_bias": biased}, list(left)


def _pop(left: dict[str, tuple[int, ...]], role: str, within: str = "") -> dict[str, tuple[int, ...]]:
    """The parameters of a role, taken from those that are left: shapes by the last word of their names."""
    names = [key for key in left if re.search(ROLES[role], key) and re.search(within, key)]
    return {key: left.pop(key) for key in names}


def _norms(left: dict[str, tuple[int, ...]], classes: Mapping[str, str], hidden: int) -> tuple[int, str, bool]:
    """How many norms of the hidden width stand around the parts, their kind, and whether they have biases."""
    count, kind, biased = 0, "rms", False
    for name in [key for key in left if "norm" in classes.get(key.rpartition(".")[0], "").lower()]:
        owner = name.rpartition(".")[0]
        if left[name] != (hidden,) or re.search(r"(q|k|query|key|kv|qk)_?(a_)?(layer)?norm", owner.lower()):
            continue
        left.pop(name)
        if name.endswith("bias"):
            biased = True
        else:
            count, kind = count + 1, "rms" if "rms" in classes[owner].lower() else "layer"
    return count, "layer" if biased else kind, biased


def _width(shapes: Mapping[str, tuple[int, ...]], hidden: int, axis: int = 0) -> int:
    """What a matrix gives, of a linear layer (out x in) or of one that is stored the other way (GPT-2)."""
    shape = next((shape for key, shape in shapes.items() if len(shape) == 2), (0, 0))
    return shape[axis] if shape[1 - axis] == hidden or shape[0] == shape[1] else shape[1 - axis]


def _biased(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    return any(key.endswith("bias") for key in shapes)


def _attention(left: dict[str, tuple[int, ...]], classes: Mapping[str, str], config: Any) -> tuple[str, Data] | None:
    """Attention with keys and values a head, or a latent of them."""
    if any("kv_b_proj" in key for key in left):
        return _latent(left, config)
    if not any(re.search(ROLES["o"], key) for key in left) or any("A_log" in key for key in left):
        return None
    fused, q, k, v = (_pop(left, role) for role in ("qkv", "q", "k", "v"))
    o = _pop(left, "o")
    heads, hidden = int(config.num_attention_heads), int(config.hidden_size)
    if fused:
        seen = _width(o, hidden, axis=1)
        dim = seen // heads
        kv_heads, value = (_width(fused, hidden) - seen) // 2 // dim, dim
    else:
        dim = _width(q, hidden) // heads
        kv_heads = _width(k, hidden) // dim
        value = _width(v, hidden) // kv_heads if v else dim
    data: Data = {
        "heads": heads, "kv_heads": kv_heads, "head_dim": dim, "fused_qkv": bool(fused),
        "qkv_bias": _biased(fused or q), "output_bias": _biased(o),
        **({} if value == dim else {"value_dim": value}), **({} if v or fused else {"values": "keys"}),
    }  # fmt: skip
    for name in [key for key in left if re.search(r"(q|k|query|key)_?(layer)?norm\.weight$", key.lower())]:
        width = left.pop(name)[-1]
        data["qk_norm" if width == dim else "qk_norm_whole"] = True
    for name in [key for key in left if key.endswith("sinks")]:
        left.pop(name)
        data["sinks"] = True
    for name in [key for key in left if re.search(r"(attn|attention)\.(g_proj|gate_proj)\.weight$", key)]:
        data["gate"] = left.pop(name)[0] // heads
    return "attention", data


def _latent(left: dict[str, tuple[int, ...]], config: Any) -> tuple[str, Data]:
    heads, nope, rope = int(config.num_attention_heads), int(config.qk_nope_head_dim), int(config.qk_rope_head_dim)
    mla: Data = {
        "kv_lora_rank": int(config.kv_lora_rank), "q_lora_rank": None, "qk_nope_head_dim": nope,
        "qk_rope_head_dim": rope, "v_head_dim": int(config.v_head_dim),
    }  # fmt: skip
    for name in [key for key in left if re.search(r"(q_a_|kv_a_|kv_b_|q_b_|\bq_proj|o_proj|final_kv)", key)]:
        shape = left.pop(name)
        if "q_b_proj" in name:
            mla["q_lora_rank"] = shape[1]
    return "attention", {"heads": heads, "kv_heads": heads, "head_dim": nope + rope, "mla": mla}


def _ffn(left: dict[str, tuple[int, ...]], config: Any, within: str) -> Data | None:
    """A dense FFN, of two matrices or three."""
    fused, gate, _, down = (_pop(left, role, within) for role in ("gate_up", "gate", "up", "down"))
    if not down:
        return None
    hidden = int(config.hidden_size)
    gated = bool(fused or gate)
    return {
        "intermediate": _width(down, hidden, axis=1), "matrices": 3 if gated else 2, "activation": activation(config),
        "bias": _biased(down),
    }  # fmt: skip


def _moe(left: dict[str, tuple[int, ...]], config: Any) -> tuple[str, Data] | None:
    """Routed experts, as one tensor of all or as a list, their router, and those that are shared."""
    experts = {key: left[key] for key in left if re.search(r"experts\.", key) and "shared" not in key}
    if not experts:
        return None
    for key in experts:
        left.pop(key)
    matrices = [shape for key, shape in experts.items() if not re.search(r"bias$", key)]
    stacked = [shape for shape in matrices if len(shape) == 3]
    hidden = int(config.hidden_size)
    if stacked:
        number, widths = stacked[0][0], [width for shape in stacked for width in shape[1:]]
        others = [width for width in widths if width != hidden]
        inner, elements = min(others, default=hidden), sum(shape[1] * shape[2] for shape in stacked)
    else:
        numbers = [int(match[1]) for key in experts if (match := re.search(r"experts\.(\d+)\.", key))]
        number = max(numbers, default=0) + 1
        inner = min((width for shape in matrices for width in shape if width != hidden), default=hidden)
        elements = sum(shape[0] * shape[-1] for shape in matrices) // number
    data: Data = {
        "experts": number, "top_k": min(top_k(config), number), "intermediate": inner,
        "matrices": 3 if elements == 3 * inner * hidden else 2, "activation": activation(config),
        "bias": any(key.endswith("bias") for key in experts),
    }  # fmt: skip
    for name in [key for key in left if re.search(r"shared\w*gate\.weight$", key)]:
        left.pop(name)
        data["shared_gate"] = True
    shared = _ffn(left, config, "shared")
    if shared:
        data["shared_intermediate"] = shared["intermediate"]
    for name in [key for key in left if left[key] in ((number, hidden), (number,)) and re.search(ROLES["router"], key)]:
        if len(left.pop(name)) == 1:
            data["router_bias"] = True
    return "moe", data


def _space(left: dict[str, tuple[int, ...]], config: Any) -> tuple[str, Data] | None:
    """A state space, told by the numbers of its decay."""
    decay = next((key for key in left if key.endswith("A_log") and "linear" not in key), None)
    root = decay.removesuffix("A_log") if decay else ""
    if decay is None or f"{root}in_proj.weight" not in left or f"{root}D" not in left:
        return None
    own = {key: left.pop(key) for key in list(left) if key.startswith(root)}
    shape, width = own[decay], own[f"{root}out_proj.weight"][1]
    mixed, taps = own[f"{root}conv1d.weight"][0], own[f"{root}conv1d.weight"][-1]
    data: Data = {
        "inner": width, "conv": taps, "conv_bias": f"{root}conv1d.bias" in own, "bias": f"{root}in_proj.bias" in own,
    }  # fmt: skip
    if len(shape) == 2:
        rank = own[f"{root}dt_proj.weight"][1]
        norms = any("layernorm" in key for key in own)
        return "space", data | {"kind": "mamba", "state": shape[1], "dt_rank": rank, "norm": norms}
    state = next(
        int(getattr(config, name))
        for name in ("ssm_state_size", "mamba_d_state", "state_size")
        if hasattr(config, name)
    )
    groups = (mixed - width) // 2 // state
    return "space", data | {
        "kind": "mamba2",
        "state": state,
        "heads": shape[0],
        "groups": groups,
        "norm": f"{root}norm.weight" in own,
    }


def activation(config: Any) -> str:
    """Our word for the activation of a config; of one that has no name for it here, GELU."""
    names = ("hidden_act", "hidden_activation", "mlp_hidden_act", "activation_function", "ffn_act_fn")
    stated = (getattr(config, name, None) for name in names)
    return ACTIVATIONS.get(next((name for name in stated if isinstance(name, str)), ""), "gelu")


def top_k(config: Any) -> int:
    """How many experts a token goes to, as a config says."""
    known = (getattr(config, name, None) for name in (*TOP_K, "num_selected_experts"))
    return next((value for value in known if isinstance(value, int)), 1)
