"""What a step of training keeps: bytes of weights, activations, gradients and what the optimizer keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.mapping.parallel.tensor import WHOLE_OUTPUT, shard
from simulator.mapping.placement.layout import period, weights_of
from simulator.mapping.placement.rule import LAYERED, Part
from simulator.workload import Block, Model, Operator, OperatorGraph, parameters
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT
from simulator.workload.training.step import Optimizer, turn

WEIGHTS: tuple[Part, ...] = ("experts", "ffn", "attention", "embedding", "layer_embedding", "head")
"""Parts that are weights."""


@dataclass(frozen=True, eq=False)
class Kept:
    """Bytes on all devices together.

    Attributes:
        parts: of each part: of weights; of activations that the forward passes of a micro batch keep; of gradients, one
            a parameter in the format of activations; of the optimizer's numbers in fp32.
        layers: of one of each forward block by its name: its weights by part, the activations that it keeps, and its
            gradients; those of a table that the head shares count to the embedding, whose are complete last.
        working: what lives for one layer alone: what its backward pass makes again, with the gradients of its input and
            its output; or of the head its logits and their gradients.
    """

    parts: Mapping[str, float]
    layers: Mapping[str, Mapping[str, float]]
    working: float


def kept(model: Model, graph: OperatorGraph, saving: OperatorGraph, ways: int, optimizer: Optimizer) -> Kept:
    """What a step keeps; `saving`: the same step that makes nothing again."""
    count = parameters(model).total
    last = turn(graph)
    forward, saved = graph.blocks[:last], saving.blocks[:last]
    head, layers, activations, again = graph.blocks[last], _weights(model, graph.blocks[: last + 1], ways), 0.0, 0.0
    for block, same in zip(forward, saved, strict=True):
        size = _activations(block, ways)
        layers[block.name]["activations"] = size
        activations += size * block.repeat
        again = max(again, _activations(same, ways) - size)
    gradients = count * BYTES_PER_ELEMENT[model.dtypes.activations]
    for block in graph.blocks[last:-2]:
        layers[block.name.removesuffix(".backward")]["gradients"] = _gradients(block)
    if model.tied_embeddings:
        layers["head"]["gradients"] -= _table(head)
    others = sum(layers[block.name]["gradients"] * block.repeat for block in graph.blocks[1 : last + 1])
    layers["embedding"]["gradients"] = gradients - others
    logits = max(float(shard(operator, ways).bytes["output"]) * ways for operator in head.operators)
    stream = _input(head) * ways
    parts: dict[str, float] = dict.fromkeys(WEIGHTS, 0.0)
    for (part, _), size in weights_of(model, ways).items():
        parts[part] += size
    parts |= {
        "activations": activations,
        "gradients": gradients,
        "optimizer": count * optimizer.states * BYTES_PER_ELEMENT["fp32"],
    }
    return Kept(parts, layers, max(again + 2 * stream, 2 * logits + stream))


def _weights(model: Model, blocks: tuple[Block, ...], ways: int) -> dict[str, dict[str, float]]:
    """Bytes of the weights of one of each block, by part; of a head that shares a table, the table."""
    sizes, start = weights_of(model, ways), 0
    layers: dict[str, dict[str, float]] = {}
    for block in blocks:
        number = period(block)
        if number:
            own = range(start, start + block.repeat * number)
            layers[block.name] = {
                part: sum(sizes.get((part, layer), 0.0) for layer in own) / block.repeat for part in LAYERED
            }
        else:
            shared = block.name == "head" and model.tied_embeddings
            names = {"embedding": ("embedding", "layer_embedding")}.get(block.name, (block.name,))
            several = (*names, *(("embedding",) if shared else ()))
            layers[block.name] = {part: sizes.get((part, 0), 0.0) for part in several}
        start += block.repeat * number
    return layers


def _activations(block: Block, ways: int) -> float:
    """What one of a forward block keeps for its backward pass: what came in, and what its operators save."""
    return _input(block) * ways + sum(_saved(operator, ways) for operator in block.operators)


def _saved(operator: Operator, ways: int) -> float:
    """Bytes of what an operator saves, on all devices: where each makes a part of a sum, all have the whole sum."""
    if operator.split in WHOLE_OUTPUT:
        return float(operator.bytes.get("saved_write", 0.0)) * ways
    return float(shard(operator, ways).bytes.get("saved_write", 0.0)) * ways


def _gradients(block: Block) -> float:
    """Bytes of the gradients of the weights of a backward block."""
    return sum(float(operator.bytes.get("state_write", 0.0)) for operator in block.operators)


def _table(head: Block) -> float:
    """Bytes of the gradient of the table of the head."""
    return sum(float(o.bytes["state_write"]) for o in head.operators if o.name == "lm_head.wgrad")


def _input(block: Block) -> float:
    """Bytes of what comes into a block."""
    return max((float(size) for size in block.entries.values()), default=0.0)
