"""What carries a state from token to token, linear attention or a state space, from the keys of a `config.json`."""

from __future__ import annotations

from typing import Any

from simulator.workload.model.huggingface.attention import head_dim
from simulator.workload.model.huggingface.keys import HEADS, HIDDEN, Keys
from simulator.workload.model.huggingface.layers import mixing_key
from simulator.workload.model.huggingface.traits import Traits

Data = dict[str, Any]


def linear(keys: Keys, traits: Traits) -> Data:
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
    heads, dim = keys.size(*HEADS), head_dim(keys, traits)
    if keys.has("block_size"):
        own["chunk"] = keys.size("block_size")
    return own | {"key_heads": heads, "value_heads": heads, "key_dim": dim, "value_dim": dim}


def space(keys: Keys, traits: Traits) -> Data:
    """A state space: Mamba, or Mamba 2 with its heads."""
    own, hidden = dict(traits.space), keys.size(*HIDDEN)
    if not own:
        what = f"layers of a state space in a {keys.config.data.get('model_type')}"
        raise keys.error(mixing_key(keys), what, "layers of attention")
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
