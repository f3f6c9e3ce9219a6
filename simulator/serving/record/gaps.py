"""Seconds from a token of a sequence to its next, of all that decode and of those that had to wait meanwhile."""

from __future__ import annotations

from simulator.serving.record.digest import Digest


class Gaps:
    """Gaps of a pool, in a digest.

    Where all that decode go on, they had their last tokens together. Where they waited, it holds when how many had.
    """

    def __init__(self) -> None:
        self.digest = Digest()
        self._since: list[tuple[float, int]] = []

    @property
    def waiting(self) -> bool:
        """Whether some that decode have waited since their last token."""
        return bool(self._since)

    def hold(self, now: float, count: int) -> None:
        """So many that decode, who had a token now, wait while others are served."""
        if count and not self._since:
            self._since = [(now, count)]

    def join(self, now: float, count: int, since: float) -> None:
        """Another decodes beside so many, whose last token is longer ago."""
        self.hold(now, count)
        self._since.append((since, 1))

    def begin(self, now: float, more: int) -> None:
        """So many more decode, who had their first tokens now."""
        if self._since and more:
            self._since.append((now, more))

    def lose(self, now: float) -> float:
        """One decodes no more: when it had its last token, as the last of those that wait for the next."""
        if not self._since:
            return now
        since, count = self._since.pop()
        if count > 1:
            self._since.append((since, count - 1))
        return since

    def give(self, now: float, count: int, number: int, first: float, last: float) -> None:
        """All that decode have had so many tokens more, the first and the last after so many seconds."""
        if not self._since:
            self.digest.line(first, last, number, count)
            return
        for since, waited in self._since:
            self.digest.add(now - since, waited)
        self._since = []
