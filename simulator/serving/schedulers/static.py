"""Static batching: a batch is served to the end before the next one begins."""

from __future__ import annotations

from math import inf

from simulator.mapping.form import Scheduler as Settings
from simulator.registry import register
from simulator.serving.service.choose import joined
from simulator.serving.service.scheduler import Decision, View

SEQUENCES = 32


@register("scheduler", "static")
class Static:
    """All prompts of a batch are computed together, and nobody joins until its last answer is there.

    A batch is whoever waits when the one before has ended, with room for all tokens that they may have.
    """

    unread = ("watermark", "preempt")
    whole = True

    def __init__(self, settings: Settings) -> None:
        self.most, self.tokens = settings.max_sequences or SEQUENCES, settings.tokens or inf

    def decide(self, view: View) -> Decision:
        if view.running:
            return Decision(closed=True)
        joins = joined(view, self.tokens, self.most, view.store.free, "all", whole=True)
        return Decision(tuple(joins.chunks), reserve=joins.reserve, closed=True)

    def stable_until(self, view: View) -> float:
        return inf
