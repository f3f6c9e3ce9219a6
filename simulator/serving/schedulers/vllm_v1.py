"""vLLM's scheduler of version 1: each iteration has a budget of tokens, and prompts are cut into chunks to fill it."""

from __future__ import annotations

from math import inf

from simulator.mapping.form import Scheduler as Settings
from simulator.registry import register
from simulator.serving.service.choose import chunked
from simulator.serving.service.scheduler import Decision, View

TOKENS, SEQUENCES = 2048, 256


@register("scheduler", "vllm-v1")
class VllmV1:
    """First those that run get a token each, or the next chunk of their prompt; who waits joins with what is left.

    Where blocks run out, the last of the order loses its place and is computed anew; then nobody joins. A sequence
    joins only where there is room for all its tokens so far, though only those of its chunk are given room
    (`scheduler_reserve_full_isl` of vLLM, true by default).
    """

    unread = ("watermark", "preempt")

    def __init__(self, settings: Settings) -> None:
        self.tokens, self.most = settings.tokens or TOKENS, settings.max_sequences or SEQUENCES

    def decide(self, view: View) -> Decision:
        return chunked(view, self.tokens, self.most)

    def stable_until(self, view: View) -> float:
        return inf
