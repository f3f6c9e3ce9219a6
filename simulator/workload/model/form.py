"""The shape of a decoder-only transformer, as our model YAML states it."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Literal, NamedTuple, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from simulator.config.choose import choose
from simulator.config.section import Section
from simulator.units import Fraction, Size
from simulator.workload.batch import Cut
from simulator.workload.formats.dtypes import Dtype
from simulator.workload.formats.format import TENSORS
from simulator.workload.formats.named import FORMATS, FormatName, KvFormat
from simulator.workload.model.attention import Attention
from simulator.workload.model.feedforward import Ffn, Moe
from simulator.workload.model.folding import folded
from simulator.workload.model.per_layer import PerLayer
from simulator.workload.model.recurrent import LinearAttention, StateSpace
from simulator.workload.model.tower import Patches, Projector
from simulator.workload.model.types import Count, Flag, Width

MOST_LAYERS = 10_000
"""Of the deepest model."""

MOST_STRETCHES = 64
"""Of layers that are alike, or of a pattern of them that repeats: the time of an estimate grows with these."""


class Norm(Section):
    """Normalisation."""

    kind: Literal["rms", "layer"]
    """RMS norm or layer norm."""
    bias: Flag = False
    """Whether a norm has a bias beside its weight."""
    weight: Flag = True
    """Whether a norm has a weight a channel (not so in OLMo)."""
    per_layer: Literal[1, 2, 4] = 2
    """Norms of a layer: 2 before attention and FFN, 1 for both of a parallel layer, 4 before and after each."""
    embedding: Flag = False
    """Whether a norm follows the embedding (BLOOM)."""
    final: Flag = True
    """Whether a norm stands behind the last layer."""

    @property
    def vectors(self) -> int:
        """How many vectors of its width a norm has."""
        return self.weight + self.bias


class Positions(Section):
    """Where a token's position enters."""

    kind: Literal["rope", "alibi", "relative", "learned", "none"]
    """RoPE on queries and keys, a bias on scores (`alibi`, `relative`), a learned embedding, or nothing (Jamba)."""
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

    mixed: tuple[tuple[str, FormatName, Fraction], ...] = ()
    """Matrices in other formats, before all else: `[name, format, share of the layers]`, names as of `wide`."""

    @model_validator(mode="after")
    def _fit_the_format(self) -> Self:
        if self.group and FORMATS[self.weights].block.group is None:
            raise ValueError(f"weights in {self.weights} have no groups: group {self.group} says nothing")
        named = [*(pattern for pattern, _ in self.wide or ()), *(pattern for pattern, _, _ in self.mixed)]
        for pattern in named:
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


Mixer: TypeAlias = Attention | LinearAttention | StateSpace


class Layer(NamedTuple):
    """What one decoder layer is made of: what mixes tokens, then what a token goes through by itself.

    `kind` names it: the names of its parts (`linear moe`); of a model without a pattern `dense` or `moe`, and `-window`
    behind it where it does not see everything. Several mixers read the same input, and are added.
    """

    kind: str
    mixers: tuple[Mixer, ...]
    ffn: Ffn | Moe | None

    @property
    def moe(self) -> bool:
        """Whether it has a mixture of experts."""
        return isinstance(self.ffn, Moe)

    @property
    def window(self) -> int | None:
        """Tokens of its sliding window, where it has one."""
        return self.attention.window if self.attention else None

    @property
    def attention(self) -> Attention | None:
        """Its attention, where it has one."""
        return next((mixer for mixer in self.mixers if isinstance(mixer, Attention)), None)

    @property
    def parts(self) -> int:
        """How many parts it has, each with its norms and its residual."""
        return bool(self.mixers) + (self.ffn is not None)


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
    vocab: Width = 0
    """How many tokens the vocabulary has; a tower of images, which has `patches`, has none."""
    max_context: Count
    """The longest context, in tokens, that the model was made for."""
    attention: Attention | None = None
    """The self-attention of a layer."""
    attentions: dict[str, Attention] = Field(default_factory=dict)
    """Attention of other shapes, by the names that `pattern` has for them."""
    linear: LinearAttention | None = None
    """The linear attention of a layer; needs a `pattern`."""
    space: StateSpace | None = None
    """The state space of a layer; needs a `pattern`."""
    ffn: Ffn | None = None
    """The dense FFN of a layer; a model needs it unless all layers are mixtures of experts."""
    ffns: dict[str, Ffn] = Field(default_factory=dict)
    """Dense FFNs of other widths, by the names that `pattern` has for them."""
    moe: Moe | None = None
    """The mixture of experts, where the model has one."""
    pattern: tuple[str, ...] = ()
    """What layers are made of, repeated over them: one or two parts by their keys, such as `linear moe` or `space`;
    `attention+space ffn`: both mix tokens from one input, and are added (Falcon-H1)."""
    patches: Patches | None = None
    """What images are cut into, of a tower of images in place of a model of text."""
    projector: Projector | None = None
    """What hands the patches of a tower to a language model."""
    norm: Norm
    """The norms of the model."""
    positions: Positions
    """How positions of tokens enter."""
    parallel: Flag = False
    """Whether attention and FFN of a layer read the same input (Falcon, Phi)."""
    per_layer: PerLayer | None = None
    """Embeddings that each layer has of its own (Gemma 3n)."""
    alternates: Width = 0
    """Copies of the residual stream of which a layer computes one and predicts the others (AltUp); 0: none."""
    laurel_rank: Width = 0
    """Width of a product of two matrices beside attention (LAuReL, arXiv 2411.07501); 0: none."""
    streams: Count = 1
    """Copies of the residual stream that layers mix (hyper-connections, arXiv 2409.19606; DeepSeek-V4)."""
    predict_layers: Width = 0
    """Layers that predict further tokens, each as the last and a projection; counted apart, and not run."""
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
    not_modelled: tuple[str, ...] = ()
    """What a config says on which nothing here depends."""

    def __hash__(self) -> int:
        """Of the figures that most often differ; tables have no hash."""
        return hash((self.name, self.layers, self.hidden, self.attention, self.moe, self.dtypes))

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if (self.vocab == 0) != (self.patches is not None):
            raise ValueError("needs a vocab, or patches of images in place of it")
        if self.projector and not self.patches:
            raise ValueError("a projector needs patches of images")
        if self.parallel and (self.per_layer or self.alternates or self.laurel_rank):
            raise ValueError("a parallel layer has no per_layer, alternates or laurel_rank")
        if not self.pattern:
            self._without_pattern()
        elif self.parallel and any(layer.parts != 2 for layer, _ in self.kinds):
            raise ValueError("parallel layers have two parts each")
        if self.norm.per_layer == 1 and not self.parallel:
            raise ValueError("norm.per_layer 1 needs parallel: true")
        stretches = len(folded(self.decoder))
        if stretches > MOST_STRETCHES:
            expected = f"at most {MOST_STRETCHES} that follow one another"
            raise ValueError(f"found {stretches} stretches of different layers, expected {expected}")
        if self.parallel and self.norm.per_layer == 4:
            raise ValueError("a parallel layer has 1 or 2 norms, not 4")
        return self

    def _without_pattern(self) -> None:
        """Check that all layers have an attention, and an FFN or experts."""
        if self.attention is None:
            raise ValueError("needs an attention section, or a pattern of other parts")
        if self.linear or self.space or self.attentions or self.ffns:
            raise ValueError("needs a pattern, which says what layers have these parts")
        moe_layers = [layer.moe for layer in self.decoder]
        if self.ffn is None and not all(moe_layers):
            raise ValueError("needs an ffn section: not all layers are mixtures of experts")
        if self.moe and not any(moe_layers):
            raise ValueError(f"moe.first_layer {self.moe.first_layer} is beyond the {self.layers} layers")

    @cached_property
    def decoder(self) -> tuple[Layer, ...]:
        """The decoder layers, first to last."""
        if self.pattern:
            kinds = {names: self._layer(names) for names in dict.fromkeys(self.pattern)}
            return tuple(kinds[self.pattern[i % len(self.pattern)]] for i in range(self.layers))
        assert self.attention  # as `_without_pattern` checks
        pattern, moe = self.attention.window_pattern, self.moe
        plain = self.attention.model_copy(update={"window": None})
        layers = []
        for i in range(self.layers):
            attention = self.attention if pattern[i % len(pattern)] else plain
            mixed = moe is not None and i >= moe.first_layer and (i - moe.first_layer) % moe.every == 0
            kind = ("moe" if mixed else "dense") + ("-window" if attention.window else "")
            layers.append(Layer(kind, (attention,), moe if mixed else self.ffn))
        return tuple(layers)

    def _layer(self, names: str) -> Layer:
        """The layer that a text of `pattern` describes."""
        mixers = {"attention": self.attention, "linear": self.linear, "space": self.space, **self.attentions}
        ffns = {"ffn": self.ffn, "moe": self.moe, **self.ffns}
        mixed: tuple[Mixer, ...] = ()
        ffn = None
        for name in names.split():
            several = tuple(part for each in name.split("+") if (part := mixers.get(each)))
            if len(several) == len({type(part) for part in several}) == name.count("+") + 1 and not (mixed or ffn):
                mixed = several
            elif ffns.get(name) and ffn is None:
                ffn = ffns[name]
            else:
                known = [key for key, part in {**mixers, **ffns}.items() if part]
                raise ValueError(
                    f"pattern: found '{name}' in '{names}', expected one of {', '.join(known)}: what mixes tokens "
                    "(or several of different sections, joined by '+'), then an FFN or experts"
                )
        return Layer(names, mixed, ffn)

    @cached_property
    def kinds(self) -> tuple[tuple[Layer, int], ...]:
        """The different layers, and how many there are of each."""
        return tuple(Counter(self.decoder).items())

    @cached_property
    def all_attention(self) -> tuple[Attention, ...]:
        """The different attentions of its layers."""
        return tuple(dict.fromkeys(layer.attention for layer, _ in self.kinds if layer.attention))

    @cached_property
    def cuts(self) -> tuple[Cut, ...]:
        """What cuts the keys that a token sees in some of its layers, each once."""
        return tuple(dict.fromkeys(cut for attention in self.all_attention for cut in attention.cuts))
