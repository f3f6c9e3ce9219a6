"""vLLM's scheduler of version 0: prompts first, whole and among themselves; preemption by recomputing or swapping."""

from __future__ import annotations

from math import inf

from simulator.mapping.form import Scheduler as Settings
from simulator.registry import register
from simulator.serving.service.choose import joined, kept
from simulator.serving.service.scheduler import Decision, View
from simulator.serving.service.sequence import Sequence

TOKENS, SEQUENCES, WATERMARK = 8192, 256, 0.01


@register("scheduler", "vllm-v0")
class VllmV0:
    """While prompts wait for which there is room, an iteration computes them alone, up to a budget of tokens.

    Else all decode. A sequence joins, or comes back from the host's memory, where a share of all blocks stays free
    then; nobody joins while one is there.
    """

    whole = True

    def __init__(self, settings: Settings) -> None:
        self.tokens, self.most = settings.tokens or TOKENS, settings.max_sequences or SEQUENCES
        self.watermark = WATERMARK if settings.watermark is None else settings.watermark
        self.how = settings.preempt or "recompute"

    def decide(self, view: View) -> Decision:
        spare, closed = int(self.watermark * view.store.total), True
        if not view.swapped:
            joins = joined(view, self.tokens, self.most, view.store.free - spare, "prompt", whole=True)
            if joins.chunks:
                return Decision(tuple(joins.chunks), decode=False, reserve=joins.reserve)
            closed = joins.closed
        keeps = kept(view, how=self.how)
        if keeps.preempt:
            return Decision(preempt=keeps.preempt)
        return Decision(back=self._back(view, keeps.free - spare), closed=closed)

    def _back(self, view: View, free: int) -> tuple[Sequence, ...]:
        """Those that come back, first out first in, each with room for its next token."""
        back: list[Sequence] = []
        for sequence in view.swapped:
            needed = -(-(view.context(sequence) + 1) // view.store.size)
            if needed > free and (back or view.running):
                break
            free -= needed
            back.append(sequence)
        return tuple(back)

    def stable_until(self, view: View) -> float:
        return inf
