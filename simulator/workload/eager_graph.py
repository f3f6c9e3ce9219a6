"""The graph that PyTorch runs: each operator of ours spelled out as the calls that are dispatched for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from simulator.core.resource import Quantity
from simulator.workload.eager import calls, eager_family, phase_of
from simulator.workload.operators.graph import Block, OperatorGraph
from simulator.workload.operators.operator import Operand, Operator, Split

if TYPE_CHECKING:
    import networkx as nx

PRODUCTS = {"mm", "addmm", "bmm", "baddbmm"}


def eager(graph: OperatorGraph) -> OperatorGraph:
    """The same pass, with one operator for each call that is dispatched (`workload/eager.py`).

    The calls of one operator are a chain. Its FLOPs, weights, keys and values are those of its first product, else of
    its first call; before that, a call reads and makes a tensor as large as its input, from then on as its output. What
    an operator for which nothing is dispatched reads and writes is counted with the call that feeds it. A graph that
    comes of no model is spelled out already.

    Raises:
        ConfigError: a family that has no list.
    """
    if graph.model is None:
        return graph
    family, phase = eager_family(graph.model.family), phase_of(graph)
    return OperatorGraph(
        graph.model,
        tuple(
            _spelled(
                block,
                {
                    operator.name: [c for c in calls(family, operator, phase) if c not in family.not_counted]
                    for operator in block.operators
                },
            )
            for block in graph.blocks
        ),
    )


def _spelled(block: Block, calls_of: dict[str, list[str]]) -> Block:
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    entries: dict[str, Quantity] = {}
    last: dict[str, str] = {}  # the call that makes each operator's output
    for operator in block.operators:
        name = operator.name
        before = [(last[feeder], block.graph.edges[feeder, name]["bytes"]) for feeder in block.graph.predecessors(name)]
        if not calls_of[name] and before:
            last[name] = before[-1][0]
            _add(graph, last[name], operator)
            continue
        chain = list(_chain(operator, calls_of[name] or [operator.kind]))
        for call in chain:
            graph.add_node(call.name, operator=call)
        for first, then in pairwise(chain):
            graph.add_edge(first.name, then.name, bytes=first.bytes["output"])
        for feeder, size in before:
            earlier = graph.get_edge_data(feeder, chain[0].name, {"bytes": 0.0})["bytes"]
            graph.add_edge(feeder, chain[0].name, bytes=earlier + size)
        if name in block.entries:
            entries[chain[0].name] = block.entries[name]
        last[name] = chain[-1].name
    return Block(block.name, block.repeat, graph, entries, last[block.exit], block.tokens)


def _chain(operator: Operator, names: Sequence[str]) -> Iterator[Operator]:
    """The calls of one operator, one after another."""
    main = next((i for i, name in enumerate(names) if name in PRODUCTS), 0)
    inputs, outputs = operator.bytes["input"], operator.bytes["output"]
    for i, name in enumerate(names):
        read = inputs if i <= main else outputs
        sizes: dict[Operand, Quantity] = {"input": read, "output": inputs if i < main else outputs}
        call = replace(
            operator,
            name=f"{operator.name}:{i}.{name}" if len(names) > 1 else operator.name,
            kind="multiply",
            flops=0.0,
            bytes=sizes,
            split=_split(operator.split, i < main),
            all_reduce=operator.all_reduce and i == len(names) - 1,
        )
        if i == main:
            call = replace(
                call, kind=operator.kind, flops=operator.flops, bytes={**operator.bytes, **sizes}, split=operator.split
            )
        yield call


def _split(split: Split, before: bool) -> Split:
    """How the tensor that a product reads, or the one that it makes, is divided."""
    undivided: dict[Split, bool] = {"columns": before, "vocab": before, "rows": not before}
    if split in undivided:
        return "none" if undivided[split] else "elements"
    return split


def _add(graph: nx.DiGraph[str], name: str, more: Operator) -> None:
    """Count what an operator reads and writes beyond activations, and computes, with a call."""
    call: Operator = graph.nodes[name]["operator"]
    sizes = dict(call.bytes)
    for operand, size in more.bytes.items():
        if operand not in ("input", "output"):
            sizes[operand] = sizes.get(operand, 0.0) + size
    graph.nodes[name]["operator"] = replace(call, flops=call.flops + more.flops, bytes=sizes)
