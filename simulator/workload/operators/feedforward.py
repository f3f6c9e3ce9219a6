"""The operators of a feed-forward network, and of the mixture of experts that stands in its place."""

from __future__ import annotations

from simulator.core.resource import Quantity
from simulator.workload.formats.dtypes import INDEX_BYTES
from simulator.workload.model.feedforward import Ffn, Moe
from simulator.workload.operators.operator import FLOPS_PER_ELEMENT, Split
from simulator.workload.operators.tape import Tape, Tensor
from simulator.workload.routing.distinct import Routing, uniform

EXPERTS = "moe.experts"
"""What the names of the routed experts' operators begin with."""


def feedforward(
    tape: Tape, name: str, x: Tensor, rows: Quantity, ffn: Ffn, distinct: Quantity | None = None,
    width: int | None = None,
) -> Tensor:  # fmt: skip
    """An FFN over `rows` vectors (of `width`, where not the hidden one): up (and gate) by columns, then down by rows.

    With `distinct`, it is that many experts instead, each row with its own: one grouped product a matrix.
    """
    hidden, mid = width or tape.model.hidden, ffn.intermediate

    def product(matrix: str, source: Tensor, n_in: int, n_out: int, split: Split) -> Tensor:
        dense = distinct is None
        return tape.linear(
            f"{name}.{matrix}", source, rows=rows, n_in=n_in, n_out=n_out, bias=ffn.bias,
            matrices=1 if distinct is None else distinct, operand="weight" if dense else "expert",
            split=split, groups=distinct,
        )  # fmt: skip

    x_up = product("up_proj", x, hidden, mid, "columns")
    x_gate = product("gate_proj", x, hidden, mid, "columns") if ffn.matrices == 3 else x_up
    y = tape.elementwise(f"{name}.activation", "activation", ffn.activation, x_gate, split="elements", groups=distinct)
    if ffn.matrices == 3:
        y = tape.elementwise(f"{name}.multiply", "multiply", "multiply", y, x_up, split="elements", groups=distinct)
    return product("down_proj", y, mid, hidden, "rows")


def mixture(tape: Tape, x: Tensor, tokens: Quantity, moe: Moe, routing: Routing | None) -> Tensor:
    """A mixture of experts: router, choice of `top_k`, rows gathered, experts as grouped products, weighted sum.

    FLOPs follow `tokens top_k`; bytes of class `expert` follow the distinct experts touched, which `routing` gives
    (uniform routing if None). Shared experts are an FFN beside, for every token.
    """
    hidden, rows = tape.model.hidden, tokens * moe.top_k
    width = moe.latent or hidden
    logits = tape.linear(
        "moe.router",
        x,
        rows=tokens,
        n_in=hidden,
        n_out=moe.experts,
        bias=moe.router_bias or moe.balance_bias,
        split="none",
    )
    chosen = tape.record(
        "moe.route", "route", logits, flops=tokens * moe.experts * FLOPS_PER_ELEMENT["route"],
        output=rows * (tape.bytes + INDEX_BYTES),
    )  # fmt: skip
    source = x
    if moe.latent:
        source = tape.linear("moe.latent_in_proj", x, rows=tokens, n_in=hidden, n_out=width, split="none")
    sent = tape.record("moe.dispatch", "gather", source, chosen, flops=0.0, output=rows * width * tape.bytes)
    distinct = (routing or uniform(moe.experts, moe.top_k))(tokens)
    done = feedforward(tape, EXPERTS, sent, rows, moe.expert, distinct, width)
    out = tape.record(
        "moe.combine", "combine", done, chosen, flops=rows * width * FLOPS_PER_ELEMENT["combine"],
        output=tokens * width * tape.bytes, shape={"m": tokens, "n": width},
    )  # fmt: skip
    if moe.latent:  # linear, so that partial sums may go through it
        out = tape.linear("moe.latent_out_proj", out, rows=tokens, n_in=width, n_out=hidden, split="none")
    if moe.norms:  # of what the experts read, and of what they and the shared experts give
        out = tape.norm("moe.post_norm", out, rows=moe.norms * tokens, width=hidden)
    if moe.shared is None:
        return out
    shared = feedforward(tape, "moe.shared", x, tokens, moe.shared)
    if moe.shared_gate:
        gate = tape.linear("moe.shared.gate", x, rows=tokens, n_in=hidden, n_out=1, split="none")
        shared = tape.elementwise("moe.shared.multiply_gate", "multiply", "multiply", shared, gate)
    return tape.elementwise("moe.add", "add", "add", out, shared)
