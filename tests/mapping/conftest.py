"""Blocks drawn at random, small graphs that branch, join and end in the open; and dataflow engines of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations
from typing import Any

import networkx as nx
import pytest
from hypothesis import strategies as st

from simulator.hardware import load_system
from simulator.mapping.target import Target, target
from simulator.workload import Block, Operator

Machine = Callable[..., Target]
Draw = Callable[..., st.SearchStrategy[Block]]
Chain = list[frozenset[str]]  # kernels, in the order in which they run
Chains = Callable[[Block], Iterator[Chain]]

FLOPS = st.sampled_from([0.0, 1e6, 1e9, 3e10, 1e12])
BYTES = st.sampled_from([0.0, 2.0, 6e4, 1e6, 3e7])


@pytest.fixture(scope="session")
def machine() -> Machine:
    """SN40L sockets of other sizes, each PCU and PMU as it was unless said otherwise; and keywords of the fabric."""
    engine, tiers = "devices.socket.engines.rdu", "devices.socket.tiers"
    socket = load_system("sn40l-node").machine.devices["socket"]
    grid, sram = socket.engines["rdu"].fabric, socket.tiers["sram"]
    assert grid
    rate, room, speed = (
        whole / parts
        for whole, parts in (
            (socket.engines["rdu"].peak["bf16"], grid.pcus),
            (sram.capacity, grid.pmus),
            (sram.bandwidth, grid.pmus),
        )
    )

    def build(
        pcus: int = 1040,
        pmus: int = 1040,
        pmu_bytes: float = room,
        pmu_bandwidth: float = speed,
        hbm: float = 1.8e12,
        link: float = 4e11,
        sockets: int = 8,
        **fabric: Any,
    ) -> Target:
        figures = {
            "devices.socket.count": sockets,
            f"{engine}.fabric.pcus": pcus,
            f"{engine}.peak.bf16": rate * pcus,
            f"{engine}.fabric.pmus": pmus,
            f"{tiers}.sram.capacity": pmu_bytes * pmus,
            f"{tiers}.sram.bandwidth": pmu_bandwidth * pmus,
            f"{tiers}.hbm.bandwidth": hbm,
            "links.socket<->socket.bandwidth": link,
            **{f"{engine}.fabric.{key}": value for key, value in fabric.items()},
        }
        texts = [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in figures.items()]
        return loaded(tuple(texts))

    @cache
    def loaded(texts: tuple[str, ...]) -> Target:
        return target(load_system("sn40l-node", texts))

    return build


@pytest.fixture(scope="session")
def random_blocks() -> Draw:
    """Blocks of up to `most` operators, each fed by some of the `reach` before it.

    `partial`: some leave sums to be reduced. `joined`: the last reads all that no other does.
    """

    @st.composite
    def draw_block(
        draw: st.DrawFn, most: int = 6, reach: int = 3, partial: bool = False, joined: bool = False
    ) -> Block:
        graph: nx.DiGraph[str] = nx.DiGraph()
        entries: dict[str, float] = {}
        names = [f"o{i}" for i in range(draw(st.integers(1, most)))]
        made: dict[str, float] = {}
        tokens = draw(st.sampled_from([1.0, 40.0, 1000.0]))
        for i, name in enumerate(names):
            near = names[max(i - reach, 0) : i]
            feeders = draw(st.lists(st.sampled_from(near), unique=True, max_size=3)) if near else []
            if joined and i == len(names) - 1:
                feeders = sorted({*feeders, *(name for name in names[:i] if not graph.out_degree(name))})
            edges = {f: made[f] * draw(st.sampled_from([0.5, 1.0])) for f in sorted(feeders)}
            if not feeders:
                entries[name] = 1e5
            made[name] = draw(st.sampled_from([2e3, 1e5, 4e6]))
            sums = partial and draw(st.booleans())
            operator = Operator(
                name,
                "gemm",
                draw(FLOPS),
                {
                    "weight": draw(BYTES),
                    "kv_read": draw(BYTES),
                    "kv_write": draw(st.sampled_from([0.0, 1e4])),
                    "input": sum(edges.values(), start=entries.get(name, 0.0)),
                    "output": made[name],
                },
                "bf16",
                split="rows" if sums else draw(st.sampled_from(["none", "columns"])),
                all_reduce=sums,
            )
            graph.add_node(name, operator=operator)
            graph.add_edges_from((f, name, {"bytes": size}) for f, size in edges.items())
        return Block("random", draw(st.sampled_from([1, 5])), graph, entries, names[-1], tokens)

    return draw_block


@pytest.fixture(scope="session")
def chains() -> Chains:
    """All ways to run a block's operators in groups, one after another: none before what feeds it. By brute force."""

    def every(block: Block) -> Iterator[Chain]:
        graph = block.graph

        def rest(left: frozenset[str]) -> Iterator[Chain]:
            if not left:
                yield []
            for size in range(1, len(left) + 1):
                for names in combinations(sorted(left), size):
                    group = frozenset(names)
                    later = left - group
                    if not any(feeder in later for name in group for feeder in graph.predecessors(name)):
                        yield from ([group, *others] for others in rest(later))

        return rest(frozenset(graph))

    return every
