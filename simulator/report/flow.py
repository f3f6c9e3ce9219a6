"""Where the stages of a pipeline are drawn: rows of a layered graph, read from the top, in one column or in two.

Each stage stands in the row after the last of those that feed it; an output that is read further down passes through
the rows between (Sugiyama et al., IEEE Trans. SMC 11(2), 1981).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

SWEEPS = 6  # over the rows, down and up in turn
CROSSING = 1.5  # rows by which columns may differ so that one output fewer goes from one to the other


class Node(NamedTuple):
    """A stage in its own row, or its output on its way through a later one."""

    stage: str
    row: int


@dataclass(frozen=True)
class Flow:
    """Rows from left to right, the horizontal centre of each node, and who leads to whom in the next row."""

    rows: list[list[Node]]
    x: dict[Node, float]
    links: list[tuple[Node, Node]]

    def is_stage(self, node: Node) -> bool:
        """Whether the stage itself stands here, not its output passing by."""
        return not any(after == node and before.stage == node.stage for before, after in self.links)

    def crossing(self, row: int) -> list[str]:
        """The stages whose outputs go from a row to the next."""
        return list(dict.fromkeys(before.stage for before, _ in self.links if before.row == row))

    def cut(self, most: int) -> int:
        """How many rows the first of two columns holds: all, if `most` at most; else half, if few outputs cross.

        An output that crosses is worth `CROSSING` rows.
        """
        rows = len(self.rows)
        if rows <= most:
            return rows
        return min(range(1, rows), key=lambda row: CROSSING * len(self.crossing(row - 1)) + abs(row - rows / 2))


def flow(after: Mapping[str, Sequence[str]], box: float, thread: float) -> Flow:
    """Lay out stages, given in an order in which they can run, each with those that feed it.

    `box` and `thread` are the widths of a stage and of an output that passes by; `x` is around 0.
    """
    row: dict[str, int] = {}
    for stage, feeders in after.items():
        row[stage] = 1 + max((row[feeder] for feeder in feeders), default=-1)
    links: dict[tuple[Node, Node], None] = {}
    for stage, feeders in after.items():
        for feeder in feeders:
            way = [Node(feeder, r) for r in range(row[feeder], row[stage])] + [Node(stage, row[stage])]
            links |= dict.fromkeys(pairwise(way))
    nodes = dict.fromkeys([Node(stage, r) for stage, r in row.items()] + [node for link in links for node in link])
    rows = [[node for node in nodes if node.row == r] for r in range(1 + max(row.values(), default=-1))]
    width = {node: box if node.row == row[node.stage] else thread for node in nodes}
    return Flow(rows, _centres(rows, list(links), width), list(links))


def _centres(
    rows: list[list[Node]], links: Sequence[tuple[Node, Node]], width: Mapping[Node, float]
) -> dict[Node, float]:
    """Each node near the mean of those that it leads to or comes from, and beside the others of its row."""
    x: dict[Node, float] = {}
    above: dict[Node, list[Node]] = {}
    below: dict[Node, list[Node]] = {}
    for before, after in links:
        above.setdefault(after, []).append(before)
        below.setdefault(before, []).append(after)
    for nodes in rows:
        x |= _apart(nodes, {node: 0.0 for node in nodes}, width)
    for sweep in range(SWEEPS):
        near, order = (above, rows) if sweep % 2 == 0 else (below, rows[::-1])
        for nodes in order:
            wanted = {n: sum(x[m] for m in near[n]) / len(near[n]) if n in near else x[n] for n in nodes}
            nodes.sort(key=lambda node: wanted[node])
            x |= _apart(nodes, wanted, width)
    return x


def _apart(nodes: Sequence[Node], wanted: Mapping[Node, float], width: Mapping[Node, float]) -> dict[Node, float]:
    """Centres in the order given, no two nodes over one another, on average where they are wanted."""
    centres: list[float] = []
    for place, node in enumerate(nodes):
        least = centres[-1] + (width[nodes[place - 1]] + width[node]) / 2 if place else wanted[node]
        centres.append(max(wanted[node], least))
    shift = sum(wanted[node] - centre for node, centre in zip(nodes, centres, strict=True)) / max(len(nodes), 1)
    return {node: centre + shift for node, centre in zip(nodes, centres, strict=True)}
