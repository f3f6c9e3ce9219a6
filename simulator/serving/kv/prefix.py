"""A store in which blocks of a prefix that several requests have lie once, and are found again until they are needed.

Blocks hang on all tokens before them, so that those that are kept are a tree. A node of it is a run of blocks, however
many: it is cut where another request leaves it, as a radix tree is. Who leaves gives its blocks back from the last to
the first; what nobody holds stays until room is needed, and the longest unused goes first (automatic prefix caching of
vLLM): to the tier behind memory, where there is one (`tiers.py`). What is found there is copied to memory.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from collections.abc import Sequence as Several
from typing import Any

from simulator.registry import register
from simulator.serving.kv.reuse import Alone
from simulator.serving.kv.tiers import Node, Tiers
from simulator.serving.service.sequence import Sequence

Run = tuple[Hashable, int, int]
"""Blocks whose tokens are one stretch of a segment: its name, the first token's place in it, how many blocks.

A block over several segments is a run of its own, of which the name is what it is made of.
"""


@register("kv", "prefix")
class PrefixBlocks:
    """Blocks of which full ones are shared by all who have the same tokens up to their ends.

    What one computes, others find from its next iteration on. Of two that compute the same at once, each has blocks of
    its own. Tokens of an answer are found by who goes on with them (the next turn of a session), and by the request
    itself where it lost its place.
    """

    def __init__(self, total: int, size: int = 1, lower: Several[int] = (), alone: Alone | None = None) -> None:
        """`total` blocks of `size` tokens in memory, and so many in each tier behind it.

        With `alone`, what is found in these is used up to the tier with which a prompt alone takes the least.
        """
        self.total, self.free, self.size, self._alone = total, total, size, alone
        self._root = Node(None, None, 0, 0)
        self._tiers = Tiers((total, *lower), size)
        self._due = 0  # blocks of memory for what is copied from other tiers

    # what a scheduler asks

    @property
    def quiet(self) -> int:
        return self._tiers.quiet if len(self._tiers.totals) > 1 else self.free

    def match(self, sequence: Sequence, beside: dict[Any, int] | None = None) -> tuple[int, int]:
        blocks = held = 0
        for node, count in self._path(sequence):
            blocks += count
            if node.holders:
                held += count
            elif beside is not None:
                held += min(count, beside.get(node, 0))
                beside[node] = max(count, beside.get(node, 0))
        return blocks * self.size, held

    def unsought(self, sequences: Iterable[Sequence]) -> int:
        sought = {node for sequence in sequences for node, _ in self._path(sequence)}
        return self._tiers.before(sought) if sought else self.total

    def freed(self, sequence: Sequence, tokens: int) -> int:
        own = -(-tokens // self.size) - sequence.shared
        node = sequence.leaf
        while node is not None and node.parent is not None:
            own += node.count if node.holders == 1 else 0
            node = node.parent
        return own

    # what the loop does

    def join(self, sequence: Sequence) -> int:
        blocks, leaf = 0, self._root
        for node, count in list(self._path(sequence)):
            leaf = self._tiers.cut(node, count) if count < node.count else node
            blocks += count
        self._hold(leaf)
        sequence.leaf, sequence.shared = leaf, blocks
        return blocks * self.size

    def grow(self, blocks: int) -> Mapping[tuple[int, int], int]:
        if blocks > self.free:
            raise OverflowError(f"{blocks} blocks of {self.free} that are free")
        self.free -= blocks
        self._tiers.take(blocks + self._due)
        moves, self._due, self._tiers.moves = self._tiers.moves, 0, {}
        return moves

    def computed(self, sequence: Sequence) -> None:
        self._keep(sequence, sequence.computed, self._runs(sequence))

    def leave(self, sequence: Sequence, tokens: int, ended: bool) -> None:
        known = sequence.computed
        self._keep(sequence, known, _runs(sequence, known, self.size, not ended or sequence.preemptions > 0))
        own = -(-tokens // self.size) - sequence.shared
        if own:
            self._tiers.release(own)
            self.free += own
        node = sequence.leaf or self._root
        while node.parent is not None:
            node.holders -= 1
            if not node.holders:
                self._tiers.release(node)
                self.free += node.count
            node = node.parent
        sequence.leaf, sequence.shared, sequence.runs = None, 0, None

    # the tree

    def _runs(self, sequence: Sequence) -> list[Run]:
        """The runs of what is to be computed of a sequence, as others may look for it, and itself if it was here."""
        if sequence.runs is None:
            sequence.runs = _runs(sequence, sequence.target, self.size, sequence.preemptions > 0)
        return sequence.runs  # type: ignore[no-any-return]

    def _path(self, sequence: Sequence) -> Iterable[tuple[Node, int]]:
        """The nodes from the root on that a sequence uses, each with how many of its blocks."""
        nodes = self._whole_path(sequence)
        if self._alone is None:
            return nodes
        path = list(nodes)
        return path if not path or not path[-1][0].tier else self._fastest(sequence.target, path, self._alone)

    def _fastest(self, target: int, path: list[tuple[Node, int]], alone: Alone) -> list[tuple[Node, int]]:
        """The beginning of a path, up to the end of what lies in one tier, with which so many tokens take the least."""
        # By the tier: seconds, and nodes up to there.
        ends: dict[int, tuple[float, int]] = {0: (alone(target, 0, {}), 0)}
        blocks, moves = 0, dict[tuple[int, int], int]()
        for number, (node, count) in enumerate(path, 1):
            blocks += count
            if node.tier:
                hop = self._tiers.places[node.tier], 0
                moves[hop] = moves.get(hop, 0) + count
            if number == len(path) or path[number][0].tier != node.tier:
                ends[node.tier] = alone(target, blocks * self.size, moves), number
        return path[: min(ends.values(), key=lambda end: (end[0], -end[1]))[1]]

    def _whole_path(self, sequence: Sequence) -> Iterator[tuple[Node, int]]:
        """The nodes from the root on that a sequence finds, each with how many of its blocks; never all its tokens."""
        left, node = (sequence.target - 1) // self.size, self._root
        for name, first, count in self._runs(sequence):
            count = min(count, left)
            while count:
                child = node.children.get((name, first))
                if child is None:
                    return
                taken = min(child.count, count)
                yield child, taken
                if taken < child.count:
                    return
                node, left, count, first = child, left - taken, count - taken, first + taken * self.size
            if not left:
                return

    def _keep(self, sequence: Sequence, tokens: int, runs: list[Run]) -> None:
        """Full blocks of a sequence hang in the tree, as far as nobody else's of the same tokens do in memory."""
        node, done, most = sequence.leaf or self._root, 0, tokens // self.size
        for name, first, count in runs:
            count = min(count, most - done)
            if count <= 0:
                return
            done += count
            new = min(count, done - sequence.shared)
            while new > 0:
                at = first + (count - new) * self.size
                other = node.children.get((name, at))
                if other is None:
                    node, kept = self._longer(node, name, at, new), new
                elif other.tier:  # computed anew, it need not be copied
                    node = self._tiers.cut(other, new) if new < other.count else other
                    self._tiers.claim(node, copied=False)
                    node.holders, kept = 1, node.count
                else:
                    return
                new -= kept
                sequence.leaf, sequence.shared = node, sequence.shared + kept

    def _longer(self, node: Node, name: Hashable, at: int, blocks: int) -> Node:
        """The end of a path that a sequence holds and that goes on with so many blocks more."""
        end = node.first + node.count * self.size
        if node.name == name and end == at and node.holders == 1 and not node.children:
            node.count += blocks
            return node
        child = Node(node, name, at, blocks)
        child.holders = 1
        node.children[name, at] = child
        return child

    def _hold(self, node: Node) -> None:
        while node.parent is not None:
            if not node.holders:
                self._due += node.count if node.tier else 0
                self.free -= node.count
                self._tiers.claim(node)
            node.holders += 1
            node = node.parent


def _runs(sequence: Sequence, tokens: int, size: int, own: bool) -> list[Run]:
    """Full blocks of the first tokens of a sequence, as runs; with `own`, those too that nobody else has."""
    segments = list(sequence.request.segments(tokens))
    known = sum(length for _, length in segments)
    if own and known < tokens:
        segments.append((("own", sequence.number), tokens - known))
    runs: list[Run] = []
    part: list[tuple[Hashable, int, int]] = []  # of a block that is not full yet
    filled = 0
    for name, length in segments:
        at = 0
        if filled:
            taken = min(size - filled, length)
            part.append((name, 0, taken))
            filled, at = filled + taken, taken
            if filled < size:
                continue
            runs.append((tuple(part), 0, 1))
            part, filled = [], 0
        blocks = (length - at) // size
        if blocks:
            runs.append((name, at, blocks))
            at += blocks * size
        if at < length:
            part, filled = [(name, at, length - at)], length - at
    return runs
