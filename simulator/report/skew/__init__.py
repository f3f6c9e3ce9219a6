"""The figures of a `skew` experiment: unevenness, and what two engines gain from it."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.baselines.reproduction import Reproduction
from simulator.registry import register
from simulator.report.figures import Drawn
from simulator.report.skew import unevenness


@register("figures", "skew")
class SkewFigures:
    """Unevenness over the tokens of a step."""

    headline = ("busiest_over_mean", "idle")

    @staticmethod
    def draw(reproduction: Reproduction) -> Iterator[Drawn]:
        yield unevenness.draw(reproduction)
