"""The operators of a feed-forward network, and of the mixture of experts that stands in its place."""

from __future__ import annotations

from simulator.core.resource import Quantity
from simulator.workload.formats.dtypes import INDEX_BYTES
from simulator.workload.model.form import Ffn, Moe
from simulator.workload.operators.operator import FLOPS_PER_ELEMENT, Split
from simulator.workload.operators.tape import Tape, Tensor
from simulator.workload.routing.distinct import Routing, uniform

EXPERTS = "moe.experts"
"""What the names of the routed experts' operators begin with."""


def feedforward(tape: Tape, name: str, x: Tensor, rows: Quantity, ffn: Ffn, distinct: Quantity | None = None) -> Tensor:
    """An FFN over `rows` vectors: up (and gate) by columns, activation, down by rows.

    With `distinct`, it is that many experts instead, each row with its own: one grouped product a matrix.
    """
    hidden, mid = tape.model.hidden, ffn.intermediate

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
    logits = tape.linear(
        "moe.router", x, rows=tokens, n_in=hidden, n_out=moe.experts, bias=moe.router_bias, split="none"
    )
    chosen = tape.record(
        "moe.route", "route", logits, flops=tokens * moe.experts * FLOPS_PER_ELEMENT["route"],
        output=rows * (tape.bytes + INDEX_BYTES),
    )  # fmt: skip
    sent = tape.record("moe.dispatch", "gather", x, chosen, flops=0.0, output=rows * hidden * tape.bytes)
    distinct = (routing or uniform(moe.experts, moe.top_k))(tokens)
    done = feedforward(tape, EXPERTS, sent, rows, moe.expert, distinct)
    out = tape.record(
        "moe.combine", "combine", done, chosen, flops=rows * hidden * FLOPS_PER_ELEMENT["combine"],
        output=tokens * hidden * tape.bytes,
    )  # fmt: skip
    if moe.shared is None:
        return out
    shared = feedforward(tape, "moe.shared", x, tokens, moe.shared)
    if moe.shared_gate:
        gate = tape.linear("moe.shared.gate", x, rows=tokens, n_in=hidden, n_out=1, split="none")
        shared = tape.elementwise("moe.shared.multiply_gate", "multiply", "multiply", shared, gate)
    return tape.elementwise("moe.add", "add", "add", out, shared)
