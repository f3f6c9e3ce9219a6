"""Blocks that sequences take as they decode, counted by what their contexts leave modulo the size of a block."""

from __future__ import annotations

from math import inf


class Growth:
    """Sequences that take a block whenever the last one is full; each is known by its context at step 0, its base.

    Attributes:
        count: sequences.
    """

    def __init__(self, size: int) -> None:
        self.size, self.count = size, 0
        self._phases = [0] * size  # sequences by their base modulo the size

    def add(self, base: int, sequences: int = 1) -> None:
        """So many sequences more (or fewer) have this base."""
        self._phases[base % self.size] += sequences
        self.count += sequences

    def at(self, step: int) -> int:
        """Blocks that are taken in one step."""
        return self._phases[-step % self.size]

    def over(self, step: int, number: int) -> int:
        """Blocks that are taken in so many steps from one on."""
        cycles, rest = divmod(number, self.size)
        blocks = self.count * cycles
        for each in range(step, step + rest):
            blocks += self._phases[-each % self.size]
        return blocks

    def lasting(self, step: int, blocks: int) -> float:
        """Steps from one on for which so many blocks last."""
        if not self.count:
            return inf
        cycles = blocks // self.count
        number, left = cycles * self.size, blocks - cycles * self.count
        while (needed := self._phases[-(step + number) % self.size]) <= left:
            left -= needed
            number += 1
        return number
