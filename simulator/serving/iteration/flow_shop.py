"""A flow shop: stages one behind another, each of which serves one iteration at a time."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from simulator.serving.iteration.iterations import Iterations, Run


class FlowShop:
    """The stages of a replica, as the iterations of the pools that share them (`iterations.py`).

    Attributes:
        each: the iterations of each stage.
        now: when the iteration is chosen that is timed next.
        free: when each stage has done all that it has been given.
    """

    def __init__(self, stages: Sequence[Iterations]) -> None:
        self.each, self.cuts = tuple(stages), stages[0].cuts
        self.now, self.free = 0.0, [0.0] * len(stages)

    def mixed(
        self, prompts: int, tokens: int, pairs: float, past: int, decoding: int, context: int, number: int = 0,
        seen: tuple[float, ...] = (),
    ) -> float:  # fmt: skip
        """Seconds until an iteration has left the last stage."""
        figures = prompts, tokens, pairs, past, decoding, context, number, seen
        return self._passed([stage.mixed(*figures) for stage in self.each])

    def run(
        self, sequences: int, context: int, most: int, until: float = inf, number: int = 0,
        seen: tuple[float, ...] = (), rising: tuple[int, ...] = (),
    ) -> Run:  # fmt: skip
        """One iteration in which all decode, however many there might be: others come between it and the next."""
        seconds = self._passed([stage.decoding(sequences, context, number, seen) for stage in self.each])
        return Run(1, seconds, seconds, seconds)

    def _passed(self, seconds: Sequence[float]) -> float:
        at = self.now
        for place, each in enumerate(seconds):
            at = self.free[place] = max(at, self.free[place]) + each
        return at - self.now
