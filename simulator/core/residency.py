"""What is in a tier now, and which policy decides what leaves it."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Protocol

from simulator.errors import CapacityError
from simulator.registry import register, registered

Key = Hashable


class Policy(Protocol):
    """Decides what leaves a full tier. It sees every request, and what enters and leaves."""

    def request(self, key: Key) -> None:
        """Called once for each request, hit or miss, before anything enters or leaves for it."""

    def enter(self, key: Key) -> None:
        """Called when `key` becomes resident."""

    def leave(self, key: Key) -> None:
        """Called when `key` is no longer resident."""

    def victims(self) -> Iterable[Key]:
        """The resident keys, the first to go first. Called only when room is needed; must not change anything."""


class Residency:
    """The content of a tier of `capacity` bytes, exact to the byte.

    A pinned key (in use, or still being copied in) cannot leave. Counts `hits`, `misses`, `evictions`, `bytes_in`.
    """

    def __init__(self, capacity: int, policy: Policy, name: str = "tier") -> None:
        self.capacity, self.policy, self.name = capacity, policy, name
        self.used = 0
        self.hits = self.misses = self.evictions = self.bytes_in = 0
        self._sizes: dict[Key, int] = {}
        self._pins: Counter[Key] = Counter()

    def __contains__(self, key: Key) -> bool:
        return key in self._sizes

    def __iter__(self) -> Iterator[Key]:
        return iter(self._sizes)

    def request(self, key: Key, size: int) -> bool:
        """Ask for a key: True on a hit. On a miss it is admitted, others leave to make room, and False is returned.

        Raises:
            CapacityError: what is pinned leaves no room for `size` bytes; nothing has changed then.
            ValueError: a negative size.
        """
        if size < 0:
            raise ValueError(f"{key} in {self.name}: size must be 0 or more, found {size}")
        if key in self._sizes:
            self.policy.request(key)
            self.hits += 1
            return True
        leaving = self._make_room(key, size)
        self.policy.request(key)
        for victim in leaving:
            self.used -= self._sizes.pop(victim)
            self.policy.leave(victim)
        self._sizes[key] = size
        self.used += size
        self.policy.enter(key)
        self.misses += 1
        self.evictions += len(leaving)
        self.bytes_in += size
        return False

    def pin(self, key: Key) -> None:
        """Keep a resident key until it is unpinned as often as it was pinned."""
        self._pins[key] += 1

    def unpin(self, key: Key) -> None:
        """Take one pin back."""
        self._pins[key] -= 1
        if self._pins[key] <= 0:
            del self._pins[key]

    def _make_room(self, key: Key, size: int) -> list[Key]:
        missing = self.used + size - self.capacity
        leaving: list[Key] = []
        if missing <= 0:
            return leaving
        for victim in self.policy.victims():
            if victim not in self._pins:
                leaving.append(victim)
                missing -= self._sizes[victim]
                if missing <= 0:
                    return leaving
        pinned = self.capacity - sum(self._sizes[k] for k in self._pins)
        raise CapacityError(
            f"{key} in {self.name}", needed=size, there=pinned, remedy=f"a larger {self.name}, or less of it in use"
        )


def policy(name: str, requests: Sequence[Key]) -> Policy:
    """A registered policy by name; `requests` is the trace to come, which only Belady's reads."""
    make: Callable[[Sequence[Key]], Policy] = registered("residency", name)
    return make(requests)


@register("residency", "fifo")
class Fifo:
    """First in leaves first: a request changes nothing."""

    def __init__(self, _: Sequence[Key] = ()) -> None:
        self._keys: dict[Key, None] = {}

    def request(self, key: Key) -> None:
        pass

    def enter(self, key: Key) -> None:
        self._keys[key] = None

    def leave(self, key: Key) -> None:
        del self._keys[key]

    def victims(self) -> Iterable[Key]:
        return self._keys


@register("residency", "lru")
class Lru(Fifo):
    """Least recently used leaves first: a request is a new entry."""

    def request(self, key: Key) -> None:
        if key in self._keys:
            self._keys[key] = self._keys.pop(key)


@register("residency", "lfu")
class Lfu(Fifo):
    """Least often requested leaves first, of equals the one that entered first; counts go on after a key has left."""

    def __init__(self, _: Sequence[Key] = ()) -> None:
        super().__init__()
        self._count: Counter[Key] = Counter()

    def request(self, key: Key) -> None:
        self._count[key] += 1

    def victims(self) -> Iterable[Key]:
        return sorted(self._keys, key=self._count.__getitem__)


@register("residency", "belady")
class Belady(Fifo):
    """What is requested farthest in the future leaves first: needs the whole trace, `future`, in the order of requests.

    With keys of one size no policy that admits every key on demand has fewer misses (Belady 1966; Mattson 1970): a
    bound, not a design.
    """

    def __init__(self, future: Sequence[Key]) -> None:
        super().__init__()
        self._next: defaultdict[Key, deque[float]] = defaultdict(deque)
        for position, key in enumerate(future):
            self._next[key].append(position)

    def request(self, key: Key) -> None:
        if self._next[key]:
            self._next[key].popleft()

    def victims(self) -> Iterable[Key]:
        return sorted(self._keys, key=self._next_use, reverse=True)

    def _next_use(self, key: Key) -> float:
        return self._next[key][0] if self._next[key] else float("inf")
