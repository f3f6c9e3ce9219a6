"""TensorRT-LLM's two capacity policies: room for all tokens from the start, or as much as there is now."""

from __future__ import annotations

from math import inf

from simulator.mapping.form import Scheduler as Settings
from simulator.registry import register
from simulator.serving.service.choose import chunked
from simulator.serving.service.scheduler import Decision, View

TOKENS, SEQUENCES = 8192, 256


@register("scheduler", "trt-llm-no-evict")
class NoEvict:
    """`GUARANTEED_NO_EVICT`: a sequence joins with room for all tokens that it may have, and never loses it.

    Prompts are cut into chunks that fill what decoding leaves of a budget of tokens.
    """

    unread = ("watermark", "preempt")

    def __init__(self, settings: Settings) -> None:
        self.tokens, self.most = settings.tokens or TOKENS, settings.max_sequences or SEQUENCES

    def decide(self, view: View) -> Decision:
        return chunked(view, self.tokens, self.most, "all")

    def stable_until(self, view: View) -> float:
        return inf


@register("scheduler", "trt-llm-max-utilisation")
class MaxUtilisation:
    """`MAX_UTILIZATION`: a sequence joins where there is room for its chunk; where blocks run out, one is paused.

    The last of the order is paused, and computed anew later. Who was paused in an iteration does not join in it.
    """

    unread = ("watermark", "preempt")

    def __init__(self, settings: Settings) -> None:
        self.tokens, self.most = settings.tokens or TOKENS, settings.max_sequences or SEQUENCES

    def decide(self, view: View) -> Decision:
        return chunked(view, self.tokens, self.most, fits=False)

    def stable_until(self, view: View) -> float:
        return inf
