"""The sequences of a pool that decode: all of them in each iteration that does, so that one number tells of all."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Several
from heapq import heappop, heappush

from simulator.serving.service.growth import Growth
from simulator.serving.service.seen import Seen
from simulator.serving.service.sequence import Sequence
from simulator.workload import Cut


class Decoding:
    """Sequences that decode, each known by its context at step 0, its base, and by the step of its last token.

    Attributes:
        steps: iterations so far in which they decoded.
        count: sequences.
        cached: tokens in the cache of all.
    """

    def __init__(self, size: int, cuts: Several[Cut]) -> None:
        """Over blocks of `size` tokens; tokens of a model with `cuts` see so many keys at most."""
        self.steps = self.count = self.cached = 0
        self._ends: list[tuple[int, int, Sequence]] = []
        self._growth = Growth(size)  # of those that have no room for all their tokens
        self._seen = Seen([cut.limit for cut in cuts])

    @property
    def growth(self) -> int:
        """Blocks that they need for their next token."""
        return self._growth.at(self.steps)

    def begin(self, sequence: Sequence, context: int, left: int) -> None:
        """A sequence decodes from the next iteration on, `left` tokens."""
        sequence.base, sequence.end, sequence.decoding = context - self.steps, self.steps + left, True
        self.count += 1
        self.cached += context
        heappush(self._ends, (sequence.end, sequence.number, sequence))
        self._seen.add(sequence.base, self.steps)
        if sequence.reserved <= sequence.target:
            self._growth.add(sequence.base)

    def stop(self, sequence: Sequence) -> int:
        """A sequence decodes no more; tokens of it that were cached."""
        context = sequence.base + self.steps
        sequence.decoding = False
        self.count -= 1
        self.cached -= context
        self._seen.add(sequence.base, self.steps, -1)
        if sequence.reserved <= sequence.target:
            self._growth.add(sequence.base, -1)
        return context

    def advance(self, number: int) -> None:
        """All have had so many tokens more."""
        self.steps += number
        self.cached += self.count * number

    def ended(self) -> Iterator[Sequence]:
        """Those that have all their tokens; each is to be stopped before the next one is looked at."""
        ends = self._ends
        while ends and ends[0][0] <= self.steps:
            end, _, sequence = heappop(ends)
            if sequence.decoding and sequence.end == end:
                yield sequence

    # how long nothing of them changes

    def until_end(self) -> int:
        """Iterations until the first of them has all its tokens."""
        ends = self._ends
        while not ends[0][2].decoding or ends[0][2].end != ends[0][0]:
            heappop(ends)  # it lost its place
        return ends[0][0] - self.steps

    def within(self, blocks: int, most: int) -> int:
        """Iterations, one at least and `most` at most, for which so many blocks last."""
        growth = self._growth
        if blocks >= growth.count * (most // growth.size + 1):
            return most
        return int(max(1, min(most, growth.lasting(self.steps, blocks))))

    def alike(self, most: int) -> int:
        """Iterations, `most` at most, in which each of them sees all keys or as many as it may, as in the first."""
        return int(min(most, self._seen.lasting(self.steps)))

    def keys(self) -> tuple[float, ...]:
        """Of each cut, the keys that they see in the next iteration."""
        return self._seen.at(self.steps)

    def rising(self) -> tuple[int, ...]:
        """Of each cut, the keys that they see more in each further one."""
        return self._seen.rising(self.steps)

    def blocks(self, number: int) -> int:
        """Blocks that they take in so many iterations."""
        return self._growth.over(self.steps, number)
