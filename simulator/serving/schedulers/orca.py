"""Orca's scheduler: iteration by iteration, whole prompts beside those that decode (OSDI 2022)."""

from __future__ import annotations

from math import inf

from simulator.mapping.form import Scheduler as Settings
from simulator.registry import register
from simulator.serving.service.choose import joined
from simulator.serving.service.scheduler import Decision, View

SEQUENCES = 64


@register("scheduler", "orca")
class Orca:
    """Whoever waits joins before an iteration, in order, with room for all tokens that it may have; nobody loses it."""

    unread = ("watermark", "preempt")
    whole = True

    def __init__(self, settings: Settings) -> None:
        self.most, self.tokens = settings.max_sequences or SEQUENCES, settings.tokens or inf

    def decide(self, view: View) -> Decision:
        joins = joined(view, self.tokens, self.most, view.store.free, "all", whole=True)
        return Decision(tuple(joins.chunks), reserve=joins.reserve, closed=joins.closed)

    def stable_until(self, view: View) -> float:
        return inf
