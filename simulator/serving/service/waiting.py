"""The queue of a pool, in one of several orders."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from math import inf
from typing import Any, Protocol

from simulator.errors import ConfigError
from simulator.serving.service.sequence import Sequence

ORDERS: dict[str, Callable[[Sequence], Any]] = {
    "fcfs": lambda s: s.arrival,
    "shortest": lambda s: s.input + (s.request.max_tokens or 0),
    "priority": lambda s: (-(s.request.priority or 0), s.arrival),
    "deadline": lambda s: s.arrival + (inf if s.request.slo is None else s.request.slo),
}
"""First come first served; fewest tokens of prompt, and of answer where a limit is stated; greatest priority; earliest
time at which the first token is due."""


class Waiting(Protocol):
    """Sequences that wait, in their order."""

    first_come: bool

    def push(self, sequence: Sequence) -> None: ...

    def remove(self, sequence: Sequence) -> None: ...

    def __iter__(self) -> Iterator[Sequence]: ...

    def __len__(self) -> int: ...


class FirstCome:
    """First come first served; one that lost its place in memory comes before all that came later."""

    first_come = True

    def __init__(self) -> None:
        self._queue: deque[Sequence] = deque()

    def push(self, sequence: Sequence) -> None:
        """Add one to the end, or where its arrival puts it."""
        queue, place = self._queue, (sequence.arrival, sequence.number)
        if not queue or (queue[-1].arrival, queue[-1].number) < place:
            queue.append(sequence)
            return
        at = 0
        while (queue[at].arrival, queue[at].number) < place:
            at += 1
        queue.insert(at, sequence)

    def remove(self, sequence: Sequence) -> None:
        if self._queue[0] is sequence:
            self._queue.popleft()
        else:
            self._queue.remove(sequence)

    def __iter__(self) -> Iterator[Sequence]:
        return iter(self._queue)

    def __len__(self) -> int:
        return len(self._queue)


class Ranked:
    """By rank, the smallest first."""

    first_come = False

    def __init__(self, rank: Callable[[Sequence], Any]) -> None:
        self._rank = rank
        self._queue: list[Sequence] = []  # by falling rank, so that the first is the last

    def push(self, sequence: Sequence) -> None:
        sequence.rank = self._rank(sequence)
        insort(self._queue, sequence, key=lambda each: _Falling((each.rank, each.number)))

    def remove(self, sequence: Sequence) -> None:
        at = len(self._queue) - 1
        while self._queue[at] is not sequence:
            at -= 1
        del self._queue[at]

    def __iter__(self) -> Iterator[Sequence]:
        return reversed(self._queue)

    def __len__(self) -> int:
        return len(self._queue)


class ByModel:
    """A queue for each model that is asked for; together they have no order."""

    first_come = False

    def __init__(self, order: str) -> None:
        self._order = order
        self._queues: dict[str, Waiting] = {}
        self._number = 0

    def of(self, model: str) -> Waiting:
        """Those that wait for a model."""
        if model not in self._queues:
            self._queues[model] = waiting(self._order)
        return self._queues[model]

    def models(self) -> list[str]:
        """Those for which somebody waits."""
        return [model for model, queue in self._queues.items() if queue]

    @property
    def met(self) -> int:
        """Models that have been asked for so far."""
        return len(self._queues)

    def push(self, sequence: Sequence) -> None:
        self.of(sequence.request.model or "").push(sequence)
        self._number += 1

    def remove(self, sequence: Sequence) -> None:
        self.of(sequence.request.model or "").remove(sequence)
        self._number -= 1

    def __iter__(self) -> Iterator[Sequence]:
        return chain.from_iterable(self._queues.values())

    def __len__(self) -> int:
        return self._number


class _Falling:
    """A rank that sorts the other way round."""

    __slots__ = ("rank",)

    def __init__(self, rank: Any) -> None:
        self.rank = rank

    def __lt__(self, other: _Falling) -> bool:
        return bool(other.rank < self.rank)


def waiting(order: str) -> Waiting:
    """An empty queue in an order.

    Raises:
        ConfigError: no such order.
    """
    if order not in ORDERS:
        raise ConfigError(path="order", found=order, expected=", ".join(ORDERS))
    return FirstCome() if order == "fcfs" else Ranked(ORDERS[order])
