"""The blocks of a decoder-only transformer: embedding, decoder layer, head."""

from __future__ import annotations

from dataclasses import replace

from simulator.core.resource import Quantity
from simulator.workload.batch import Batch
from simulator.workload.formats.dtypes import INDEX_BYTES
from simulator.workload.model.form import Layer
from simulator.workload.operators.attention import attention
from simulator.workload.operators.feedforward import feedforward, mixture
from simulator.workload.operators.operator import FLOPS_PER_ELEMENT, Operand
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
    return tape.norm("embedding_norm", x, rows=tokens, width=model.hidden) if model.norm.embedding else x


def decoder_layer(
    tape: Tape, x: Tensor, batch: Batch, tokens: Quantity, layer: Layer, routing: Routing | None
) -> Tensor:
    """Attention and FFN (or experts), each with its norm and its residual; or both from the same input."""
    model, width = tape.model, tape.model.hidden

    def norm(name: str, x: Tensor) -> Tensor:
        return tape.norm(name, x, rows=tokens, width=width)

    def second(x: Tensor) -> Tensor:
        if layer.moe and model.moe:
            return mixture(tape, x, tokens, model.moe, routing)
        assert model.ffn  # the model checks that dense layers have one
        return feedforward(tape, "ffn", x, tokens, model.ffn)

    branch = "moe" if layer.moe else "ffn"
    a = norm("attention.norm", x)
    if model.parallel:
        b = norm(f"{branch}.norm", x) if model.norm.per_layer == 2 else a
        both = tape.elementwise(
            f"{branch}.add_attention", "add", "add", attention(tape, a, batch, layer.window), second(b)
        )
        return tape.elementwise(f"{branch}.residual", "add", "add", tape.all_reduce(both), x)
    a = tape.all_reduce(attention(tape, a, batch, layer.window))
    if model.norm.per_layer == 4:
        a = norm("attention.post_norm", a)
    x = tape.elementwise("attention.residual", "add", "add", a, x)
    b = tape.all_reduce(second(norm(f"{branch}.norm", x)))
    if model.norm.per_layer == 4:
        b = norm(f"{branch}.post_norm", b)
    return tape.elementwise(f"{branch}.residual", "add", "add", b, x)


def loss(tape: Tape, x: Tensor, tokens: Quantity) -> Tensor:
    """The head over all tokens, and the softmax of the cross entropy with the next token.

    The probability of each token of the vocabulary is its output, which its gradient is made of. The tokens to compare
    with and the loss itself, a number a token each, are not counted.
    """
    return tape.elementwise("loss", "softmax", "softmax", head(tape, x, tokens, tokens), split="elements")


def head(tape: Tape, x: Tensor, tokens: Quantity, last: Quantity) -> Tensor:
    """The final norm, and logits for the `last` tokens alone: one a sequence, as serving needs no others."""
    model = tape.model
    x = tape.norm("final_norm", x, rows=tokens, width=model.hidden)
    x = replace(x, bytes=last * model.hidden * tape.bytes)
    return tape.linear(
        "lm_head", x, rows=last, n_in=model.hidden, n_out=model.vocab, bias=model.lm_head_bias, split="vocab",
        tensor="embedding" if model.tied_embeddings else "lm_head",
    )  # fmt: skip
