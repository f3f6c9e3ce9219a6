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
from simulator.workload.formats.dtypes import Dtype
from simulator.workload.formats.format import TENSORS
from simulator.workload.formats.named import FORMATS, FormatName, KvFormat
from simulator.workload.model.folding import folded

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


class Attention(Section):
    """Self-attention: MHA, GQA or MQA by its numbers of heads, or MLA."""

    heads: Count
    """How many query heads a layer has."""
    kv_heads: Count
    """How many key and value heads: as many as `heads` (MHA, MLA), one (MQA), or a divisor of `heads` (GQA)."""
    head_dim: Count
    """Width of a head; with `mla` that of a query head, `qk_nope_head_dim + qk_rope_head_dim`."""
    qkv_bias: Flag = False
    """Whether the projections of queries, keys and values have a bias; those of MLA have none."""
    output_bias: Flag = False
    """Whether the output projection has a bias."""
    fused_qkv: Flag = False
    """Whether queries, keys and values come of one matrix."""
    qk_norm: Flag = False
    """Whether each head of queries and keys is normalised (Qwen3)."""
    window: Count | None = None
    """Tokens of a sliding window: each sees itself and those before it, so many in all; no window unless given."""
    window_pattern: NonEmpty[tuple[bool, ...]] = (True,)
    """Which layers have the window, repeated over the layers: `[true, false]` is every other one."""
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
    """A dense feed-forward network (FFN)."""

    intermediate: Count
    """Width of the inner layer."""
    matrices: Literal[2, 3]
    """How many matrices: 2 are up and down, 3 have a gate that multiplies what goes up."""
    activation: Activation
    """The activation function."""
    bias: Flag = False
    """Whether its matrices have biases."""


class Moe(Section):
    """A mixture of experts in place of the FFN."""

    experts: Count
    """How many routed experts a layer has."""
    top_k: Count
    """How many of them each token goes to."""
    intermediate: Count
    """Width of the inner layer of one routed expert."""
    matrices: Literal[2, 3]
    """How many matrices an expert has: 2 are up and down, 3 have a gate that multiplies what goes up."""
    activation: Activation
    """The activation function of an expert."""
    shared_intermediate: Width = 0
    """Width of the inner layer of all shared experts together, which see every token; 0: there are none."""
    shared_gate: Flag = False
    """Whether a gate of one output a token multiplies what the shared experts make."""
    router_bias: Flag = False
    """Whether the router has a bias, one number an expert."""
    first_layer: Width = 0
    """The first layer with experts, counted from 0; those before it have the dense FFN."""
    every: Count = 1
    """From the first on, every so many-th layer has experts; those between have the dense FFN."""

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
    """Normalisation. A final norm before the head is always there."""

    kind: Literal["rms", "layer"]
    """RMS norm or layer norm."""
    bias: Flag = False
    """Whether a norm has a bias beside its weight."""
    per_layer: Literal[1, 2, 4] = 2
    """Norms of a layer: 2 before attention and FFN, 1 for both of a parallel layer, 4 before and after each."""
    embedding: Flag = False
    """Whether a norm follows the embedding (BLOOM)."""


class Positions(Section):
    """Where a token's position enters."""

    kind: Literal["rope", "alibi", "relative", "learned"]
    """RoPE on queries and keys, a bias on scores (`alibi`, `relative`), or a learned embedding."""
    count: Count | None = None
    """Positions of a learned table, which needs it; no other kind has one."""
    offset: Width = 0
    """Rows of the learned table before the first position (OPT has two)."""
    rotary_dim: Count | None = None
    """The width of a head that RoPE turns, where that is not all of it."""

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
    """How the operands of a model are stored, and what computes with its weights."""

    weights: FormatName = "bf16"
    """The format of the weights that are not wide."""
    activations: Dtype = "bf16"
    """The format of activations; what stays wide is as wide, 16 bits at least."""
    kv: KvFormat = "bf16"
    """The format of the KV cache."""
    compute: Dtype | None = None
    """What products with weights that are not wide compute in; unless given as the format of weights has it."""
    group: Count | None = None
    """How many weights share a scale, in place of the format's own number."""
    wide: Wide | None = None
    """Matrices that stay wide, in place of the format's: names (`*`: any text), or `[name, share of the layers]`."""

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
    """What the model's makers say of it, to compare with."""

    parameters: Annotated[int, Field(gt=0, lt=2**63, strict=True)]
    """How many parameters the model has."""
    rounded: Flag = False
    """Whether that is a round figure."""


class Layer(NamedTuple):
    """What tells one decoder layer from another: a mixture of experts or a dense FFN, and its window."""

    moe: bool
    window: int | None

    @property
    def kind(self) -> str:
        """`dense` or `moe`, and `-window` behind it where it does not see everything."""
        return ("moe" if self.moe else "dense") + ("-window" if self.window else "")


class Model(Section):
    """A decoder-only transformer. A Hugging Face `config.json` does wherever a model is asked for."""

    name: str
    """What the model is called in results."""
    aliases: tuple[str, ...] = ()
    """Other names under which measured data know it; not of a model that extends it."""
    family: str
    """The family of the architecture, which names the lists of what PyTorch dispatches (`workloads/eager/`)."""
    layers: Annotated[Count, Field(le=MOST_LAYERS)]
    """How many decoder layers the model has."""
    hidden: Count
    """Width of the hidden state."""
    vocab: Count
    """How many tokens the vocabulary has."""
    max_context: Count
    """The longest context, in tokens, that the model was made for."""
    attention: Attention
    """The self-attention of a layer."""
    ffn: Ffn | None = None
    """The dense FFN of a layer; a model needs it unless all layers are mixtures of experts."""
    moe: Moe | None = None
    """The mixture of experts, where the model has one."""
    norm: Norm
    """The norms of the model."""
    positions: Positions
    """How positions of tokens enter."""
    parallel: Flag = False
    """Whether attention and FFN of a layer read the same input (Falcon, Phi)."""
    tied_embeddings: Flag = False
    """Whether the head is the embedding table."""
    lm_head_bias: Flag = False
    """Whether the head has a bias."""
    weight_density: Annotated[float, Field(gt=0, le=1, strict=True)] = 1.0
    """The share of the elements of the decoder layers' matrices that is not zero, of a sparse model."""
    weight_scales: Size = 0.0
    """What is kept beside each weight that is not wide, more than its format has: 4 B for 32 weights are 0.125."""
    dtypes: Dtypes = Dtypes()
    """How operands are stored."""
    published: Published | None = None
    """What the makers say of the model."""
    source: str = ""
    """Where the shape comes from."""

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
