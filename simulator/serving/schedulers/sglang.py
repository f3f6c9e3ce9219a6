"""A scheduler like SGLang's: prompts first, in chunks; who shares the longest prefix with the cache goes first."""

from __future__ import annotations

from math import inf

from simulator.mapping.form import Scheduler as Settings
from simulator.registry import register
from simulator.serving.service.choose import joined, kept
from simulator.serving.service.scheduler import Decision, View

TOKENS, SEQUENCES = 8192, 256


@register("scheduler", "sglang")
class SgLang:
    """While prompts wait for which there is room, an iteration computes chunks of them alone; else all decode.

    Those that wait are taken by how much of their prompt is cached, the most first, and then in their order. Where
    blocks run out, the last of the order is computed anew.
    """

    unread = ("watermark", "preempt")

    def __init__(self, settings: Settings) -> None:
        self.tokens, self.most = settings.tokens or TOKENS, settings.max_sequences or SEQUENCES

    def decide(self, view: View) -> Decision:
        free = view.store.free
        if view.prefilling or (view.waiting and len(view.running) < self.most):
            chunks, tokens = [], float(self.tokens)
            for sequence in view.prefilling:  # one at most, with room for its prompt
                chunks.append((sequence, int(min(sequence.left, tokens))))
                tokens -= chunks[-1][1]
            queue = sorted(view.waiting, key=lambda each: -view.store.match(each)[0])
            joins = joined(view, tokens, self.most, free - view.growth, "prompt", queue=queue)
            if chunks or joins.chunks:
                return Decision((*chunks, *joins.chunks), decode=False, reserve=joins.reserve)
        keeps = kept(view)
        return Decision(preempt=keeps.preempt, closed=len(view.running) >= self.most, by_cache=True)

    def stable_until(self, view: View) -> float:
        return inf
