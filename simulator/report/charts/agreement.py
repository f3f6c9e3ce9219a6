"""One metric of each case over another: how far what was simulated is from what was recorded, case by case."""

from __future__ import annotations

from string import ascii_lowercase
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from simulator.registry import register
from simulator.report import style
from simulator.report.shown import Shown
from simulator.study.form import ChartForm

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAND = 0.1
"""How far from equal the band reaches to either side."""
MARKERS = "os^Dv"
WIDE = 26  # characters of a title
TICKS = ((100, (1,)), (10, (1, 3)), (0, (2, 4, 7)))
"""Of a logarithmic axis that spans more than so much."""


class Agreement(ChartForm):
    """A dot a case: the metrics `of`, each in a panel, over those that stand at the same place in `against`."""

    kind: Literal["agreement"]
    of: Annotated[tuple[str, ...], Field(min_length=1)]
    """The metrics, each in a panel."""
    against: tuple[str, ...]
    """The metrics beside them, as many."""
    series: str
    """The key whose values are told apart by colour."""

    @model_validator(mode="after")
    def _are_pairs(self) -> Agreement:
        if len(self.of) != len(self.against):
            context = {"at": ("against",), "found": f"{len(self.against)} metrics"}
            raise PydanticCustomError("name", "not pairs", {**context, "expected": f"{len(self.of)}, as `of` has"})
        return self


@register("chart", "agreement")
class AgreementChart:
    """Draws logarithmic axes of one range, the line where both are equal, and a band about it."""

    form = Agreement

    @staticmethod
    def draw(shown: Shown, chart: Agreement) -> tuple[Figure, str] | None:
        frame, colours = shown.frame(chart), shown.colours(chart.series)
        figure = style.figure(style.PAGE, 2.2)
        everywhere = figure.subplots(1, len(chart.of), squeeze=False)[0]
        medians = []
        for letter, axes, of, against in zip(ascii_lowercase, everywhere, chart.of, chart.against, strict=False):
            _panel(axes, frame, of, against, chart.series, colours)
            axes.set_title(fill(f"({letter}) {shown.name(of)}", WIDE), loc="left", fontsize=8)
            axes.set_xlabel("recorded (s)")
            medians.append(f"({letter}) {_errors(shown, frame, of, against, chart.series)}")
        everywhere[0].set_ylabel("simulated (s)")
        lines = zip(colours.items(), MARKERS, strict=False)
        style.legend(figure, [style.key(shown.label(chart.series, k), **_look(c, m)) for (k, c), m in lines])
        dots = "A dot a case; on the line both are equal, the band is 10 % to either side."
        return figure, f"{dots} Median of the relative errors: {'; '.join(medians)}."


def _look(colour: Any, marker: str) -> dict[str, Any]:
    return {"linestyle": "", "marker": marker, "markersize": 2.6, "markeredgewidth": 0, "color": colour, "alpha": 0.6}


def _panel(axes: Axes, frame: pd.DataFrame, of: str, against: str, series: str, colours: Any) -> None:
    both = frame[(frame[of] > 0) & (frame[against] > 0)]
    ends = np.array([both[[of, against]].min().min() / 1.15, both[[of, against]].max().max() * 1.15])
    axes.fill_between(ends, ends * (1 - BAND), ends * (1 + BAND), color=style.FAINT, alpha=0.35, linewidth=0)
    axes.plot(ends, ends, color="black", linewidth=0.6)
    for (name, colour), marker in zip(colours.items(), MARKERS, strict=False):
        own = both[both[series] == name]
        axes.plot(own[against], own[of], **_look(colour, marker))
    for axis in ("x", "y"):
        style.plain_log(axes, axis, next(ticks for span, ticks in TICKS if ends[1] > span * ends[0]))
    axes.set(xlim=ends, ylim=ends, aspect="equal")


def _errors(shown: Shown, frame: pd.DataFrame, of: str, against: str, series: str) -> str:
    """The median error of each series."""
    off = (frame[of] / frame[against] - 1).abs()
    medians = off.groupby(frame[series], sort=False).median()
    return ", ".join(f"{shown.label(series, name)} {100 * value:.1f} %" for name, value in medians.items())
