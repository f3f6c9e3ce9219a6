"""What stands beside attention and FFN in Gemma 3n: embeddings of each layer, streams that are predicted, low ranks."""

from __future__ import annotations

from dataclasses import replace

from simulator.core.resource import Quantity
from simulator.workload.operators.operator import FLOPS_PER_ELEMENT
from simulator.workload.operators.tape import Tape, Tensor


def enter(tape: Tape, x: Tensor, tokens: Quantity) -> Tensor:
    """The rows of each layer's own embeddings, with a projection of the token's; and the streams that are predicted."""
    model, hidden = tape.model, tape.model.hidden
    if model.per_layer:
        width = model.layers * model.per_layer.width
        elements = tokens * width
        rows = elements * tape.stored.matrix("embedding").element_bytes
        tape.record(
            "layer_embedding", "embedding", x, flops=elements * FLOPS_PER_ELEMENT["add"], output=elements * tape.bytes,
            operands={"weight": rows}, weights=elements,
        )  # fmt: skip
        made = tape.linear("layer_input.proj", x, rows=tokens, n_in=hidden, n_out=width, split="none")
        tape.norm("layer_input.proj_norm", made, rows=tokens * model.layers, width=model.per_layer.width)
    return _streams(tape, "alternates.in_proj", x, tokens) if model.alternates > 1 else x


def leave(tape: Tape, x: Tensor, tokens: Quantity) -> Tensor:
    """The mean of all streams, each but the first through a projection of its own."""
    if tape.model.alternates < 2:
        return x
    made = _streams(tape, "alternates.out_proj", x, tokens)
    n, elements = tape.model.alternates, tokens * tape.model.hidden
    return tape.record(
        "alternates.mean", "combine", made, flops=n * elements * FLOPS_PER_ELEMENT["combine"],
        output=elements * tape.bytes,
    )  # fmt: skip


def _streams(tape: Tape, name: str, x: Tensor, tokens: Quantity) -> Tensor:
    hidden, others = tape.model.hidden, tape.model.alternates - 1
    return tape.linear(name, x, rows=tokens * others, n_in=hidden, n_out=hidden, matrices=others, split="none")


def predict(tape: Tape, x: Tensor, tokens: Quantity) -> Tensor:
    """Each of n streams as a mixture of all, by n^2 coefficients a token (AltUp, arXiv 2301.13310, algorithm 1)."""
    n, hidden = tape.model.alternates, tape.model.hidden
    read = replace(x, bytes=2 * tokens * hidden * tape.bytes)  # once here, and once to correct
    routed = tape.linear("alternates.router", read, rows=2 * tokens, n_in=hidden, n_out=n, split="none")
    return _mixed(tape, "predict", x, tokens, n * n, replace(routed, bytes=tokens * n * tape.bytes))


def correct(tape: Tape, x: Tensor, before: Tensor, tokens: Quantity) -> Tensor:
    """What the layer changed in its stream, added to all of them with a coefficient each."""
    n = tape.model.alternates
    return _mixed(tape, "correct", x, tokens, n, replace(x, bytes=tokens * n * tape.bytes), before)


def _mixed(
    tape: Tape, name: str, x: Tensor, tokens: Quantity, coefficients: int, routed: Tensor, *more: Tensor
) -> Tensor:
    """Streams mixed by coefficients that come of a router's `n` outputs."""
    n, hidden = tape.model.alternates, tape.model.hidden
    streams = replace(x, bytes=tokens * n * hidden * tape.bytes)
    mixture = tape.linear(
        f"alternates.{name}_coefficients", routed, rows=tokens, n_in=n, n_out=coefficients, split="none",
        tensor="alternates.coefficients",
    )  # fmt: skip
    return tape.record(
        f"alternates.{name}", "combine", streams, mixture, *more,
        flops=tokens * coefficients * hidden * FLOPS_PER_ELEMENT["combine"], output=streams.bytes,
    )  # fmt: skip


def with_laurel(tape: Tape, x: Tensor, mixed: Tensor, tokens: Quantity) -> Tensor:
    """What mixes tokens, and beside it a product of two matrices of low rank with a norm."""
    hidden, rank = tape.model.hidden, tape.model.laurel_rank
    if not rank:
        return mixed
    low = tape.linear("laurel.in_proj", x, rows=tokens, n_in=hidden, n_out=rank, split="none")
    low = tape.linear("laurel.out_proj", low, rows=tokens, n_in=rank, n_out=hidden, split="none")
    low = tape.norm("laurel.norm", low, rows=tokens, width=hidden)
    return tape.elementwise("laurel.add", "add", "add", mixed, low)


def add_layer_input(tape: Tape, x: Tensor, tokens: Quantity) -> Tensor:
    """The layer's own embeddings, gated by the hidden state, projected, normalised and added."""
    own, hidden = tape.model.per_layer, tape.model.hidden
    assert own  # as its caller asks
    read = replace(x, bytes=tokens * hidden * tape.bytes)
    gate = tape.linear("layer_input.gate_proj", read, rows=tokens, n_in=hidden, n_out=own.width, split="none")
    gate = tape.elementwise("layer_input.activation", "activation", "gelu", gate)
    rows = Tensor(None, tokens * own.width * tape.bytes)
    y = tape.elementwise("layer_input.multiply", "multiply", "multiply", gate, rows)
    y = tape.linear("layer_input.out_proj", y, rows=tokens, n_in=own.width, n_out=hidden, split="none")
    y = tape.norm("layer_input.norm", y, rows=tokens, width=hidden)
    return tape.elementwise("layer_input.add", "add", "add", y, x)
