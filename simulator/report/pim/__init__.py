"""The figures of a `pim` experiment: energy x delay x area over Op/B, and the rooflines behind it."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.baselines.reproduction import Reproduction
from simulator.registry import register
from simulator.report.figures import Drawn
from simulator.report.pim import edap


@register("figures", "pim")
class PimFigures:
    """One figure of two panels."""

    headline = ("edap",)

    @staticmethod
    def draw(reproduction: Reproduction) -> Iterator[Drawn]:
        return iter([edap.draw(reproduction)])
