"""A chain of matrix products, as the layers of a network are: as numpy computes it, and as operators on a machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import networkx as nx
import numpy as np

from simulator.core import Plan, Quantity, closed_form
from simulator.hardware import System
from simulator.mapping.lowering import graph_plan
from simulator.mapping.target import target
from simulator.validation.fitted.cpu import ELEMENT, home
from simulator.validation.measure.cpu import DTYPES
from simulator.workload import Block, Operator, OperatorGraph
from simulator.workload.operators.operator import Operand


def chain(rows: int, widths: Sequence[int], dtype: str) -> Callable[[], object]:
    """A call that computes a chain of products, each with weights of its own."""
    draw = np.random.default_rng(0)
    weights = [draw.random(pair).astype(DTYPES[dtype]) for pair in pairwise(widths)]
    first = draw.random((rows, widths[0])).astype(DTYPES[dtype])
    outputs = [np.empty((rows, width), DTYPES[dtype]) for width in widths[1:]]

    def run() -> None:
        x = first
        for weight, output in zip(weights, outputs, strict=True):
            x = np.matmul(x, weight, out=output)

    return run


def chain_graph(rows: int, widths: Sequence[int], dtype: str) -> OperatorGraph:
    """The same chain as operators."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    sizes = [float(rows * width * ELEMENT[dtype]) for width in widths]
    for layer, (k, n) in enumerate(pairwise(widths)):
        name = f"product{layer}"
        operands: dict[Operand, Quantity] = {
            "weight": k * n * ELEMENT[dtype],
            "input": sizes[layer],
            "output": sizes[layer + 1],
        }
        graph.add_node(name, operator=Operator(name, "gemm", 2.0 * rows * k * n, operands, dtype))
        if layer:
            graph.add_edge(f"product{layer - 1}", name, bytes=sizes[layer])
    block = Block("chain", 1, graph, {"product0": sizes[0]}, f"product{len(widths) - 2}", float(rows))
    return OperatorGraph(None, (block,))


def chain_plan(system: System, rows: int, widths: Sequence[int], dtype: str) -> Plan:
    """The chain on the machine's CPU, from the innermost memory that holds its weights and activations."""
    graph = chain_graph(rows, widths, dtype)
    held = float(sum((o.total_bytes for o, _ in graph.operators()), start=0.0))
    name, device = system.device()
    read = {tier: float(device.tiers[tier].capacity) for tier in device.engines["cpu"].reads}
    return graph_plan(target(system, name, "cpu", home(read, held)), graph, "chain")


def chain_seconds(system: System, rows: int, widths: Sequence[int], dtype: str) -> float:
    """Seconds of the chain, in closed form."""
    return float(closed_form(chain_plan(system, rows, widths, dtype)).time)
