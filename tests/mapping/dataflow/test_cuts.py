"""The chains of convex cuts are all the ways to run a block in kernels, no more and no fewer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.mapping.dataflow.cuts import Cuts, cuts
from simulator.workload import Block, Operator, decode, load_model, operator_graph

Chain = list[frozenset[str]]


def found_chains(found: Cuts) -> Iterator[Chain]:
    """Every way from the empty down-set to the block."""
    steps: dict[int, list[tuple[int, int]]] = {}
    for start, end, kernel in zip(*found.chains, strict=True):
        steps.setdefault(int(start), []).append((int(end), int(kernel)))

    def walk(at: int) -> Iterator[Chain]:
        if at == found.down_sets - 1:
            yield []
        for end, kernel in steps.get(at, []):
            group = frozenset(found.groups([kernel])[0])
            yield from ([group, *others] for others in walk(end))

    return walk(0)


def sinks(block: Block) -> dict[str, str]:
    """Operators that nothing waits for, and the last of those that feed each."""
    graph, place = block.graph, {name: i for i, name in enumerate(block.graph)}
    return {
        name: max(graph.predecessors(name), key=place.__getitem__)
        for name in graph
        if name != block.exit and graph.in_degree(name) and not graph.out_degree(name)
    }


@given(st.data())
@settings(max_examples=60)
def test_the_chains_are_all_partitions_that_can_run(
    random_blocks: Callable[..., st.SearchStrategy[Block]],
    chains: Callable[[Block], Iterator[Chain]],
    data: st.DataObject,
) -> None:
    block = data.draw(random_blocks(most=6))
    riding = sinks(block)
    found = list(found_chains(cuts(block)))
    expected = {
        tuple(chain)
        for chain in chains(block)
        if all(name not in group or feeder in group for group in chain for name, feeder in riding.items())
    }
    assert len(found) == len({tuple(chain) for chain in found})
    assert {tuple(chain) for chain in found} == expected


@given(st.data())
@settings(max_examples=40)
def test_where_all_ends_join_every_partition_is_there(
    random_blocks: Callable[..., st.SearchStrategy[Block]],
    chains: Callable[[Block], Iterator[Chain]],
    data: st.DataObject,
) -> None:
    block = data.draw(random_blocks(most=6, joined=True))
    assert not sinks(block)
    assert {tuple(chain) for chain in found_chains(cuts(block))} == {tuple(chain) for chain in chains(block)}


@given(st.data())
@settings(max_examples=40)
def test_kernels_are_convex_and_hold_each_operator_once_in_every_chain(
    random_blocks: Callable[..., st.SearchStrategy[Block]], data: st.DataObject
) -> None:
    block = data.draw(random_blocks(most=8))
    found = cuts(block)
    graph = block.graph
    groups = [set(group) for group in found.groups(range(len(found.members)))]
    assert len(groups) == len({frozenset(group) for group in groups})
    for group in groups:
        after = {d for name in group for d in nx.descendants(graph, name)} - group
        before = {a for name in group for a in nx.ancestors(graph, name)} - group
        assert not after & before  # no way leads out and in again
    starts, ends, kernels = found.chains
    assert (starts < ends).all()
    size = dict.fromkeys([0], 0)
    for start, end, kernel in sorted(zip(starts.tolist(), ends.tolist(), kernels.tolist(), strict=True)):
        assert size.setdefault(end, size[start] + len(groups[kernel])) == size[start] + len(groups[kernel])
    assert size[found.down_sets - 1] == len(graph)


@pytest.mark.parametrize("model", ["llama-2-7b", "falcon-40b", "mixtral-8x7b", "glam-143b"])
def test_layers_are_narrow(model: str) -> None:
    for block in operator_graph(load_model(model), decode(1, 100)).blocks:
        assert len(block.graph) <= cuts(block).down_sets - 1 <= 100


def test_a_block_that_branches_too_widely_says_so() -> None:
    graph: nx.DiGraph[str] = nx.DiGraph()
    for i in range(12):
        graph.add_node(f"o{i}", operator=Operator(f"o{i}", "gemm", 1.0, {"input": 1.0, "output": 1.0}, "bf16"))
    wide = Block("wide", 1, graph, dict.fromkeys(graph, 1.0), "o11")
    with pytest.raises(ConfigError, match="wide branches too widely"):
        cuts(wide)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=500)
def test_the_chains_at_length(
    random_blocks: Callable[..., st.SearchStrategy[Block]],
    chains: Callable[[Block], Iterator[Chain]],
    data: st.DataObject,
) -> None:
    block = data.draw(random_blocks(most=7))
    riding = sinks(block)
    expected = {
        tuple(chain)
        for chain in chains(block)
        if all(name not in group or feeder in group for group in chain for name, feeder in riding.items())
    }
    assert {tuple(chain) for chain in found_chains(cuts(block))} == expected
