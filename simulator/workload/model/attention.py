"""Attention of a layer: whose keys and values are kept, and which of them a token sees."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from simulator.config.section import NonEmpty, Section
from simulator.workload.batch import Cut
from simulator.workload.model.types import Count, Flag, Width


class LatentAttention(Section):
    """DeepSeek's multi-head latent attention (MLA): keys and values are kept as one compressed latent a token.

    Source: DeepSeek-V2, arXiv 2405.04434, section 2.1.
    """

    kv_lora_rank: Count
    """Width of the latent of keys and values, which the KV cache holds."""
    q_lora_rank: Count | None = None
    """Width of the latent of queries; none where they are not compressed (DeepSeek-V2-Lite)."""
    qk_nope_head_dim: Count
    """Width of the part of a query or key head that has no position."""
    qk_rope_head_dim: Count
    """Width of the part that RoPE turns, one key for all heads; the KV cache holds it too."""
    v_head_dim: Count
    """Width of a value head."""
    rope: Flag = True
    """Whether RoPE turns that part (not so in Kimi Linear)."""


class Indexer(Section):
    """What chooses the keys that sparse attention sees: small heads whose scores rank all keys (DeepSeek-V3.2).

    Each new token has queries of its own in `heads` heads, all heads have one key a token, which is kept beside the KV
    cache; the score of a key is the sum over heads, weighted by the token, of ReLU(q k). Source: DeepSeek-V3.2,
    arXiv 2512.02556, section 2.1.
    """

    heads: Count
    """How many heads it has."""
    head_dim: Count
    """Width of a head."""
    weighted: Flag = True
    """Whether a projection gives the weight of each head (not so in MiniMax M3)."""
    norm: Literal["none", "keys", "both"] = "keys"
    """What is normalised: keys by a layer norm (DeepSeek-V3.2), queries and keys by RMS norms (MiniMax M3)."""


class Compression(Section):
    """Keys and values of so many tokens as one entry, beside a window of all (DeepSeek-V4).

    An entry is the mean of its tokens' projections, weighted by the softmax of another projection.
    """

    ratio: Count
    """Tokens an entry."""
    overlap: Flag = False
    """Whether an entry is made of the tokens of the one before too, from projections twice as wide."""


class Attention(Section):
    """Self-attention: MHA, GQA or MQA by its numbers of heads, or MLA."""

    heads: Count
    """How many query heads a layer has."""
    kv_heads: Count
    """How many key and value heads: as many as `heads` (MHA, MLA), one (MQA), or a divisor of `heads` (GQA)."""
    head_dim: Count
    """Width of a head; with `mla` that of a query head, `qk_nope_head_dim + qk_rope_head_dim`."""
    value_dim: Count | None = None
    """Width of a value head, where it is another (MiMo)."""
    qkv_bias: Flag = False
    """Whether the projections of queries, keys and values have a bias; those of MLA have none."""
    output_bias: Flag = False
    """Whether the output projection has a bias."""
    fused_qkv: Flag = False
    """Whether queries, keys and values come of one matrix."""
    qk_norm: Flag = False
    """Whether each head of queries and keys is normalised (Qwen3)."""
    qk_norm_whole: Flag = False
    """Whether all heads of queries, and of keys, are normalised as one vector (OLMo 2, MiniMax M2)."""
    gate: Width = 0
    """Width of the gate on what a head sees: `head_dim`, or 1 (Step 3); 0: no gate."""
    sinks: Flag = False
    """Whether a learned number a head joins the softmax (gpt-oss)."""
    values: Literal["own", "keys", "shared"] = "own"
    """Where values come from: a projection of their own, that of keys (Gemma 4), or keys, kept once (DeepSeek-V4)."""
    q_lora_rank: Count | None = None
    """Width of a latent of queries, where they are compressed (DeepSeek-V4); with `mla` that section has it."""
    o_lora_rank: Count | None = None
    """Width of the latent that each group of heads is projected to before the output (DeepSeek-V4)."""
    o_groups: Count = 1
    """Groups of heads that are projected by themselves."""
    chunk: Count | None = None
    """Tokens of a chunk, where each token sees those of its own chunk alone (Llama 4)."""
    top_k: Count | None = None
    """Keys that a token sees at most, those that an indexer ranks highest; with `compression`, so many entries."""
    indexer: Indexer | None = None
    """What ranks the keys; without one, a layer with `top_k` sees what the layer before it saw (GLM-5.2)."""
    compression: Compression | None = None
    """Entries for several tokens each, which a token sees beside its window."""
    window: Count | None = None
    """Tokens of a sliding window: each sees itself and those before it, so many in all; no window unless given."""
    window_pattern: NonEmpty[tuple[bool, ...]] = (True,)
    """Which layers have the window, repeated over the layers: `[true, false]` is every other one."""
    reuses_kv: Flag = False
    """Whether keys and values are those of the last layer of its kind that has its own, kept once (Gemma 3n)."""
    bidirectional: Flag = False
    """Whether a token sees those behind it too, as patches of an image do."""
    mla: LatentAttention | None = None
    """The widths of multi-head latent attention, where the model has it."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads do not share {self.kv_heads} kv_heads evenly")
        if self.mla and self.head_dim != self.mla.qk_nope_head_dim + self.mla.qk_rope_head_dim:
            raise ValueError("with mla, head_dim is qk_nope_head_dim + qk_rope_head_dim")
        if self.mla and self.kv_heads != self.heads:
            raise ValueError("with mla, kv_heads equals heads")
        if self.heads % self.o_groups:
            raise ValueError(f"{self.heads} heads do not share {self.o_groups} o_groups evenly")
        if self.reuses_kv and (self.mla or self.indexer or self.compression or self.fused_qkv):
            raise ValueError("a layer that reuses_kv has queries alone: no mla, indexer, compression or fused_qkv")
        if self.window and self.chunk:
            raise ValueError("a layer has a window or chunks, not both")
        return self

    @property
    def kind(self) -> Literal["mha", "gqa", "mqa", "mla"]:
        """What the literature calls it."""
        if self.mla:
            return "mla"
        if self.kv_heads == self.heads:
            return "mha"
        return "mqa" if self.kv_heads == 1 else "gqa"

    @property
    def v_head_dim(self) -> int:
        """Width of a value head."""
        return self.mla.v_head_dim if self.mla else self.value_dim or self.head_dim

    @property
    def cached_width(self) -> int:
        """Numbers that one token adds to the KV cache of the layer: the latent and the RoPE key of MLA, else K and V.

        Those of an indexer, and entries of several tokens, are apart.
        """
        if self.mla:
            return self.mla.kv_lora_rank + self.mla.qk_rope_head_dim
        if self.reuses_kv:
            return 0
        return self.kv_heads * (self.head_dim + (0 if self.values == "shared" else self.v_head_dim))

    @property
    def kept(self) -> int | None:
        """Tokens that the cache keeps at most: those of a window or a chunk; None: all."""
        return self.window or self.chunk

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """What cuts the keys that a token sees; from the limit of each on, a further token adds less to these."""
        if self.chunk and not self.compression:
            return (Cut("chunk", self.chunk),)
        top = self.top_k and self.top_k * (self.compression.ratio if self.compression else 1)
        sizes = [size for size in (self.window, top) if size]
        return tuple(Cut("window", size) for size in (sizes if self.compression else sorted(sizes)[:1]))
