"""What a scheduler sees and what it decides: the seam between the loop of a pool and its policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

from simulator.serving.kv.blocks import Store
from simulator.serving.service.sequence import Sequence
from simulator.serving.service.waiting import Waiting

Preemption = Literal["recompute", "swap"]


class View(Protocol):
    """A pool as its scheduler sees it before an iteration; it changes nothing.

    Attributes:
        now: the clock, seconds.
        waiting: those that have arrived (or lost their place), in their order.
        running: those that hold room, in the order in which they joined.
        prefilling: those of them whose prompt is computed in part.
        swapped: those whose keys and values lie in another tier, in the order in which they went there.
        count: sequences that decode.
        growth: blocks that these need for their next token.
        store: where keys and values lie.
        loaded: of models that take turns, the one whose weights are in memory; None before the first.
    """

    @property
    def now(self) -> float: ...

    @property
    def waiting(self) -> Waiting: ...

    @property
    def running(self) -> Mapping[Sequence, None]: ...

    @property
    def prefilling(self) -> Mapping[Sequence, None]: ...

    @property
    def swapped(self) -> Mapping[Sequence, None]: ...

    @property
    def count(self) -> int: ...

    @property
    def store(self) -> Store: ...

    @property
    def growth(self) -> int: ...

    @property
    def loaded(self) -> str | None: ...

    def context(self, sequence: Sequence) -> int:
        """Tokens of a sequence that are in the cache."""

    def room(self, sequence: Sequence) -> int:
        """Tokens for which a sequence that runs has room."""


class Decision(NamedTuple):
    """What an iteration does; the loop does it, and asks again.

    Without chunks and preemptions it holds for as many iterations as nobody ends or arrives, blocks last, and
    `stable_until` says.

    Attributes:
        chunks: sequences whose next so many tokens are computed; those that wait join.
        decode: whether those that decode each get a token.
        preempt: those that lose their place first, and how.
        back: swapped sequences that come back first.
        reserve: tokens for which a sequence that joins gets room, where that is more than its chunk.
        closed: whether nobody who arrives could join before a sequence ends.
        by_cache: whether who joins next hangs on what is cached of those that wait.
        load: the model whose weights are copied to memory, while nothing else is done; None: that which is there stays.
    """

    chunks: tuple[tuple[Sequence, int], ...] = ()
    decode: bool = True
    preempt: tuple[tuple[Sequence, Preemption], ...] = ()
    back: tuple[Sequence, ...] = ()
    reserve: Mapping[Sequence, int] = {}
    closed: bool = False
    by_cache: bool = False
    load: str | None = None


class Scheduler(Protocol):
    """Chooses what each iteration computes.

    A class may say as `unread` which settings it does not read; a mapping that gives one of them is refused.
    It computes prompts in chunks of at most its `tokens`, unless it says `whole`.
    """

    def decide(self, view: View) -> Decision:
        """What the next iteration does."""

    def stable_until(self, view: View) -> float:
        """The time up to which it would decide the same while nobody arrives or ends: inf unless it looks at a clock.

        Where nothing can be done yet, when to ask again.
        """
