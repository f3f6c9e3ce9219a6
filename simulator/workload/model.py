"""The shape of a decoder-only transformer, as our model YAML states it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, model_validator

from simulator import units
from simulator.config.choose import choose
from simulator.config.section import NonEmpty, Section
from simulator.units import Fraction, Size
from simulator.workload.dtypes import Dtype
from simulator.workload.folding import folded
from simulator.workload.format import TENSORS
from simulator.workload.formats import FORMATS, FormatName, KvFormat

MOST_LAYERS = 10_000
"""Of the deepest model."""

MOST_STRETCHES = 64
"""Of layers that are alike, or of a pattern of them that repeats: the time of an estimate grows with these."""

Count = Annotated[units.Count, Field(strict=True)]
Width = Annotated[units.Width, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Activation = Literal["silu", "gelu", "relu", "relu2"]


class LatentAttention(Section):
    """DeepSeek's multi-head latent attention (MLA): keys and values are kept as one compressed latent a token.

    `q_lora_rank` is absent where queries are not compressed (DeepSeek-V2-Lite). A query or key head is a part without
    position (`qk_nope_head_dim`) and one with RoPE (`qk_rope_head_dim`), the latter one key for all heads.
    Source: DeepSeek-V2, arXiv 2405.04434, section 2.1.
    """

    kv_lora_rank: Count
    q_lora_rank: Count | None = None
    qk_nope_head_dim: Count
    qk_rope_head_dim: Count
    v_head_dim: Count


class Attention(Section):
    """Self-attention. MHA, GQA or MQA follows from `kv_heads`; MLA has a section of its own.

    With MLA, `kv_heads` is `heads` and `head_dim` the width of a query head (`qk_nope_head_dim + qk_rope_head_dim`).
    A sliding `window` of W lets a token see itself and the W - 1 before it. `window_pattern` says which layers have
    the window; it is repeated over the layers (`[true, false]`: every other layer).
    """

    heads: Count
    kv_heads: Count
    head_dim: Count
    qkv_bias: Flag = False
    output_bias: Flag = False
    fused_qkv: Flag = False
    qk_norm: Flag = False
    window: Count | None = None
    window_pattern: NonEmpty[tuple[bool, ...]] = (True,)
    mla: LatentAttention | None = None

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads do not share {self.kv_heads} kv_heads evenly")
        if self.mla and self.head_dim != self.mla.qk_nope_head_dim + self.mla.qk_rope_head_dim:
            raise ValueError("with mla, head_dim is qk_nope_head_dim + qk_rope_head_dim")
        if self.mla and self.kv_heads != self.heads:
            raise ValueError("with mla, kv_heads equals heads")
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
        return self.mla.v_head_dim if self.mla else self.head_dim


class Ffn(Section):
    """A feed-forward network: 2 matrices (up, down), or 3 where a gate multiplies the up projection."""

    intermediate: Count
    matrices: Literal[2, 3]
    activation: Activation
    bias: Flag = False


class Moe(Section):
    """A mixture of experts in place of the FFN: in layers `first_layer`, `first_layer + every`, ...

    `intermediate` is the width of one routed expert; `shared_intermediate` that of all shared experts together, which
    see every token. `router_bias` is one number an expert; `shared_gate` a gate of one output for the shared experts.
    """

    experts: Count
    top_k: Count
    intermediate: Count
    matrices: Literal[2, 3]
    activation: Activation
    shared_intermediate: Width = 0
    shared_gate: Flag = False
    router_bias: Flag = False
    first_layer: Width = 0
    every: Count = 1

    @model_validator(mode="after")
    def _top_k_fits(self) -> Self:
        if self.top_k > self.experts:
            raise ValueError(f"top_k {self.top_k} of {self.experts} experts")
        return self

    @property
    def expert(self) -> Ffn:
        """One routed expert."""
        return Ffn(intermediate=self.intermediate, matrices=self.matrices, activation=self.activation)

    @property
    def shared(self) -> Ffn | None:
        """The shared experts as one FFN."""
        if not self.shared_intermediate:
            return None
        return Ffn(intermediate=self.shared_intermediate, matrices=self.matrices, activation=self.activation)


class Norm(Section):
    """Normalisation: RMS or layer norm, with or without a bias beside the weight.

    `per_layer` is 2 (before attention, before the FFN), 1 (one for both branches of a parallel layer) or 4 (after
    them too). A final norm before the head is always there; `embedding` is one after the embedding (BLOOM).
    """

    kind: Literal["rms", "layer"]
    bias: Flag = False
    per_layer: Literal[1, 2, 4] = 2
    embedding: Flag = False


class Positions(Section):
    """Where a token's position enters: RoPE on queries and keys, a bias on scores, or a learned embedding.

    `count` and `offset` size the learned table (OPT keeps two rows before the first position); `rotary_dim` is the
    part of a head that RoPE turns, where that is not all of it.
    """

    kind: Literal["rope", "alibi", "relative", "learned"]
    count: Count | None = None
    offset: Width = 0
    rotary_dim: Count | None = None

    @model_validator(mode="after")
    def _table_is_sized(self) -> Self:
        if (self.kind == "learned") != (self.count is not None):
            raise ValueError("learned positions need a count, and no others have one")
        return self

    @property
    def rows(self) -> int:
        """Rows of the learned table."""
        return (self.count or 0) + self.offset


def _in_all_layers(value: object) -> object:
    return [(item, 1.0) if isinstance(item, str) else item for item in value] if isinstance(value, list) else value


Wide = Annotated[
    tuple[tuple[str, Fraction], ...],
    BeforeValidator(_in_all_layers, json_schema_input_type=list[str | tuple[str, Fraction]]),
]


class Dtypes(Section):
    """Formats by operand class: of weights one of `workload/formats.py`, of keys and values one of `KV` there.

    `group` replaces how many weights of the format share a scale. `wide` replaces what it leaves wide: names of
    matrices (`*`: any text), each in all layers or with the share of the layers in which it is so. `compute` is the
    format of products with weights that are not wide; the format's own, or activations', unless it is given.
    """

    weights: FormatName = "bf16"
    activations: Dtype = "bf16"
    kv: KvFormat = "bf16"
    compute: Dtype | None = None
    group: Count | None = None
    wide: Wide | None = None

    @model_validator(mode="after")
    def _fit_the_format(self) -> Self:
        if self.group and FORMATS[self.weights].block.group is None:
            raise ValueError(f"weights in {self.weights} have no groups: group {self.group} says nothing")
        for pattern, _ in self.wide or ():
            if not any(fnmatchcase(tensor, pattern) for tensor in TENSORS):
                choose(pattern, TENSORS, "wide")
        return self

    @property
    def products(self) -> Dtype:
        """What products with weights compute in."""
        return self.compute or FORMATS[self.weights].compute or self.activations


class Published(Section):
    """What the model's makers say of it, to compare with: `rounded` where they print a round figure only."""

    parameters: Annotated[int, Field(gt=0, lt=2**63, strict=True)]
    rounded: Flag = False


class Layer(NamedTuple):
    """What tells one decoder layer from another: a mixture of experts or a dense FFN, and its window."""

    moe: bool
    window: int | None

    @property
    def kind(self) -> str:
        """`dense` or `moe`, and `-window` behind it where it does not see everything."""
        return ("moe" if self.moe else "dense") + ("-window" if self.window else "")


class Model(Section):
    """A decoder-only transformer. `parallel` layers feed attention and FFN from the same input (Falcon, Phi).

    `weight_density` is the part of the elements of the decoder layers' matrices that is not zero, of a sparse model.
    `weight_scales` are bytes kept beside each weight that is not wide, more than its format has (4 B for 32: 0.125).
    """

    name: str
    family: str
    layers: Annotated[Count, Field(le=MOST_LAYERS)]
    hidden: Count
    vocab: Count
    max_context: Count
    attention: Attention
    ffn: Ffn | None = None
    moe: Moe | None = None
    norm: Norm
    positions: Positions
    parallel: Flag = False
    tied_embeddings: Flag = False
    lm_head_bias: Flag = False
    weight_density: Annotated[float, Field(gt=0, le=1, strict=True)] = 1.0
    weight_scales: Size = 0.0
    dtypes: Dtypes = Dtypes()
    published: Published | None = None
    source: str = ""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        kinds = {layer.moe for layer in self.decoder}
        if False in kinds and self.ffn is None:
            raise ValueError("needs an ffn section: not all layers are mixtures of experts")
        if self.moe and True not in kinds:
            raise ValueError(f"moe.first_layer {self.moe.first_layer} is beyond the {self.layers} layers")
        if self.norm.per_layer == 1 and not self.parallel:
            raise ValueError("norm.per_layer 1 needs parallel: true")
        stretches = len(folded(self.decoder))
        if stretches > MOST_STRETCHES:
            expected = f"at most {MOST_STRETCHES} that follow one another"
            raise ValueError(f"found {stretches} stretches of different layers, expected {expected}")
        if self.parallel and self.norm.per_layer == 4:
            raise ValueError("a parallel layer has 1 or 2 norms, not 4")
        return self

    @cached_property
    def decoder(self) -> tuple[Layer, ...]:
        """The decoder layers, first to last."""
        pattern, moe = self.attention.window_pattern, self.moe
        return tuple(
            Layer(
                moe=moe is not None and i >= moe.first_layer and (i - moe.first_layer) % moe.every == 0,
                window=self.attention.window if pattern[i % len(pattern)] else None,
            )
            for i in range(self.layers)
        )
