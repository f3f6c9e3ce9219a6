"""The weights of each part of a model, by the names that formats have for its matrices (`formats/format.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from simulator.workload.model.attention import Attention, Indexer
from simulator.workload.model.feedforward import Ffn, Moe
from simulator.workload.model.form import Layer, Model
from simulator.workload.model.predictor import Predictor
from simulator.workload.model.recurrent import LinearAttention, StateSpace


class Weights(NamedTuple):
    """The weights of one name in all layers: elements of its matrices, and of norms and biases."""

    part: str  # of `Parameters`
    tensor: str  # as formats name it (`workload/formats/format.py`)
    matrices: float
    vectors: int = 0
    buffers: int = 0  # vectors that are stored and not trained

    def times(self, layers: float, density: float = 1.0) -> Weights:
        """Those of so many layers, where matrices have so many elements that are not zero."""
        matrices, vectors, buffers = self.matrices * density, self.vectors, self.buffers
        return Weights(self.part, self.tensor, layers * matrices, int(layers * vectors), int(layers * buffers))


def weights(model: Model) -> Iterator[Weights]:
    """All weights of a model but those of layers that predict further tokens."""
    hidden = model.hidden
    if isinstance(model, Predictor):
        yield from predicting(model)
        return
    yield Weights("embedding", "embedding", model.vocab * hidden)
    rows = model.patches.positions if model.patches else model.positions.rows
    yield Weights("embedding", "position_embedding", rows * hidden)
    yield from _vision(model)
    yield from _beside(model)
    for layer, number in model.kinds:
        yield from (each.times(number, model.weight_density) for each in of_layer(model, layer))
    yield Weights("norm", "norm", 0.0, model.norm.vectors * (model.norm.final + model.norm.embedding) * hidden)
    if model.streams > 1:  # their mean, weighted by a projection of all of them
        yield Weights("norm", "streams", model.streams**2 * hidden, model.streams + 1)
    head = 0 if model.tied_embeddings else model.vocab * hidden
    yield Weights("lm_head", "lm_head", head, model.lm_head_bias * model.vocab)


def _beside(model: Model) -> Iterator[Weights]:
    """What stands around the layers of a model with embeddings of each layer, or with streams that are predicted."""
    hidden, own, others = model.hidden, model.per_layer, max(model.alternates - 1, 0)
    if own:
        yield Weights("layer_embedding", "embedding", own.vocab * model.layers * own.width)
        yield Weights("ffn", "layer_input.proj", hidden * model.layers * own.width)
        yield Weights("norm", "norm", 0.0, own.width)
    for name in ("alternates.in_proj", "alternates.out_proj"):
        yield Weights("ffn", name, others * hidden * hidden)


def _within(model: Model) -> Iterator[Weights]:
    """What each of their layers has: the gate of its embeddings, coefficients of streams, and a low rank beside."""
    hidden, own, n, rank = model.hidden, model.per_layer, model.alternates, model.laurel_rank
    if own:
        yield Weights("ffn", "layer_input.gate_proj", hidden * own.width)
        yield Weights("ffn", "layer_input.out_proj", hidden * own.width, hidden)
    if n:  # a router, what predicts and what corrects; a norm and a scale
        yield Weights("norm", "alternates.router", n * hidden, 2 * hidden)
        yield Weights("norm", "alternates.coefficients", n**3 + n**2)
    if rank:
        yield Weights("attention", "laurel.in_proj", hidden * rank)
        yield Weights("attention", "laurel.out_proj", hidden * rank, hidden)


def _vision(model: Model) -> Iterator[Weights]:
    """The projection of an image's patches, and what hands them to a language model."""
    hidden, patches, projector = model.hidden, model.patches, model.projector
    if patches:
        vectors = (patches.bias + patches.class_token) * hidden
        yield Weights("vision", "patch_embedding", patches.numbers * hidden, vectors)
    if projector:
        merged = projector.width(hidden)
        norm = {"none": 0, "patch": hidden, "merged": merged}[projector.norm]
        vectors = (1 + projector.norm_bias) * (norm + projector.taps * merged)
        yield Weights("vision", "projector.norm", 0.0, vectors)
        for n_in, n_out in projector.matrices(hidden):
            each = Weights("vision", "projector", n_in * n_out, projector.bias * n_out)
            yield each.times(1 + projector.taps)


def of_layer(model: Model, layer: Layer) -> Iterator[Weights]:
    """Those of one layer: its mixers, its FFN or experts, its norms."""
    hidden, norm = model.hidden, model.norm
    for mixer in layer.mixers:
        if isinstance(mixer, Attention):
            yield from _attention(mixer, hidden)
            yield Weights("norm", "norm", 0.0, norm.vectors * _inner_norms(mixer))
        elif isinstance(mixer, LinearAttention):
            yield from _linear(mixer, hidden)
        else:
            yield from _space(mixer, hidden)
    if isinstance(layer.ffn, Moe):
        yield from _moe(layer.ffn, hidden)
    elif layer.ffn:
        yield from ffn_weights("ffn", "ffn", layer.ffn, hidden)
    yield from _within(model)
    inner = layer.ffn.norms if isinstance(layer.ffn, Moe) else 0
    number = norm.per_layer * layer.parts / 2 + inner
    yield Weights("norm", "norm", 0.0, int(norm.vectors * number * hidden))
    if model.streams > 1:  # what each part reads, what it writes, and how the streams mix
        mixtures = (2 + model.streams) * model.streams
        per_part = Weights("norm", "streams", mixtures * model.streams * hidden, mixtures + 3)
        yield per_part.times(layer.parts)


def predicting(model: Model) -> Iterator[Weights]:
    """Those of the layers that predict further tokens (DeepSeek-V3, arXiv 2412.19437, section 2.2).

    Each joins a hidden state and the embedding of the next token, both normalised, in a projection of both, and goes
    through one more layer, as the last, and a norm; embedding and head are those of the model.
    """
    if model.predict_layers:
        hidden, layer = model.hidden, model.decoder[-1]
        for each in (
            *of_layer(model, layer),
            Weights("attention", "predict_proj", 2 * hidden * hidden),
            Weights("norm", "norm", 0.0, 3 * model.norm.vectors * hidden),
        ):
            yield each.times(model.predict_layers)


def _attention(a: Attention, hidden: int) -> Iterator[Weights]:
    """Projections of attention, and of what chooses or compresses its keys."""
    for name, (n_in, n_out) in projections(a, hidden).items():
        biased = a.mla is None and not name.startswith(("indexer", "compressor")) and name not in ("o", "o_a", "o_b")
        bias = n_out if (biased and a.qkv_bias) or (name in ("o", "o_b") and a.output_bias) else 0
        yield Weights("attention", f"attention.{name}_proj", n_in * n_out, bias)
    vectors = a.heads * a.sinks
    if a.compression:  # a bias a place of an entry, and a norm; and so for the keys of the indexer
        wide = 1 + a.compression.overlap
        widths = (a.head_dim, a.indexer.head_dim) if a.indexer else (a.head_dim,)
        vectors += sum(width * (wide * a.compression.ratio + 1) for width in widths)
    elif a.indexer:
        vectors += a.indexer.head_dim * {"none": 0, "keys": 2, "both": 2}[a.indexer.norm]
    yield Weights("attention", "attention.vectors", 0.0, vectors)


def projections(a: Attention, hidden: int) -> dict[str, tuple[int, int]]:
    """Widths, in and out, of the matrices of attention, by name."""
    q, kv, v = a.heads * a.head_dim, a.kv_heads * a.head_dim, a.kv_heads * a.v_head_dim
    rank = a.mla.q_lora_rank if a.mla else a.q_lora_rank
    widths = {"q_a": (hidden, rank), "q_b": (rank, q)} if rank else {"q": (hidden, q)}
    if a.mla:
        made = a.heads * (a.mla.qk_nope_head_dim + a.v_head_dim)
        widths |= {"kv_a": (hidden, a.cached_width), "kv_b": (a.mla.kv_lora_rank, made)}
    elif a.reuses_kv:
        pass
    elif a.fused_qkv:
        widths = {"qkv": (hidden, q + kv + v)}
    else:
        widths |= {"k": (hidden, kv), "v": (hidden, v)} if a.values == "own" else {"k": (hidden, kv)}
    if a.gate:
        widths["gate"] = (hidden, a.heads * a.gate)
    seen = a.heads * a.v_head_dim
    if a.o_lora_rank:  # each group of heads by itself, then all latents together
        latents = a.o_groups * a.o_lora_rank
        widths |= {"o_a": (seen // a.o_groups, latents), "o_b": (latents, hidden)}
    else:
        widths["o"] = (seen, hidden)
    if a.compression:
        width = a.head_dim * (1 + a.compression.overlap)
        widths |= {"compressor_kv": (hidden, width), "compressor_gate": (hidden, width)}
    return widths | (_indexer(a, a.indexer, hidden, rank) if a.indexer else {})


def _indexer(a: Attention, indexer: Indexer, hidden: int, rank: int | None) -> dict[str, tuple[int, int]]:
    """Those of an indexer: its queries come of the latent of queries where there is one."""
    widths = {"indexer_q": (rank or hidden, indexer.heads * indexer.head_dim)}
    if a.compression:
        width = indexer.head_dim * (1 + a.compression.overlap)
        widths |= {"indexer_k": (hidden, width), "indexer_k_gate": (hidden, width)}
    else:
        widths |= {"indexer_k": (hidden, indexer.head_dim)}
    return widths | ({"indexer_weights": (hidden, indexer.heads)} if indexer.weighted else {})


def _inner_norms(a: Attention) -> int:
    """Widths of one layer's norms inside attention: on queries and keys (Qwen3), on latents (MLA)."""
    if a.mla:
        return (a.mla.q_lora_rank or 0) + a.mla.kv_lora_rank
    shared = a.head_dim if a.values == "shared" else 0  # one norm on what is both keys and values
    joint = (a.heads + a.kv_heads) * a.head_dim if a.qk_norm_whole else 0
    return (a.q_lora_rank or 0) + shared + (2 - a.reuses_kv) * a.qk_norm * a.head_dim + joint


def _linear(a: LinearAttention, hidden: int) -> Iterator[Weights]:
    """Projections, the convolution's taps, the decay's numbers and the norm of linear attention."""
    for name, n_in, n_out in linear_projections(a, hidden):
        yield Weights("recurrent", f"linear.{name}_proj", n_in * n_out)
    norm = a.value_dim if a.norm == "head" else a.value_width
    steps = (a.value_heads + (a.key_width if a.decay_rank else a.value_heads)) if a.rule == "delta" else 0
    yield Weights("recurrent", "linear.vectors", 0.0, a.conv * a.mixed_width + steps + norm)


def linear_projections(a: LinearAttention, hidden: int) -> Iterator[tuple[str, int, int]]:
    """Name and widths, in and out, of each projection of linear attention."""
    yield "qkv", hidden, a.mixed_width
    if a.gate and a.gate_rank:
        yield "gate_a", hidden, a.gate_rank
        yield "gate_b", a.gate_rank, a.value_width
    elif a.gate:
        yield "gate", hidden, a.value_width
    if a.rule == "delta":
        yield "beta", hidden, a.value_heads
        if a.decay_rank:
            yield "decay_a", hidden, a.decay_rank
            yield "decay_b", a.decay_rank, a.key_width
        else:
            yield "decay", hidden, a.value_heads
    yield "o", a.value_width, hidden


def _space(s: StateSpace, hidden: int) -> Iterator[Weights]:
    """Projections, the convolution's taps, the numbers of the state's decay and the norms of a state space."""
    for name, n_in, n_out in space_projections(s, hidden):
        yield Weights("recurrent", f"space.{name}_proj", n_in * n_out, s.bias * n_out * (name in ("in", "out")))
    vectors = (s.conv + s.conv_bias) * s.mixed_width
    if s.kind == "mamba2":
        vectors += 3 * (s.heads or 0) + s.norm * s.inner
    elif s.kind == "mamba":  # a decay for each number of the state, a passage, a bias of the step size
        vectors += s.inner * s.state + 2 * s.inner + s.norm * ((s.dt_rank or 0) + 2 * s.state)
    yield Weights("recurrent", "space.vectors", 0.0, vectors)


def space_projections(s: StateSpace, hidden: int) -> Iterator[tuple[str, int, int]]:
    """Name and widths, in and out, of each projection of a state space."""
    yield "in", hidden, s.in_width
    if s.kind == "mamba":
        assert s.dt_rank  # as the form checks
        yield "x", s.inner, s.dt_rank + 2 * s.state
        yield "dt", s.dt_rank, s.inner
    yield "out", s.inner, hidden


def _moe(moe: Moe, hidden: int) -> Iterator[Weights]:
    """Experts, router, shared experts, and the way into a latent and back."""
    yield from (
        each.times(moe.experts) for each in ffn_weights("experts", "moe.experts", moe.expert, moe.latent or hidden)
    )
    buffers = moe.balance_bias * moe.experts
    yield Weights("router", "moe.router", moe.experts * hidden, moe.router_bias * moe.experts + moe.vectors, buffers)
    if moe.latent:
        yield Weights("ffn", "moe.latent_in_proj", hidden * moe.latent)
        yield Weights("ffn", "moe.latent_out_proj", hidden * moe.latent)
    if moe.shared:
        yield from ffn_weights("ffn", "moe.shared", moe.shared, hidden)
        yield Weights("ffn", "moe.shared.gate", moe.shared_gate * hidden)


def ffn_weights(part: str, name: str, ffn: Ffn, hidden: int) -> Iterator[Weights]:
    """One FFN: up and gate have biases of the inner width, down one of the outer."""
    for matrix in ("up", "gate", "down") if ffn.matrices == 3 else ("up", "down"):
        bias = hidden if matrix == "down" else ffn.intermediate
        further = ffn.vectors if matrix == "up" else 0
        yield Weights(part, f"{name}.{matrix}_proj", hidden * ffn.intermediate, ffn.bias * bias + further)
