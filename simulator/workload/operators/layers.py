"""The blocks of a decoder-only transformer: embedding, decoder layer, head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulator.core.resource import Quantity
from simulator.workload.batch import Batch
from simulator.workload.formats.dtypes import INDEX_BYTES
from simulator.workload.model.attention import Attention
from simulator.workload.model.feedforward import Moe
from simulator.workload.model.form import Layer, Mixer
from simulator.workload.model.predictor import Predictor
from simulator.workload.model.recurrent import LinearAttention, StateSpace
from simulator.workload.operators.attention import attention
from simulator.workload.operators.beside import add_layer_input, correct, enter, leave, predict, with_laurel
from simulator.workload.operators.feedforward import feedforward, mixture
from simulator.workload.operators.operator import FLOPS_PER_ELEMENT, Operand
from simulator.workload.operators.recurrent import linear_attention, state_space
from simulator.workload.operators.tape import Tape, Tensor
from simulator.workload.routing.distinct import Routing


def embedding(tape: Tape, tokens: Quantity) -> Tensor:
    """Looks up a row of the table for each token (a row that occurs twice is read twice), and adds its position."""
    model = tape.model
    elements = tokens * model.hidden
    ids = Tensor(None, tokens * INDEX_BYTES)

    def read(table: str) -> dict[Operand, Quantity]:
        return {"weight": elements * tape.stored.matrix(table).element_bytes}

    x = tape.record(
        "embedding", "embedding", ids, flops=0.0, output=elements * tape.bytes, operands=read("embedding"),
        weights=elements, split="rows",
    )  # fmt: skip
    tape.all_reduce(x)
    if model.positions.kind == "learned":
        x = tape.record(
            "position_embedding", "embedding", x, flops=elements * FLOPS_PER_ELEMENT["bias"],
            output=elements * tape.bytes, operands=read("position_embedding"), weights=elements,
        )  # fmt: skip
    x = enter(tape, x, tokens)
    if isinstance(model, Predictor):
        return _joined(tape, x, tokens)
    return tape.norm("embedding_norm", x, rows=tokens, width=model.hidden) if model.norm.embedding else x


def _joined(tape: Tape, x: Tensor, tokens: Quantity) -> Tensor:
    """What a predictor reads: the embedding of the next token and the hidden state, in a projection of both."""
    hidden = tape.model.hidden
    both = [tape.norm(f"predict.{name}_norm", x, rows=tokens, width=hidden) for name in ("embedding", "hidden")]
    pair = tape.record("predict.join", "gather", *both, flops=0.0, output=2 * tokens * hidden * tape.bytes)
    return tape.linear(
        "predict.proj", pair, rows=tokens, n_in=2 * hidden, n_out=hidden, split="none", tensor="predict_proj"
    )


def decoder_layer(
    tape: Tape, x: Tensor, batch: Batch, tokens: Quantity, layer: Layer, routing: Routing | None
) -> Tensor:
    """What mixes tokens and then an FFN or experts, each with its norms and its residual; or both from one input."""
    if tape.model.parallel:
        return _parallel_layer(tape, x, batch, tokens, layer, routing)
    before = predict(tape, x, tokens) if tape.model.alternates else x
    x = before
    if layer.mixers:
        name = prefix(layer.mixers[0])
        x = _part(tape, x, tokens, name, lambda x: with_laurel(tape, x, mix(tape, x, batch, layer), tokens))
    if layer.ffn:
        x = _part(tape, x, tokens, branch(layer), lambda x: pointwise(tape, x, tokens, layer, routing))
    if tape.model.alternates:
        x = correct(tape, x, before, tokens)
    return add_layer_input(tape, x, tokens) if tape.model.per_layer else x


def _part(tape: Tape, x: Tensor, tokens: Quantity, name: str, of: Callable[[Tensor], Tensor]) -> Tensor:
    """One part of a layer: a norm, what it does, perhaps a norm, and the residual.

    Copies of the residual stream are mixed to what the part reads, and its result to all of them (`Model.streams`).
    """
    model, width = tape.model, tape.model.hidden
    read = _read_streams(tape, x, tokens, name) if model.streams > 1 else x
    a = tape.all_reduce(of(tape.norm(f"{name}.norm", read, rows=tokens, width=width)))
    if model.norm.per_layer == 4:
        a = tape.norm(f"{name}.post_norm", a, rows=tokens, width=width)
    if model.streams == 1:
        return tape.elementwise(f"{name}.residual", "add", "add", a, x)
    return _write_streams(tape, a, x, tokens, name)


def _read_streams(tape: Tape, x: Tensor, tokens: Quantity, name: str) -> Tensor:
    """The mixtures of `n` streams from a projection of all of them (`n (n + 2)` numbers a token), and what is read."""
    n, hidden = tape.model.streams, tape.model.hidden
    streams = replace(x, bytes=tokens * n * hidden * tape.bytes)
    mixtures = tape.linear(
        f"{name}.streams", streams, rows=tokens, n_in=n * hidden, n_out=n * (n + 2), split="none", tensor="streams"
    )
    return tape.record(
        f"{name}.read_streams", "combine", streams, mixtures, flops=tokens * n * hidden * FLOPS_PER_ELEMENT["combine"],
        output=tokens * hidden * tape.bytes,
    )  # fmt: skip


def _write_streams(tape: Tape, a: Tensor, x: Tensor, tokens: Quantity, name: str) -> Tensor:
    """All streams mixed with one another, and the result of a part added to each with a weight."""
    n, hidden = tape.model.streams, tape.model.hidden
    streams = replace(x, bytes=tokens * n * hidden * tape.bytes)
    return tape.record(
        f"{name}.write_streams", "combine", a, streams,
        flops=tokens * n * (n + 1) * hidden * FLOPS_PER_ELEMENT["combine"], output=streams.bytes,
    )  # fmt: skip


def _parallel_layer(
    tape: Tape, x: Tensor, batch: Batch, tokens: Quantity, layer: Layer, routing: Routing | None
) -> Tensor:
    """Attention and FFN from one input, or each from its norm of it, added up and reduced once."""
    model, name = tape.model, branch(layer)
    a = tape.norm("attention.norm", x, rows=tokens, width=model.hidden)
    b = tape.norm(f"{name}.norm", x, rows=tokens, width=model.hidden) if model.norm.per_layer == 2 else a
    seen, done = mix(tape, a, batch, layer), pointwise(tape, b, tokens, layer, routing)
    both = tape.elementwise(f"{name}.add_attention", "add", "add", seen, done)
    return tape.elementwise(f"{name}.residual", "add", "add", tape.all_reduce(both), x)


def prefix(mixer: Mixer) -> str:
    """What the names of the operators of a mixer begin with."""
    return {Attention: "attention", LinearAttention: "linear", StateSpace: "space"}[type(mixer)]


def branch(layer: Layer) -> str:
    """What the names of the operators of an FFN or of experts begin with."""
    return "moe" if layer.moe else "ffn"


def mix(tape: Tape, x: Tensor, batch: Batch, layer: Layer) -> Tensor:
    """What mixes tokens in a layer: all its mixers read the same input, and are added."""
    first, *others = (_mixed(tape, x, batch, mixer) for mixer in layer.mixers)
    for mixer, other in zip(layer.mixers[1:], others, strict=True):
        first = tape.elementwise(f"{prefix(layer.mixers[0])}.add_{prefix(mixer)}", "add", "add", first, other)
    return first


def _mixed(tape: Tape, x: Tensor, batch: Batch, mixer: Mixer) -> Tensor:
    if isinstance(mixer, LinearAttention):
        return linear_attention(tape, x, batch, mixer)
    if isinstance(mixer, StateSpace):
        return state_space(tape, x, batch, mixer)
    return attention(tape, x, batch, mixer)


def pointwise(tape: Tape, x: Tensor, tokens: Quantity, layer: Layer, routing: Routing | None) -> Tensor:
    """What a token goes through by itself in a layer."""
    if isinstance(layer.ffn, Moe):
        return mixture(tape, x, tokens, layer.ffn, routing)
    assert layer.ffn  # as its caller asks
    return feedforward(tape, "ffn", x, tokens, layer.ffn)


def loss(tape: Tape, x: Tensor, tokens: Quantity) -> Tensor:
    """The head over all tokens, and the softmax of the cross entropy with the next token.

    The probability of each token of the vocabulary is its output, which its gradient is made of. The tokens to compare
    with and the loss itself, a number a token each, are not counted.
    """
    return tape.elementwise("loss", "softmax", "softmax", head(tape, x, tokens, tokens), split="elements")


def head(tape: Tape, x: Tensor, tokens: Quantity, last: Quantity) -> Tensor:
    """The final norm, and logits for the `last` tokens alone: one a sequence, as serving needs no others."""
    model = tape.model
    if model.streams > 1:
        n, hidden = model.streams, model.hidden
        x = replace(x, bytes=tokens * n * hidden * tape.bytes)
        weights = tape.linear("streams", x, rows=tokens, n_in=n * hidden, n_out=n, split="none")
        x = tape.record(
            "read_streams", "combine", x, weights, flops=tokens * n * hidden * FLOPS_PER_ELEMENT["combine"],
            output=tokens * hidden * tape.bytes,
        )  # fmt: skip
    if model.alternates:
        x = leave(tape, x, tokens)
    if model.norm.final:
        x = tape.norm("final_norm", x, rows=tokens, width=model.hidden)
    x = replace(x, bytes=last * model.hidden * tape.bytes)
    return tape.linear(
        "lm_head", x, rows=last, n_in=model.hidden, n_out=model.vocab, bias=model.lm_head_bias, split="vocab",
        tensor="embedding" if model.tied_embeddings else "lm_head",
    )  # fmt: skip
