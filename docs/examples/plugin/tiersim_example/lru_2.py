"""A residency policy: LRU-2 (O'Neil, O'Neil and Weikum, SIGMOD 1993)."""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import count

from simulator.plugin import Key, register


@register("residency", "lru_2")
class Lru2:
    """What was requested twice the longest ago leaves first, what was requested once before all others."""

    def __init__(self, _: Sequence[Key]) -> None:
        self._clock = count()
        self._last_two: dict[Key, deque[int]] = {}
        self._resident: dict[Key, None] = {}

    def request(self, key: Key) -> None:
        self._last_two.setdefault(key, deque([-1, -1], maxlen=2)).append(next(self._clock))

    def enter(self, key: Key) -> None:
        self._resident[key] = None

    def leave(self, key: Key) -> None:
        del self._resident[key]

    def victims(self) -> Iterable[Key]:
        return sorted(self._resident, key=lambda key: list(self._last_two[key]))
