"""An operator: one node of a model's graph, with its FLOPs and its bytes by operand class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from simulator.core.resource import Quantity
from simulator.workload.batch import PhaseName

Kind: TypeAlias = Literal[
    "gemm", "attention", "softmax", "norm", "rope", "cache", "activation", "multiply", "add", "embedding", "route",
    "gather", "combine", "transpose", "optimizer", "conv", "scan", "choose",
]  # fmt: skip
Operand: TypeAlias = Literal[
    "weight", "expert", "kv_read", "kv_write", "saved_read", "saved_write", "state_read", "state_write",
    "input", "output",
]  # fmt: skip
WRITES: frozenset[Operand] = frozenset({"kv_write", "saved_write", "state_write"})
"""What an operator writes to main memory whatever it is fused with; `output` only where another kernel reads it."""
Split: TypeAlias = Literal["columns", "rows", "heads", "elements", "vocab", "none"]

FLOPS_PER_ELEMENT: dict[str, float] = {
    "rms": 4,  # square, sum, times 1/rms, times weight
    "layer": 6,  # sum, difference, square, sum, times 1/deviation, times weight (a bias is counted apart)
    "rope": 3,  # x cos + rotated(x) sin: two products and a sum
    "softmax": 5,  # times 1/sqrt(d), less the maximum, exp, sum, divided by it
    "bias": 1,  # a bias on a result, a position on an embedding or on a score
    "relu": 1,
    "relu2": 2,
    "silu": 4,  # x / (1 + exp(-x))
    "gelu": 8,  # x (1 + tanh(x (a + b x^2))) / 2
    "multiply": 1,
    "add": 1,
    "route": 5,  # softmax over the experts
    "combine": 2,  # times the expert's weight, and added
    "choose": 1,  # a comparison a key: which have the highest scores
    "decay": 3,  # from a projection and a bias: softplus, times a number, exp
}
"""FLOPs of one element of an elementwise operator; a product with weights or keys counts 2 a multiply-add.

Conventions, not measurements: an exponential or a tanh counts one, a comparison none. All of these operators are bound
by memory by a wide margin, so that a factor of two here moves no time.
"""


@dataclass(frozen=True, eq=False, slots=True)
class Apart:
    """How an operator goes over keys that lie on several devices, which share each sequence.

    Attributes:
        rounds: equal parts of the keys that it goes over one after another; its FLOPs and bytes are those of one.
        passed: bytes of keys and values that come from another device for each further round, or for the only one.
        sums: log-sum-exps, one a head and new token, where its output is a partial one that these weigh.
    """

    rounds: int = 1
    passed: Quantity = 0.0
    sums: Quantity = 0.0

    @property
    def partial(self) -> bool:
        """Whether its output is a partial one."""
        return bool(np.any(self.sums))


@dataclass(frozen=True, eq=False, slots=True)
class Operator:
    """One operator of one layer, over the whole model (not one device); all quantities may be arrays.

    Attributes:
        name: unique in its block: `attention.q_proj`.
        kind: what it is.
        flops: FLOPs, a multiply-add being 2.
        bytes: by operand class. `weight`: dense weights, read once a pass. `expert`: weights of the distinct experts
            touched. `kv_read`, `kv_write`: the KV cache, and states of fixed size. `saved_read`, `saved_write`:
            activations that the forward pass keeps for the backward one. `state_read`, `state_write`: gradients and
            optimizer states. `input`: activations that other operators made (the sum over the edges that come in).
            `output`: the tensor that it hands on, once, however many read it.
        dtype: the number format that it computes in.
        split: how tensor parallelism may divide it. `columns`: each device has some output features. `rows`: each has
            some input features, and a partial sum of the whole output. `heads`, `elements`: its share of them.
            `vocab`: logits of some tokens of the vocabulary. `none`: every device does all of it. Experts have
            columns and rows as dense products do; that they are experts shows in the operand class.
        ways: keys and values divide at most so many ways (KV heads; 1 for MLA's latent), and more devices hold copies.
            It binds only the KV operands of an operator that reads the cache, and all of one that makes K or V.
        phase: `prefill` or `decode` where it serves the sequences of that phase alone, None where all share it.
        all_reduce: its output is a partial sum on each device of a tensor-parallel group, to be reduced next.
        groups: of the routed experts, how many distinct ones the rows belong to; each group has its own matrix.
        shape: its sizes by the names that models of kernels know them by: `m`, `n`, `k`, `count` and the `format` of
            the weights of products, `heads`, `seq_kv`, ... of attention; empty where none is known.
        apart: of attention, how it reaches keys on other devices; None where all of them are at hand.
    """

    name: str
    kind: Kind
    flops: Quantity
    bytes: Mapping[Operand, Quantity]
    dtype: str
    split: Split = "none"
    ways: int | None = None
    phase: PhaseName | None = None
    all_reduce: bool = False
    groups: Quantity | None = None
    shape: Mapping[str, Any] = field(default_factory=dict)
    apart: Apart | None = None

    @property
    def total_bytes(self) -> Quantity:
        """Bytes that it moves when it runs alone: all operand classes together."""
        return sum(self.bytes.values(), start=0.0)

    @property
    def op_per_byte(self) -> Quantity:
        """FLOPs per byte moved, when it runs alone."""
        return self.flops / self.total_bytes
