"""A residency policy: the most recently used leaves first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from simulator.plugin import Key, register


@register("residency", "mru")
class Mru:
    """The best that a cache can do without foresight for requests that go round and round: most of it stays."""

    def __init__(self, _: Sequence[Key]) -> None:  # the requests to come, which it does not look at
        self._keys: dict[Key, None] = {}

    def request(self, key: Key) -> None:
        if key in self._keys:
            self._keys[key] = self._keys.pop(key)

    def enter(self, key: Key) -> None:
        self._keys[key] = None

    def leave(self, key: Key) -> None:
        del self._keys[key]

    def victims(self) -> Iterable[Key]:
        return reversed(list(self._keys))
