"""A kind of chart: how the values of a metric are spread over all cases."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from simulator.plugin import ChartForm, Shown, register


class Spread(ChartForm):
    """The share of the cases whose metric is at most so much."""

    kind: Literal["spread"]
    of: str
    """The metric."""


@register("chart", "spread")
class SpreadChart:
    """Draws the empirical distribution of a metric, as steps."""

    form = Spread

    @staticmethod
    def draw(shown: Shown, chart: Spread) -> tuple[Any, str] | None:
        from matplotlib.figure import Figure

        values = np.sort(shown.frame(chart)[chart.of].dropna().to_numpy(float))
        if not len(values):
            return None
        scale = shown.scale(chart.of, values, chart)
        figure = Figure(figsize=(3.4, 2.2), layout="constrained")
        axes = figure.subplots()
        axes.step(scale(values), np.arange(1, len(values) + 1) / len(values), where="post")
        axes.set_xlabel(scale.label)
        axes.set_ylabel("share of the cases")
        return figure, f"Share of the cases whose {scale.name} is at most so much."
