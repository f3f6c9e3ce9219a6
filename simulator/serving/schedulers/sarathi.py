"""Sarathi-Serve's scheduler: chunks of prompts fill what decoding leaves of a budget of tokens (OSDI 2024)."""

from __future__ import annotations

from math import inf

from simulator.mapping.form import Scheduler as Settings
from simulator.registry import register
from simulator.serving.service.choose import chunked
from simulator.serving.service.scheduler import Decision, View

TOKENS, SEQUENCES, WATERMARK = 512, 128, 0.01


@register("scheduler", "sarathi")
class Sarathi:
    """Those that decode go first, then prompts under way, then those that wait; none waits for a whole prompt.

    A sequence joins with room for its whole prompt, while a share of all blocks stays free. Where blocks run out, the
    last of the order is computed anew.
    """

    unread = ("preempt",)

    def __init__(self, settings: Settings) -> None:
        self.tokens, self.most = settings.tokens or TOKENS, settings.max_sequences or SEQUENCES
        self.watermark = WATERMARK if settings.watermark is None else settings.watermark

    def decide(self, view: View) -> Decision:
        return chunked(view, self.tokens, self.most, "prompt", spare=int(self.watermark * view.store.total))

    def stable_until(self, view: View) -> float:
        return inf
