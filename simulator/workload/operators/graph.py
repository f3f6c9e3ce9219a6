"""The operator graph of a model: what one forward pass computes, with identical layers folded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulator.core.resource import Quantity
from simulator.workload.batch import Batch
from simulator.workload.model.folding import folded
from simulator.workload.model.form import Layer, Model
from simulator.workload.operators.feedforward import EXPERTS, feedforward
from simulator.workload.operators.images import handed_on, patched
from simulator.workload.operators.layers import decoder_layer, embedding, head, loss
from simulator.workload.operators.operator import Operand, Operator
from simulator.workload.operators.tape import Tape, Tensor
from simulator.workload.routing.distinct import Routing

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, eq=False)
class Block:
    """A stretch of the model that occurs `repeat` times, one after another: the embedding, a decoder layer, the head.

    Layers that alternate (dense and MoE, windowed and not) are one block together, each layer's operators behind its
    place in it (`0.attention.q_proj`).

    Attributes:
        name: `embedding`, `head`; else the kinds of its layers: `dense`, `moe-window`, `moe+dense`.
        repeat: how often it occurs.
        graph: DAG of operator names; nodes have `operator` (an `Operator`), edges `bytes` (what is handed over).
        entries: the operators that read the block's input, and the bytes of it that each reads.
        exit: the operator whose output is the block's.
        inputs: where the block's input is several tensors, which of them an operator of `entries` reads.
        tokens: rows of its input: what a pipeline may cut into tiles.
    """

    name: str
    repeat: int
    graph: nx.DiGraph[str]
    entries: Mapping[str, Quantity]
    exit: str
    tokens: Quantity = 1.0
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def operators(self) -> list[Operator]:
        """Its operators, in an order in which they can run."""
        return [data["operator"] for _, data in self.graph.nodes(data=True)]


@dataclass(frozen=True)
class Totals:
    """Sums over a whole model: FLOPs, and bytes by operand class."""

    flops: Quantity
    bytes: Mapping[Operand, Quantity]


@dataclass(frozen=True, eq=False)
class OperatorGraph:
    """One forward pass of a model: its blocks, first to last. What comes of no model, such as an FFT, has None."""

    model: Model | None
    blocks: tuple[Block, ...]

    def operators(self) -> Iterator[tuple[Operator, int]]:
        """Each distinct operator, and how often it occurs."""
        for block in self.blocks:
            for operator in block.operators:
                yield operator, block.repeat

    def totals(self) -> Totals:
        """FLOPs and bytes of the whole pass, when every operator runs alone."""
        flops: Quantity = 0.0
        amounts: dict[Operand, Quantity] = {}
        for operator, repeat in self.operators():
            flops = flops + repeat * operator.flops
            for operand, amount in operator.bytes.items():
                amounts[operand] = amounts.get(operand, 0.0) + repeat * amount
        return Totals(flops, amounts)

    def digraph(self) -> nx.DiGraph[str]:
        """The whole model unfolded, each layer's operators as `<block>.<i>.<operator>` (i counts from 0)."""
        import networkx as nx

        graph: nx.DiGraph[str] = nx.DiGraph()
        seen: Counter[str] = Counter()
        previous: str | None = None
        for block in self.blocks:
            for _ in range(block.repeat):
                place = f"{block.name}.{seen[block.name]}."
                seen[block.name] += 1
                graph.add_nodes_from((place + name, data) for name, data in block.graph.nodes(data=True))
                graph.add_edges_from((place + a, place + b, data) for a, b, data in block.graph.edges(data=True))
                if previous is not None:
                    for name, amount in block.entries.items():
                        graph.add_edge(previous, place + name, bytes=amount)
                previous = place + block.exit
        return graph


def operator_graph(
    model: Model, batch: Batch, routing: Routing | None = None, *, training: bool = False
) -> OperatorGraph:
    """The operators of one forward pass of `model` over `batch`; in training, without a KV cache and with the loss.

    `routing` gives the distinct experts that a number of tokens touches (uniform routing if None). Each block is built
    once, whatever the number of layers. All FLOPs and bytes broadcast over the batch's arrays.
    """
    tokens: Quantity = sum((group.tokens for group in batch), start=0.0)
    last: Quantity = sum((group.logits for group in batch), start=0.0)

    def layers(kinds: Sequence[Layer]) -> Callable[[Tape, Tensor], Tensor]:
        def run(tape: Tape, x: Tensor) -> Tensor:
            for place, kind in enumerate(kinds):
                tape.prefix = f"{place}." if len(kinds) > 1 else ""
                x = decoder_layer(tape, x, batch, tokens, kind, routing)
            return x

        return run

    def block(name: str, repeat: int, run: Callable[[Tape, Tensor], Tensor], density: float = 1.0) -> Block:
        return _block(
            Tape(model, density=density, cached=not training and model.patches is None), name, repeat, tokens, run
        )

    def leave(tape: Tape, x: Tensor) -> Tensor:
        if model.patches:
            return handed_on(tape, x, tokens)
        return loss(tape, x, tokens) if training else head(tape, x, tokens, last)

    enter = patched if model.patches else embedding
    decoder = [
        block("+".join(kind.kind for kind in kinds), repeat, layers(kinds), model.weight_density)
        for kinds, repeat in folded(model.decoder)
    ]
    return OperatorGraph(
        model,
        (
            block("embedding", 1, lambda tape, _: enter(tape, tokens)),
            *decoder,
            block("head", 1, leave),
        ),
    )


def expert_block(model: Model, rows: Quantity, experts: Quantity = 1.0) -> Block:
    """Routed experts over the `rows` tokens that chose them, as a block of its own.

    Raises:
        ValueError: the model has no experts.
    """
    if model.moe is None:
        raise ValueError(f"{model.name} has no experts")
    expert = model.moe.expert
    tape = Tape(model, density=model.weight_density)
    return _block(tape, "expert", 1, rows, lambda tape, x: feedforward(tape, EXPERTS, x, rows, expert, experts))


def ffn_block(model: Model, tokens: Quantity, neurons: Quantity) -> Block:
    """The FFN of a layer with so many of its neurons: their rows of up and gate, their columns of down.

    Raises:
        ValueError: the model has no dense FFN.
    """
    if model.ffn is None:
        raise ValueError(f"{model.name} has no dense FFN")
    ffn = model.ffn.model_copy(update={"intermediate": neurons})
    return _block(Tape(model), "ffn", 1, tokens, lambda tape, x: feedforward(tape, "ffn", x, tokens, ffn))


def predictor_block(model: Model, tokens: Quantity, rank: Quantity) -> Block:
    """What says which neurons of a layer a token needs: two products of rank r, `r (hidden + intermediate)` weights.

    arXiv 2312.11514, section 3.1; a sigmoid follows, counted as the FFN's activation would be.

    Raises:
        ValueError: the model has no dense FFN.
    """
    if model.ffn is None:
        raise ValueError(f"{model.name} has no dense FFN")
    neurons = model.ffn.intermediate

    def predict(tape: Tape, x: Tensor) -> Tensor:
        y = tape.linear("predictor.down_proj", x, rows=tokens, n_in=model.hidden, n_out=rank)
        y = tape.linear("predictor.up_proj", y, rows=tokens, n_in=rank, n_out=neurons, split="rows")
        return tape.elementwise("predictor.sigmoid", "activation", "silu", y, split="elements")

    return _block(Tape(model), "predictor", 1, tokens, predict)


def unrolled(block: Block, times: int) -> Block:
    """So many repeats of a block as one block, which occurs as many times less; operators as `<i>.<operator>`."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    for i in range(times):
        graph.add_nodes_from((f"{i}.{name}", data) for name, data in block.graph.nodes(data=True))
        graph.add_edges_from((f"{i}.{a}", f"{i}.{b}", data) for a, b, data in block.graph.edges(data=True))
        for name, amount in block.entries.items() if i else ():
            graph.add_edge(f"{i - 1}.{block.exit}", f"{i}.{name}", bytes=amount)
    entries = {f"0.{name}": amount for name, amount in block.entries.items()}
    name, exit = f"{times} x {block.name}", f"{times - 1}.{block.exit}"
    return Block(name, block.repeat // times, graph, entries, exit, block.tokens)


def _block(tape: Tape, name: str, repeat: int, tokens: Quantity, run: Callable[[Tape, Tensor], Tensor]) -> Block:
    out = run(tape, Tensor(None, tokens * tape.model.hidden * tape.bytes))
    assert out.producer
    return Block(name, repeat, tape.graph, tape.entries, out.producer, tokens)
