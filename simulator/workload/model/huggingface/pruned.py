"""Models cut out of larger ones, each layer by itself (Nemotron of NVIDIA's Puzzle, arXiv 2411.19146)."""

from __future__ import annotations

from typing import Any

from simulator.workload.model.huggingface.assemble import activation
from simulator.workload.model.huggingface.keys import Keys
from simulator.workload.model.huggingface.layers import shortest


def pruned(keys: Keys) -> dict[str, Any]:
    """A Llama of which each layer has so many KV heads, or no attention, and an FFN of its own width, or none.

    The width is `2/3 ffn_mult hidden`, to the next multiple of 256.
    """
    hidden, heads = keys.size("hidden_size"), keys.size("num_attention_heads")
    blocks = keys.config.data.get("block_configs")
    count = keys.size("num_hidden_layers")
    keys.used.add("block_configs")
    if not isinstance(blocks, list) or len(blocks) != count:
        raise keys.error("block_configs", "layers", f"a list of {count}, one a layer")
    attentions: dict[str, dict[str, Any]] = {}
    ffns: dict[str, dict[str, Any]] = {}
    layers = []
    for block in blocks:
        mixer, ffn = block["attention"], block["ffn"]
        if mixer.get("replace_with_linear") or ffn.get("replace_with_linear"):
            raise keys.error("block_configs", "a part replaced by a linear layer", "attention and FFNs")
        parts = []
        if not mixer.get("no_op"):
            shared = mixer["n_heads_in_group"]
            parts.append(f"shared{shared}")
            attentions[parts[-1]] = {"heads": heads, "kv_heads": heads // shared, "head_dim": hidden // heads}
        if not ffn.get("no_op"):
            width = -(-int(2 * ffn["ffn_mult"] * hidden / 3) // 256) * 256
            parts.append(f"wide{width}")
            ffns[parts[-1]] = {"intermediate": width, "matrices": 3, "activation": activation(keys, "silu")}
        layers.append(" ".join(parts))
    return {
        "layers": count,
        "hidden": hidden,
        "vocab": keys.size("vocab_size"),
        "max_context": keys.size("max_position_embeddings", default=2048),
        "tied_embeddings": keys.flag("tie_word_embeddings", default=False),
        "norm": {"kind": "rms"},
        "positions": {"kind": "rope"},
        "attentions": attentions,
        "ffns": ffns,
        "pattern": shortest(layers),
    }
