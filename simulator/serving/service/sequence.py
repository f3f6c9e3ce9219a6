"""A request while it is served: what of it is computed, and when its tokens came."""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from typing import TYPE_CHECKING, Any

from simulator.core.closed_form import alone

if TYPE_CHECKING:
    from simulator.core import Activity
    from simulator.workload.requests.request import Request


class Link:
    """A link that carries keys and values of one sequence after another: when it is free; the copy of some tokens."""

    def __init__(self, copy: Callable[[int], Activity]) -> None:
        self.copy, self.free = copy, 0.0

    def carry(self, now: float, tokens: int) -> float:
        """When so many tokens have arrived that are to go from now on."""
        self.free = max(self.free, now) + float(alone(self.copy(tokens)))
        return self.free


class Sequence:
    """A request while it is served.

    It waits; then its `target` tokens are computed, in chunks; then it decodes, one token in each iteration that does.
    While it decodes, its context is `base` plus the decoding iterations of its pool so far, and `end` is the number of
    the one that gives its last token; so nothing of it changes from token to token.

    Attributes:
        number: tells it from others, and goes before it where they came at one time.
        arrival, came: when it arrived where it is served, and at the service.
        rank: what the order of the queue goes by, the smallest first: its arrival, unless the queue says another.
        known: tokens of an answer that a scheduler must reckon with; never the true length.
        target: tokens to compute before it decodes: the prompt, and what was lost of an answer.
        computed: how many of them are in the cache.
        generated: tokens of the answer before it decodes (again).
        reserved: tokens for which it has room from its admission on.
        scheduled, first, last: when it was first chosen, when its first and its last token came.
        hits: tokens found in the cache when it first joined.
        handed: the link over which keys and values of its prompt come from where they were computed.
        leaf, shared: where its blocks end in a prefix tree, and how many lie there.
    """

    __slots__ = (
        "arrival", "base", "came", "computed", "decoding", "end", "first", "generated", "handed", "hits", "input",
        "known", "last", "leaf", "number", "output", "paused", "preemptions", "rank", "request", "reserved", "runs",
        "scheduled", "shared", "swapped", "target",
    )  # fmt: skip

    def __init__(self, request: Request, number: int, arrival: float, most: int) -> None:
        self.request, self.number, self.arrival, self.came = request, number, arrival, arrival
        self.input, self.output = request.input_tokens, request.output_tokens
        known = request.max_tokens
        self.known = most - self.input if known is None else max(known, 1)
        self.rank: Any = arrival
        self.target, self.computed, self.generated, self.reserved = self.input, 0, 0, 0
        self.base, self.end, self.decoding, self.swapped = 0, 0, False, False
        self.scheduled = self.first = self.last = self.paused = nan
        self.preemptions, self.hits = 0, 0
        self.handed: Link | None = None
        self.leaf: Any = None
        self.runs: Any = None
        self.shared = 0

    def handed_over(self, now: float, link: Link) -> Sequence:
        """The same where it goes on, with its first token, once keys and values have come over a link."""
        served = Sequence(self.request, self.number, now, self.input + self.known)
        served.scheduled, served.first, served.hits, served.preemptions = (
            self.scheduled,
            now,
            self.hits,
            self.preemptions,
        )
        served.generated, served.handed, served.came = 1, link, self.came
        return served

    @property
    def left(self) -> int:
        """Tokens that are still to be computed before it decodes."""
        return self.target - self.computed

    def __lt__(self, other: Sequence) -> bool:
        return self.number < other.number
