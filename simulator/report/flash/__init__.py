"""The figures of a `flash` experiment: what a token waits for, and why."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.baselines.reproduction import Reproduction
from simulator.registry import register
from simulator.report.figures import Drawn
from simulator.report.flash import budget, energy, latency, rates, throughput, usage, window


@register("figures", "flash")
class FlashFigures:
    """Rates; the time of a token, and where it comes from: reads, neurons used, budgets, windows; energy."""

    headline = ("io", "total", "tokens_per_s")

    @staticmethod
    def draw(reproduction: Reproduction) -> Iterator[Drawn]:
        parts = (rates, latency, throughput, usage, budget, window, energy)
        return filter(None, (part.draw(reproduction) for part in parts))
