"""What is in a tier now, and which policy decides what leaves it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Protocol

from simulator.errors import CapacityError
from simulator.registry import register, registered

Key = Hashable


class Policy(Protocol):
    """Decides what leaves a full tier. It sees every request, and what enters and leaves.

    One that would rather keep what is there than admit some keys may say so with `passes(key) -> bool`, which a tier
    asks that may be bypassed: of a missing key, before its `request`, where there is no room.
    """

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
    Where `bypass`, a missing key may be used without being admitted: one that is larger than the tier, or that its
    policy lets pass; it is a miss, and its bytes are not counted.
    """

    def __init__(self, capacity: int, policy: Policy, name: str = "tier", bypass: bool = False) -> None:
        self.capacity, self.policy, self.name, self.bypass = capacity, policy, name, bypass
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
        if self.bypass and self._passes(key, size):
            self.policy.request(key)
            self.misses += 1
            return False
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

    def _passes(self, key: Key, size: int) -> bool:
        """Whether a missing key is used without being admitted."""
        if size > self.capacity:
            return True
        passes: Callable[[Key], bool] | None = getattr(self.policy, "passes", None)
        return passes is not None and self.used + size > self.capacity and passes(key)

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
            f"{key} in {self.name}", needed=size, available=pinned, remedy=f"a larger {self.name}, or less of it in use"
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


class Ranked(ABC):
    """A policy by which the key of the lowest `rank` leaves first, of equals the one that entered first.

    A rank changes only with a request of its key. Ranks lie in a heap that keeps old ones until they come up.
    """

    def __init__(self) -> None:
        self._entered: dict[Key, int] = {}
        self._heap: list[tuple[tuple[float, int], Key]] = []
        self._entries = 0

    @abstractmethod
    def rank(self, key: Key) -> float:
        """How much a resident key is worth keeping."""

    def request(self, key: Key) -> None:
        if key in self._entered:
            heappush(self._heap, (self._order(key), key))

    def enter(self, key: Key) -> None:
        self._entries += 1
        self._entered[key] = self._entries
        heappush(self._heap, (self._order(key), key))

    def leave(self, key: Key) -> None:
        del self._entered[key]

    def victims(self) -> Iterable[Key]:
        if self._entered:
            first = self._first()
            yield first
            yield from sorted((key for key in self._entered if key != first), key=self._order)

    def _first(self) -> Key:
        """The resident key that leaves first."""
        while (top := self._heap[0])[1] not in self._entered or top[0] != self._order(top[1]):
            heappop(self._heap)
        return top[1]

    def _order(self, key: Key) -> tuple[float, int]:
        return self.rank(key), self._entered[key]


@register("residency", "lfu")
class Lfu(Ranked):
    """Least often requested leaves first, of equals the one that entered first; counts go on after a key has left."""

    def __init__(self, _: Sequence[Key] = ()) -> None:
        super().__init__()
        self._count: Counter[Key] = Counter()

    def request(self, key: Key) -> None:
        self._count[key] += 1
        super().request(key)

    def rank(self, key: Key) -> float:
        return self._count[key]


@register("residency", "popularity")
class Popularity(Ranked):
    """Least often requested in all of the trace leaves first, and passes where the tier is full of others: static."""

    def __init__(self, future: Sequence[Key]) -> None:
        super().__init__()
        self._count = Counter(future)

    def rank(self, key: Key) -> float:
        return self._count[key]

    def passes(self, key: Key) -> bool:
        return self.rank(key) <= self.rank(self._first())


@register("residency", "belady")
class Belady(Ranked):
    """What is requested farthest in the future leaves first: needs the whole trace, `future`, in the order of requests.

    With keys of one size no policy that admits every key on demand has fewer misses (Belady 1966; Mattson 1970); where
    the tier may be bypassed, none at all: a bound, not a design.
    """

    def __init__(self, future: Sequence[Key]) -> None:
        super().__init__()
        self._next: defaultdict[Key, deque[float]] = defaultdict(deque)
        for position, key in enumerate(future):
            self._next[key].append(position)

    def request(self, key: Key) -> None:
        if self._next[key]:
            self._next[key].popleft()
        super().request(key)

    def rank(self, key: Key) -> float:
        return -self._next[key][0] if self._next[key] else -float("inf")

    def passes(self, key: Key) -> bool:
        later = -self._next[key][1] if len(self._next[key]) > 1 else -float("inf")
        return later <= self.rank(self._first())
