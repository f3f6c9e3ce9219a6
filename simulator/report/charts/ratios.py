"""Every prediction of a study, simulated over published, in one chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from simulator.registry import register
from simulator.report import ratios
from simulator.report.shown import Shown
from simulator.study.form import ChartForm

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Ratios(ChartForm):
    """All predictions, simulated over published, with a colour for each value of a key."""

    kind: Literal["ratios"]
    series: str
    """The key whose values are told apart by colour."""


@register("chart", "ratios")
class RatiosChart:
    """Draws a dot for predictions that are alike."""

    form = Ratios

    @staticmethod
    def draw(shown: Shown, chart: Ratios) -> tuple[Figure, str] | None:
        counted = {row.published.condition.get(chart.series) for row in shown.reproduction.predictions()}
        colours = {str(one): colour for one, colour in shown.colours(chart.series).items() if one in counted}
        drawn = ratios.draw(shown.reproduction, colours, chart.series, lambda one: shown.label(chart.series, one))
        return (drawn.figure, drawn.caption) if drawn else None
