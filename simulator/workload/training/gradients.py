"""What the gradient of each kind of operator takes, as data."""

from __future__ import annotations

from typing import Literal, NamedTuple

from simulator.workload.operators.operator import Kind, Split


class Rule(NamedTuple):
    """What `dgrad` takes: FLOPs, over those of the operator itself, and what it reads of the forward pass.

    `indices` are those inputs that have no gradient.
    """

    flops: float
    needs: Literal["nothing", "inputs", "output", "indices"]


RULES: dict[Kind, Rule] = {
    "gemm": Rule(1, "nothing"),  # dx = dy W^T
    "attention": Rule(2, "inputs"),  # scores: dq = ds k, dk = ds^T q; values: dp = do v^T, dv = p^T do
    "softmax": Rule(1, "output"),  # ds = p (dp - sum(p dp)) / sqrt(d); of the loss, p less 1 for the token that came
    "norm": Rule(2, "inputs"),  # g dy, its mean, and that of x g dy, which is taken off along x
    "rope": Rule(1, "nothing"),  # turned back
    "activation": Rule(2, "inputs"),  # the function's terms once more, and their derivative
    "multiply": Rule(2, "inputs"),  # da = dy b, db = dy a
    "route": Rule(1, "output"),  # as softmax
    "gather": Rule(0, "indices"),  # rows go back to where they came from
    "combine": Rule(2, "inputs"),  # dy times the expert's weight, and times its result
    "transpose": Rule(1, "nothing"),
}
"""By kind. Products are exact, a bias apart (one FLOP an output counts in `dgrad` too); all else is a convention of the
same grain as `FLOPS_PER_ELEMENT`, and bound by memory by a wide margin."""

HANDED_ON: frozenset[Kind] = frozenset({"add", "embedding"})
"""Their gradient is that of what they make: a sum's terms, what a learned position is added to."""

TURNED: dict[Split, Split] = {"columns": "rows", "vocab": "rows", "rows": "columns"}
"""How tensor parallelism divides the gradients of an operator; not named here: as the operator itself."""
