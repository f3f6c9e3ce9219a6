"""Which operators run as one kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import networkx as nx

Kernels = list[list[str]]  # operator names, kernels and operators in the order of the pass

ROUTED = {"route", "dispatch", "experts", "combine"}
"""What of a mixture of experts one kernel runs, by name: `1.moe.route` is of the layer `1.`."""
ROW_WISE = {"norm", "rope", "cache", "activation", "multiply", "add", "route", "gather", "combine", "conv"}


def unfused(graph: nx.DiGraph[str]) -> Kernels:
    """One operator a kernel."""
    return [[name] for name in graph]


def whole(graph: nx.DiGraph[str]) -> Kernels:
    """All operators of the block in one kernel."""
    return [list(graph)]


def conventional(graph: nx.DiGraph[str]) -> Kernels:
    """What GPU libraries fuse, by three rules.

    1. Scores, softmax and values of one attention are one kernel (FlashAttention, arXiv 2205.14135).
    2. Matrix products that read the same tensor are one (Q, K and V; gate and up).
    3. A row-wise operator joins the row-wise kernel that feeds it, or that is fed by the same kernel (add and norm;
       rope on Q and on K, and the write to the cache; activation and product).

    A partial sum, which the devices that share the model must reduce first, is not joined by what reads it; nor is a
    join made that would make a kernel wait for itself.
    """
    kernel_of: dict[str, int] = {}
    kernels: Kernels = []
    for name in graph:
        home = next(
            (k for k in _candidates(graph, name, kernels, kernel_of) if _may_join(graph, name, kernels[k])), None
        )
        if home is None:
            home = len(kernels)
            kernels.append([])
        kernels[home].append(name)
        kernel_of[name] = home
    return _ordered(graph, kernels, kernel_of)


def with_experts(graph: nx.DiGraph[str]) -> Kernels:
    """What serving libraries fuse: as `conventional`, and all of the routed experts of each layer in one.

    From the choice of experts to the weighted sum of what they made: the fused mixture of experts. A block may hold
    several layers.
    """
    layers: dict[str, list[str]] = {}
    for name in graph:
        layer, mixture, part = name.partition("moe.")
        if mixture and part.partition(".")[0] in ROUTED:
            layers.setdefault(layer, []).append(name)
    routed = {name for names in layers.values() for name in names}
    others = [[name for name in kernel if name not in routed] for kernel in conventional(graph)]
    kernels = [kernel for kernel in (*others, *layers.values()) if kernel]
    return _ordered(graph, kernels, {name: index for index, kernel in enumerate(kernels) for name in kernel})


FUSIONS: dict[str, Callable[[nx.DiGraph[str]], Kernels]] = {
    "unfused": unfused,
    "conventional": conventional,
    "whole": whole,
}


def _candidates(graph: nx.DiGraph[str], name: str, kernels: Kernels, kernel_of: dict[str, int]) -> Iterable[int]:
    """Kernels that the rules let an operator join, the latest first."""
    kind = _kind(graph, name)
    before = set(graph.predecessors(name))
    feeders = {kernel_of[p] for p in before}
    for index in reversed(range(len(kernels))):
        members = kernels[index]
        first = members[0]
        if kind in ("softmax", "attention"):
            joins = index in feeders and _kind(graph, first) == "attention"
        elif kind == "gemm":
            joins = _kind(graph, first) == "gemm" and set(graph.predecessors(first)) == before
        else:
            joins = (
                kind in ROW_WISE
                and _kind(graph, first) in ROW_WISE
                and (index in feeders or bool(feeders & {kernel_of[p] for p in graph.predecessors(first)}))
            )
        if joins:
            yield index


def _may_join(graph: nx.DiGraph[str], name: str, members: list[str]) -> bool:
    """Whether no partial sum of theirs, and no path from them through others, leads to the operator."""
    inside = {*members, name}
    if any(graph.nodes[p]["operator"].all_reduce for p in graph.predecessors(name) if p in inside):
        return False
    reached = {s for member in members for s in graph.successors(member) if s not in inside}
    open_ = list(reached)
    while open_:
        for successor in graph.successors(open_.pop()):
            if successor == name:
                return False
            if successor not in reached and successor not in inside:
                reached.add(successor)
                open_.append(successor)
    return True


def _ordered(graph: nx.DiGraph[str], kernels: Kernels, kernel_of: dict[str, int]) -> Kernels:
    """The kernels in an order in which each follows those that feed it."""
    waits = {
        k: {kernel_of[p] for n in members for p in graph.predecessors(n)} - {k} for k, members in enumerate(kernels)
    }
    order: list[int] = []
    while waits:
        ready = next(k for k, feeders in waits.items() if not feeders.intersection(waits))
        del waits[ready]
        order.append(ready)
    return [kernels[k] for k in order]


def _kind(graph: nx.DiGraph[str], name: str) -> str:
    kind: str = graph.nodes[name]["operator"].kind
    return kind
