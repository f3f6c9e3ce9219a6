"""A metric over an axis: a line for each of some cases, in panels, with published values as marks."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_lowercase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from simulator.config import KeyPath
from simulator.config.section import Section
from simulator.explore.sweep.expression import parse
from simulator.registry import register
from simulator.report import names, style
from simulator.report.explore import points, short
from simulator.report.explore.axis import lay, spans_a_decade
from simulator.report.shown import Shown
from simulator.study.form import ChartForm

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROLES: dict[str, dict[str, Any]] = {"prediction": {}, "calibration": {"marker": "s"}, "context": {"color": style.FAINT}}
"""How a published value looks by its role."""


class Beside(Section):
    """The published values of a chart."""

    figures: tuple[str, ...]
    """The figures of the paper, as `published.csv` names them."""
    metric: str | None = None
    """What was published; the metric of the chart unless given."""
    as_: Annotated[str | None, Field(alias="as")] = None
    """An expression of that metric and of keys: what is drawn of the value."""


class Lines(ChartForm):
    """A metric over an axis: a line for each value of `series`, in a panel for each value of `panels`."""

    kind: Literal["lines"]
    x: str
    of: str
    series: str | None = None
    panels: str | None = None
    published: Beside | None = None

    def expressions(self) -> Iterator[tuple[KeyPath, str]]:
        if self.published and self.published.as_ is not None:
            yield ("published", "as"), self.published.as_


@register("chart", "lines")
class LinesChart:
    """Draws lines and marks."""

    form = Lines

    @staticmethod
    def draw(shown: Shown, chart: Lines) -> tuple[Figure, str] | None:
        frame = shown.frame(chart)
        marks = _marks(shown, chart)
        panels = [(None, frame)] if chart.panels is None else list(frame.groupby(chart.panels, sort=False))
        by = chart.series or chart.panels
        colours = shown.colours(by) if by else {}
        up = shown.scale(chart.of, [*points.numbers(frame, chart.of), *marks["value"]], chart)
        across = shown.scale(chart.x, points.numbers(frame, chart.x), chart)
        figure = style.figure(style.PAGE, 2.5)
        for letter, axes, (panel, own) in zip(
            ascii_lowercase, figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=False
        ):
            for one, line in own.groupby(by, sort=False) if by else [(None, own)]:
                line = line.sort_values(chart.x)
                colour = colours.get(one, style.BLUE)
                axes.plot(across(line[chart.x]), up(line[chart.of]), color=colour, zorder=2)
            beside = marks if panel is None else marks[marks[chart.panels] == panel]
            for row in beside.to_dict("records"):
                colour = colours.get(row.get(by or ""), style.BLUE)
                look = style.OPEN | {"color": colour, "markersize": 4.5, "zorder": 3} | ROLES.get(row["role"], {})
                axes.plot(across([row[chart.x]]), up([row["value"]]), **look)
            _lay(axes, own, chart, across, up)
            if panel is not None:
                axes.set_title(f"({letter}) {shown.label(str(chart.panels), panel)}", loc="left")
        figure.axes[0].set_ylabel(up.label)
        style.legend(figure, _keys(shown, chart, colours, marks))
        text = f"{short.short(chart.of)} over {across.name}, simulated"
        if len(marks):
            roles = " Squares: the values that the machine was fitted to. Grey: shown for context, not counted."
            text += f" and published ({names.figures(marks['figure'])})." + roles
        return figure, text


def _marks(shown: Shown, chart: Lines) -> pd.DataFrame:
    """The published values: their keys, role, figure, and the value that is drawn, in SI units."""
    import pandas as pd

    rows = []
    beside = chart.published
    metric = (beside.metric if beside else None) or chart.of
    for row in (each.published for each in shown.rows):
        if beside is None or row.metric != metric or row.figure not in beside.figures:
            continue
        keys = shown.results.cases(metric, row.condition).iloc[0].to_dict()
        value = row.si()
        if beside.as_ is not None:
            value = float(parse(beside.as_).at({**keys, metric: value}))
        rows.append({**keys, "role": row.role, "figure": row.figure, "value": value})
    return pd.DataFrame(rows, columns=None if rows else ["role", "figure", "value", chart.x, chart.panels or "panel"])


def _lay(axes: Axes, frame: pd.DataFrame, chart: Lines, across: short.Scale, up: short.Scale) -> None:
    """Values from 0 on; those of the axis as ticks where there are few."""
    from matplotlib.ticker import NullLocator

    places = across(sorted(set(points.numbers(frame, chart.x))))
    lay(axes, "x", places, across)
    if len(places) <= 8:
        axes.set_xticks(places, [short.number(float(each)) for each in places])
        axes.xaxis.set_minor_locator(NullLocator())
    values = up(points.numbers(frame, chart.of))
    if not spans_a_decade(values):
        axes.set_ylim(0, 1.12 * axes.dataLim.y1)
    axes.margins(x=0.08)
    axes.grid(which="major")


def _keys(shown: Shown, chart: Lines, colours: dict[Any, str], marks: pd.DataFrame) -> list[Any]:
    keys: list[Any] = []
    if chart.series:
        keys += [style.key(shown.label(chart.series, one), color=colour) for one, colour in colours.items()]
    else:
        keys.append(style.key("simulated"))
    told = {"prediction": "published", "calibration": "published, fitted to", "context": "published, context"}
    for role, text in told.items():
        if (marks["role"] == role).any():
            keys.append(style.key(text, **style.OPEN | ROLES[role] | {"markersize": 4.5}))
    return keys
