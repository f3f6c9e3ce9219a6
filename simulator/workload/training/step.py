"""One step of training: the forward pass and its loss, the backward pass, and the optimizer's step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from simulator.config.choose import check_name
from simulator.core.resource import Quantity
from simulator.errors import ConfigError
from simulator.workload.batch import Batch, Sequences
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT
from simulator.workload.model.form import Model
from simulator.workload.model.parameters import parameters, weight_bytes
from simulator.workload.operators.graph import Block, OperatorGraph, operator_graph
from simulator.workload.operators.operator import Operator
from simulator.workload.operators.tape import Tape, Tensor
from simulator.workload.routing.distinct import Routing
from simulator.workload.training.backward import Recompute, backward, with_backward


@dataclass(frozen=True)
class Optimizer:
    """What one step of an optimizer takes for each parameter.

    Attributes:
        states: numbers in fp32 that it keeps: a copy of the weight, and its moments.
        flops: FLOPs of the step, a square root being one.
    """

    states: int
    flops: int


OPTIMIZERS: dict[str, Optimizer] = {
    "adam": Optimizer(states=3, flops=12),  # arXiv 1412.6980, Algorithm 1: moments 3 + 4, step 5 (corrections in lr)
    "momentum": Optimizer(states=2, flops=4),
    "sgd": Optimizer(states=1, flops=2),
}
"""Mixed precision, as ZeRO counts it (arXiv 1910.02054, section 3.1): with Adam 16 bytes a parameter, 2 of them the
weight, 2 its gradient, 4 a copy of the weight in fp32 and 4 each moment."""


def training_graph(
    model: Model,
    batch: Batch,
    *,
    routing: Routing | None = None,
    recompute: str = "none",
    optimizer: str = "adam",
) -> OperatorGraph:
    """One training step of `model` over whole sequences, `prefill(sequences, length)`.

    The blocks of the forward pass, of which operators write `saved_write` what the backward pass needs; the head with
    its loss over all tokens, forward and backward; the blocks' backward passes, last to first (`<block>.backward`);
    and the optimizer. Products take three times the FLOPs of the forward pass: once forward, once each for the
    gradients of what they read and of their weights. Keys and values are activations here; there is no cache.

    `recompute` says what is made again in the backward pass instead of saved: `none`; `attention`, scores and softmax;
    `layer`, all but the input of each decoder block (a fourth time the layers' products). Default is what frameworks do
    that are not told otherwise: scores' softmax is saved, `2 heads length^2 / 2` bytes a sequence and layer in bf16.

    Raises:
        ConfigError: an unknown `recompute` or `optimizer`; sequences with a past, or of one token; layers whose
            gradients have no rule: scans, indexers, compressed keys, several residual streams.
    """
    check_name(optimizer, OPTIMIZERS, "optimizer")
    for layer, _ in model.kinds:
        a = layer.attention if len(layer.mixers) == 1 else None
        if a is None or a.indexer or a.compression or model.streams > 1:
            found = f"layers of '{layer.kind}'"
            raise ConfigError(f"training {model.name}", found=found, expected="attention over keys and values alone")
    mode = _recompute(recompute)
    for group in batch:
        if not isinstance(group, Sequences) or group.phase == "decode" or np.any(group.past != 0.0):
            found = f"{group.new} tokens after {group.past}" if isinstance(group, Sequences) else "sums over sequences"
            raise ConfigError("training", found=found, expected="whole sequences of 2 tokens or more, and no past")
    embedding, *decoder, head = operator_graph(model, batch, routing, training=True).blocks
    triples = [(block, *backward(model, block, mode)) for block in decoder]
    triples.insert(0, (embedding, *backward(model, embedding)))
    return OperatorGraph(
        model,
        (
            *(_saving(block, saved) for block, _, saved in triples),
            with_backward(model, head),
            *(back for _, back, _ in reversed(triples)),
            _step(model, OPTIMIZERS[optimizer]),
        ),
    )


def turn(graph: OperatorGraph) -> int:
    """The place of the head among the blocks of a step, with whose loss the backward pass begins."""
    return next(place for place, block in enumerate(graph.blocks) if block.name == "head")


def accumulating(block: Block, share: float = 1.0) -> Block:
    """A block whose gradients of weights, or a share of them, are added to those of the micro batches before."""
    graph = block.graph.copy()
    for name, data in block.graph.nodes(data=True):
        operator: Operator = data["operator"]
        if "state_write" in operator.bytes:
            added = {**operator.bytes, "state_read": share * operator.bytes["state_write"]}
            graph.nodes[name]["operator"] = replace(operator, bytes=added)
    return replace(block, graph=graph)


def _saving(block: Block, saved: Mapping[str, Quantity]) -> Block:
    """A forward block whose operators write what its backward pass needs."""
    graph = block.graph.copy()
    for name, size in saved.items():
        operator: Operator = graph.nodes[name]["operator"]
        graph.nodes[name]["operator"] = replace(operator, bytes={**operator.bytes, "saved_write": size})
    return replace(block, graph=graph)


def _step(model: Model, optimizer: Optimizer) -> Block:
    """The optimizer's step over all parameters: it reads gradients and states, and writes states and weights.

    It computes at the rate of the activations' format, though in fp32: it is bound by memory by a wide margin.
    """
    tape, count = Tape(model), parameters(model).total
    states = count * optimizer.states * BYTES_PER_ELEMENT["fp32"]
    out = tape.record(
        "optimizer", "optimizer", Tensor(None, 0.0), flops=float(count * optimizer.flops), output=0.0,
        operands={"state_read": states + count * tape.bytes, "state_write": states + weight_bytes(model)},
        split="elements",
    )  # fmt: skip
    assert out.producer
    rows: Quantity = count / model.hidden
    return Block("optimizer", 1, tape.graph, tape.entries, out.producer, rows)


def _recompute(name: str) -> Recompute:
    known: tuple[Recompute, ...] = get_args(Recompute)
    check_name(name, known, "recompute")
    return next(mode for mode in known if mode == name)
