"""Tiers in which runs of blocks lie that nobody holds: memory first, and behind it where they go when it is full.

What is the longest unused leaves memory for the tier behind it, from there for the next one, and from the last one for
good; so all tiers together are one list by last use (LRU), and each block lies in one of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Hashable, Sequence
from itertools import takewhile
from typing import Any


class Node:
    """A run of blocks behind its parent's, in one tier: `holders` sequences hold all of them; without any, they may go.

    Who holds it holds all before it, in memory; so what lies behind it is in the same tier or a later one, and goes
    first.
    """

    __slots__ = ("children", "count", "first", "holders", "name", "parent", "tier")

    def __init__(self, parent: Node | None, name: Hashable, first: int, count: int) -> None:
        self.parent, self.name, self.first, self.count = parent, name, first, count
        self.holders = self.tier = 0
        self.children: dict[tuple[Hashable, int], Node] = {}


class Tiers:
    """Blocks of each tier that nobody holds, the longest unused first: nodes, or blocks of no use alone.

    Attributes:
        totals: blocks of each tier that has some.
        places: which of the tiers that were stated these are.
        moves: blocks copied since the last look, by the places of the tier that they left and of that they entered.
    """

    def __init__(self, totals: Sequence[int], size: int) -> None:
        self.size = size
        self.places = [place for place, blocks in enumerate(totals) if blocks]
        self.totals = [totals[place] for place in self.places]
        self.moves: dict[tuple[int, int], int] = {}
        self._idle: list[OrderedDict[Any, int]] = [OrderedDict({None: blocks}) for blocks in self.totals]

    @property
    def quiet(self) -> int:
        """Blocks of memory that can be taken before one must be copied."""
        return sum(count for _, count in takewhile(lambda each: not isinstance(each[0], Node), self._idle[0].items()))

    def before(self, nodes: Collection[Node]) -> int:
        """Blocks of memory that can be taken before one of these nodes loses some."""
        return sum(count for _, count in takewhile(lambda each: each[0] not in nodes, self._idle[0].items()))

    def release(self, blocks: Node | int) -> None:
        """A node, or so many blocks of no use, are in memory and held by nobody now."""
        if isinstance(blocks, Node):
            self._idle[0][blocks] = blocks.count
        else:
            self._idle[0][object()] = blocks

    def claim(self, node: Node, copied: bool = True) -> None:
        """A node is held in memory now: it is copied there, or was computed anew. Room for it is taken apart."""
        idle = self._idle[node.tier]
        del idle[node]
        if node.tier:
            idle[None] = idle.get(None, 0) + node.count
            idle.move_to_end(None, last=False)
            if copied:
                self._move(node.tier, 0, node.count)
            node.tier = 0

    def take(self, blocks: int, tier: int = 0) -> None:
        """So many blocks of a tier are for others now; what lay there goes one tier further."""
        idle = self._idle[tier]
        while blocks:
            first = next(iter(idle))
            count = min(idle[first], blocks)
            if isinstance(first, Node):
                count = self._demote(first, count)
            elif count < idle[first]:
                idle[first] -= count
            else:
                del idle[first]
            blocks -= count

    def cut(self, node: Node, count: int) -> Node:
        """Cut a node behind so many blocks; the front, which is new, is held as the rest is. Gives the front.

        Where nobody holds it, the rest keeps its place and the front is the last used.
        """
        assert node.parent is not None
        front = Node(node.parent, node.name, node.first, count)
        front.holders, front.tier = node.holders, node.tier
        node.parent.children[front.name, front.first] = front
        node.first, node.count, node.parent = node.first + count * self.size, node.count - count, front
        front.children[node.name, node.first] = node
        if not node.holders:
            self._idle[node.tier][node], self._idle[node.tier][front] = node.count, count
        return front

    def _demote(self, node: Node, blocks: int) -> int:
        """The last blocks of the first node of a tier go one tier further, at most as many as that holds: how many."""
        tier, below = node.tier, node.tier + 1
        if below == len(self.totals):
            self._shrink(node, blocks)
            return blocks
        blocks = min(blocks, self.totals[below])
        self.take(blocks, below)
        self._move(tier, below, blocks)
        last, *others = node.children.values() or (None,)
        end = node.first + node.count * self.size
        if last and not others and (last.name, last.first) == (node.name, end) and self._is_last(last, below):
            del node.children[last.name, last.first]
            last.first, last.count = last.first - blocks * self.size, last.count + blocks
            node.children[last.name, last.first] = last
            self._idle[below][last] = last.count
            self._shrink(node, blocks)
            return blocks
        if blocks < node.count:
            front = self.cut(node, node.count - blocks)
            self._idle[tier].move_to_end(front, last=False)
        del self._idle[tier][node]
        self._idle[below][node], node.tier = node.count, below
        return blocks

    def _is_last(self, node: Node, tier: int) -> bool:
        return next(reversed(self._idle[tier]), None) is node

    def _shrink(self, node: Node, blocks: int) -> None:
        """A node loses its last blocks; without any, what is behind it hangs on its parent."""
        node.count -= blocks
        if node.count:
            self._idle[node.tier][node] = node.count
            return
        assert node.parent is not None
        del self._idle[node.tier][node], node.parent.children[node.name, node.first]
        for key, child in node.children.items():
            node.parent.children[key], child.parent = child, node.parent

    def _move(self, source: int, target: int, blocks: int) -> None:
        hop = self.places[source], self.places[target]
        self.moves[hop] = self.moves.get(hop, 0) + blocks
