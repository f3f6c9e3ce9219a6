"""A store of blocks of keys and values, each of as many tokens; a sequence has whole ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from simulator.registry import register
from simulator.serving.service.sequence import Sequence


class Store(Protocol):
    """Where keys and values lie: what a scheduler asks of it, and what the loop then does.

    Attributes:
        size: tokens of a block.
        total, free: blocks, and those that no sequence holds.
        quiet: of the free ones, those that can be taken before something must be copied to another tier.
    """

    size: int
    total: int
    free: int

    @property
    def quiet(self) -> int: ...

    def match(self, sequence: Sequence, beside: dict[Any, int] | None = None) -> tuple[int, int]:
        """Tokens of a sequence that waits which are cached, whole blocks, and how many of these others hold now.

        `beside`: what others would hold that are to join before it; what it would hold is added.
        """

    def unsought(self, sequences: Iterable[Sequence]) -> int:
        """Of the free blocks, those that can be taken before one goes that any of these sequences finds."""

    def freed(self, sequence: Sequence, tokens: int) -> int:
        """Blocks that nobody would hold if a sequence with room for so many tokens left."""

    def join(self, sequence: Sequence) -> int:
        """A sequence that waited takes what is cached of it: so many tokens, whole blocks."""

    def grow(self, blocks: int) -> Mapping[tuple[int, int], int]:
        """Sequences take so many blocks more, and those that joined since what was found of them in other tiers.

        Gives the blocks that are copied for it, by the tiers that they leave and enter; memory is tier 0.

        Raises:
            OverflowError: there are not as many.
        """

    def computed(self, sequence: Sequence) -> None:
        """Keys and values of a chunk of a sequence are in its blocks."""

    def leave(self, sequence: Sequence, tokens: int, ended: bool) -> None:
        """A sequence with room for so many tokens gives its blocks back, for good or until it comes again."""


NONE: Mapping[tuple[int, int], int] = {}


@register("kv", "blocks")
class Blocks:
    """Blocks that are of one sequence, and of nobody when it leaves."""

    def __init__(self, total: int, size: int = 1) -> None:
        self.total, self.free, self.size = total, total, size

    @property
    def quiet(self) -> int:
        return self.free

    def match(self, sequence: Sequence, beside: dict[Any, int] | None = None) -> tuple[int, int]:
        return 0, 0

    def unsought(self, sequences: Iterable[Sequence]) -> float:
        return self.total

    def freed(self, sequence: Sequence, tokens: int) -> int:
        return -(-tokens // self.size)

    def join(self, sequence: Sequence) -> int:
        return 0

    def grow(self, blocks: int) -> Mapping[tuple[int, int], int]:
        if blocks > self.free:
            raise OverflowError(f"{blocks} blocks of {self.free} that are free")
        self.free -= blocks
        return NONE

    def computed(self, sequence: Sequence) -> None:
        pass

    def leave(self, sequence: Sequence, tokens: int, ended: bool) -> None:
        self.free += -(-tokens // self.size)
