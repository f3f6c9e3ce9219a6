"""Published values of bars: a ring on one, or a line over several of which it is the mean or an extreme."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.report import style
from simulator.report.charts.lines import ROLES
from simulator.report.plots import short
from simulator.report.shown import Shown
from simulator.study.form import RUN, ChartForm
from simulator.study.results import lookup_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

STROKES = {"mean": ":", "max": "--", "min": "--", "first": "-.", "last": "-."}
"""The line of a published value of several cases, by which of them it is."""
RING: dict[str, Any] = style.OPEN | {"color": "black", "markersize": 4, "markeredgewidth": 1.0, "zorder": 5}
LEGEND = {"prediction": "published", "calibration": "published, fitted to", "context": "published, context"}
APART = 8.5
"""Of the middles of two texts, points."""


@dataclass(frozen=True, eq=False)
class Mark:
    """A published value of a metric, in SI units, the cases that it is of, and which of these (`take`), if several."""

    metric: str
    value: float
    cases: pd.DataFrame
    take: str | None
    role: str
    figure: str


def marks_of(
    shown: Shown, chart: ChartForm, metrics: Collection[str], figures: Collection[str], frame: pd.DataFrame
) -> list[Mark]:
    """What was published of the cases that a chart shows. A value over another case than the metric has is drawn where
    it is of one case, times what the chart has of that other.
    """
    study, marks = shown.results.study, []
    keys = [key for key in study.keys if key != RUN and key in frame]
    for row in (each.published for each in shown.rows):
        if row.metric not in metrics or row.figure not in figures:
            continue
        lookup, _ = lookup_of(study, row.metric, row.condition)
        cases = shown.results.cases(row.metric, row.condition).drop_duplicates(keys)
        value, own = row.si(), study.form.metrics.get(row.metric)
        if own and lookup.over != own.over:
            other = {**cases.iloc[0][keys], **(lookup.over if isinstance(lookup.over, dict) else {})}
            value *= _shown_of(shown, chart, row.metric, other) if len(cases) == 1 else float("nan")
        drawn = frame.merge(cases[keys], on=keys)
        if (not lookup.run or chart.run in lookup.run) and len(drawn) and value == value:
            marks.append(Mark(row.metric, value, drawn, lookup.take if len(cases) > 1 else None, row.role, row.figure))
    return marks


def _shown_of(shown: Shown, chart: ChartForm, metric: str, case: dict[str, Any]) -> float:
    """What a chart has of a case, whether it draws it or not; NaN of none."""
    frame = shown.frame(chart.model_copy(update={"where": {}}))
    for key, one in case.items():
        frame = frame[frame[key] == one] if one == one else frame
    return float(frame[metric].iloc[0]) if len(frame) == 1 else float("nan")


def draw(axes: Axes, mark: Mark, height: float, at: Sequence[float], shift: float, colour: str) -> None:
    """A ring on the bar beside the middle of its group, or a line over the groups (`at`) of its bars."""
    if mark.take is None:
        axes.plot([at[0] + shift], [height], **RING | ROLES.get(mark.role, {}))
        return
    left, right = [place - 0.5 for place in at], [place + 0.5 for place in at]
    axes.hlines([height] * len(at), left, right, color=colour, linestyle=STROKES[mark.take], linewidth=1.1, zorder=4)


def tell(axes: Axes, heights: Sequence[tuple[float, str]]) -> None:
    """Say the heights of lines at their right ends, moved up from others that are close; each has its colour."""
    bottom, top = axes.get_ylim()
    figure = axes.get_figure(root=True)
    assert figure is not None
    apart, at = APART * (top - bottom) / (72 * axes.get_position().height * figure.get_figheight()), bottom
    for height, colour in sorted(heights):
        at = max(height, at + apart)
        beside: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "va": "center", "fontsize": 7.5}
        style.say(axes, short.number(height), (1, at), (3, 0), color=colour, **beside)


def keys_of(marks: Sequence[Mark]) -> list[Any]:
    """What lines and rings mean."""
    takes = dict.fromkeys(mark.take for mark in marks if mark.take)
    roles = {mark.role for mark in marks if mark.take is None}
    rings = [style.key(LEGEND[role], **RING | ROLES[role]) for role in LEGEND if role in roles]
    return [*(style.key(f"published {take}", linestyle=STROKES[take]) for take in takes), *rings]
