"""Metrics of some cases beside one another: groups of bars, with published values as marks and lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from string import ascii_lowercase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from simulator.config.section import Section
from simulator.registry import register
from simulator.report import names, style
from simulator.report.charts.lines import ROLES
from simulator.report.explore import short
from simulator.report.groups import WIDTH, Group, groups_of, lay, panels_of, places
from simulator.report.shown import Shown
from simulator.study.form import RUN, ChartForm
from simulator.study.results import asked_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STROKES = {"mean": ":", "max": "--", "min": "--", "first": "-.", "last": "-."}
"""The line of a published value of several cases, by which of them it is."""
MARK: dict[str, Any] = style.OPEN | {"color": "black", "markersize": 4, "markeredgewidth": 1.0, "zorder": 5}
SQUARE: dict[str, Any] = {"marker": "s", "linestyle": "", "markersize": 5}
APART = 8.5
"""Of the middles of two texts, points."""


class Figures(Section):
    """The published values of a chart, of its metrics."""

    figures: tuple[str, ...]
    """The figures of the paper, as `published.csv` names them."""


class Bars(ChartForm):
    """A group of bars for each value of `x`, a bar for each of `series`, in a panel for each value of `panels`."""

    kind: Literal["bars"]
    of: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """The metric; or several, each in a panel of its own instead of `panels`."""
    x: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """The key that tells groups apart; or several, of which the last is told nearest to the bars."""
    series: str
    panels: str | None = None
    log: tuple[str, ...] = ()
    """The metrics whose axis is logarithmic."""
    published: Figures | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.of,) if isinstance(self.of, str) else self.of

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.x,) if isinstance(self.x, str) else self.x

    @model_validator(mode="after")
    def _panels_are_of_one(self) -> Bars:
        if self.panels is not None and len(self.metrics) > 1:
            told = {"at": ("panels",), "found": f"'{self.panels}' with {len(self.metrics)} metrics"}
            raise PydanticCustomError("name", "several", {**told, "expected": "a panel a metric, or one metric"})
        return self


@dataclass(frozen=True, eq=False)
class Mark:
    """A published value, as the chart has it: of one bar, or of the bars of several (`take` of them)."""

    metric: str
    value: float
    bars: pd.DataFrame
    take: str | None
    role: str
    figure: str


@register("chart", "bars")
class BarsChart:
    """Draws bars of what was simulated, and what was published of them."""

    form = Bars

    @staticmethod
    def draw(shown: Shown, chart: Bars) -> tuple[Figure, str] | None:
        frame = shown.frame(chart)
        frame = frame[frame[list(chart.metrics)].notna().any(axis=1)]
        if frame.empty:
            return None
        marks, colours = _marks(shown, chart, frame), shown.colours(chart.series)
        colours = {one: colours[one] for one in colours if (frame[chart.series] == one).any()}
        panels = [(metric, "", frame) for metric in chart.metrics]
        if chart.panels is not None:
            parts = frame.groupby(chart.panels, sort=False)
            panels = [(chart.metrics[0], shown.label(chart.panels, one), own) for one, own in parts]
        figure, everywhere = panels_of(len(panels), max(len(groups_of(own, chart.keys)) for *_, own in panels))
        told: list[Mark] = []
        for letter, axes, (metric, title, own) in zip(ascii_lowercase, everywhere, panels, strict=False):
            here = [mark for mark in marks if mark.metric == metric]
            values, over = [*frame[metric], *(mark.value for mark in here)], _over(shown, metric)
            up = shown.scale(metric, values, chart)
            _bars(axes, own, chart, metric, up, colours)
            lay(axes, groups_of(own, chart.keys), chart.keys, shown.label)
            _lay(axes, metric, chart, up(values), bool(over))
            texts = {mark: _show(axes, mark, own, chart, up, colours) for mark in here}
            _texts(axes, [text for mark, text in texts.items() if text and mark not in told])
            told += [mark for mark, text in texts.items() if text]
            if len(panels) > 1:
                axes.set_title(f"({letter}) {title or up.label}", loc="left")
        figure.supylabel(over if len(chart.metrics) > 1 else f"{up.label} {over}".rstrip(), fontsize=9)
        axes.set_xlabel(" by ".join(short.short(shown.results.study.path(key) or key) for key in chart.keys[::-1]))
        style.legend(figure, _keys(shown, chart, colours, marks))
        return figure, _caption(shown, chart, marks)


def _marks(shown: Shown, chart: Bars, frame: pd.DataFrame) -> list[Mark]:
    """What was published of the bars that are drawn; over another case than theirs, it stands on the bar of that."""
    study, marks = shown.results.study, []
    keys = [key for key in study.keys if key != RUN and key in frame]
    for row in (each.published for each in shown.rows):
        if chart.published is None or row.metric not in chart.metrics or row.figure not in chart.published.figures:
            continue
        lookup, _ = asked_of(study, row.metric, row.condition)
        cases = shown.results.cases(row.metric, row.condition).drop_duplicates(keys)
        bars = frame.merge(cases[keys], on=keys)
        if lookup.run not in (None, chart.run) or bars.empty:
            continue
        value, own = row.si(), study.form.metrics.get(row.metric)
        if own and lookup.over != own.over:
            base = _base(shown, chart, row.metric, cases.iloc[0][keys].to_dict() | dict(lookup.over))
            if len(cases) > 1 or base is None:
                continue
            value *= base
        take = lookup.take if len(cases) > 1 else None
        marks.append(Mark(row.metric, value, bars, take, row.role, row.figure))
    return marks


def _base(shown: Shown, chart: Bars, metric: str, case: dict[str, Any]) -> float | None:
    """What the chart has of the case that a published value is over; None of none, or of several."""
    frame = shown.frame(chart.model_copy(update={"where": {}}))
    for key, one in case.items():
        frame = frame[frame[key] == one] if one == one else frame
    return float(frame[metric].iloc[0]) if len(frame) == 1 else None


def _bars(axes: Axes, own: pd.DataFrame, chart: Bars, metric: str, up: short.Scale, colours: Mapping[Any, str]) -> None:
    """Bars from 0 on; on a logarithmic axis, from 1."""
    groups, foot = groups_of(own, chart.keys), float(metric in chart.log)
    for (one, colour), shift in zip(colours.items(), places(len(colours)), strict=True):
        rows = own[own[chart.series] == one]
        heights = dict(zip(_groups(rows, chart), up(rows[metric]), strict=True))
        at = [place + shift for place, group in enumerate(groups) if group in heights]
        tall = [heights[group] - foot for group in groups if group in heights]
        axes.bar(at, tall, 0.92 * WIDTH / len(colours), bottom=foot, color=colour, zorder=2)


def _groups(rows: pd.DataFrame, chart: Bars) -> list[Group]:
    """The group of each row."""
    return list(zip(*(rows[key] for key in chart.keys), strict=True))


def _lay(axes: Axes, metric: str, chart: Bars, values: Any, ratio: bool) -> None:
    """Values from 0 on, or on a logarithmic axis; of ratios, a line at 1."""
    finite = [float(one) for one in values if isfinite(one)]
    if metric in chart.log:
        style.plain_log(axes, "y", (1, 2, 5))
        axes.set_ylim(0.85 * min(1.0, *finite), 1.2 * max(1.0, *finite))
    else:
        axes.set_ylim(0, 1.1 * max(finite))
    if ratio:
        axes.axhline(1, color="black", linewidth=0.6, zorder=3)


def _show(
    axes: Axes, mark: Mark, own: pd.DataFrame, chart: Bars, up: short.Scale, colours: Mapping[Any, str]
) -> tuple[float, str, str] | None:
    """Draw a published value: a ring on its bar, or a line over the groups whose bars it is of, with a text to stand
    at its end: height, text and colour.
    """
    groups, (height,) = groups_of(own, chart.keys), up([mark.value])
    bars = mark.bars if chart.panels is None else mark.bars[mark.bars[chart.panels] == own[chart.panels].iloc[0]]
    if bars.empty:
        return None
    series = list(bars[chart.series].unique())
    colour = colours[series[0]] if len(series) == 1 else "black"
    at = [groups.index(group) for group in _groups(bars, chart)]
    if mark.take is None:
        shift = places(len(colours))[list(colours).index(series[0])]
        axes.plot([at[0] + shift], [height], **MARK | ROLES.get(mark.role, {}))
        return None
    left, right = [place - 0.5 for place in at], [place + 0.5 for place in at]
    axes.hlines([height] * len(at), left, right, color=colour, linestyle=STROKES[mark.take], linewidth=1.1, zorder=4)
    return float(height), f"{mark.take} {short.number(float(height))}", colour


def _texts(axes: Axes, texts: Sequence[tuple[float, str, str]]) -> None:
    """Texts at the right end of lines, moved up from others that are close."""
    bottom, top = axes.get_ylim()
    figure = axes.get_figure(root=True)
    assert figure is not None
    apart, at = APART * (top - bottom) / (72 * axes.get_position().height * figure.get_figheight()), bottom
    for height, text, colour in sorted(texts):
        at = max(height, at + apart)
        beside: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "va": "center", "fontsize": 7.5}
        style.say(axes, text, (1, at), (3, 0), color=colour, **beside)


def _over(shown: Shown, metric: str) -> str:
    """`over GPU`, of a ratio; else nothing."""
    lookup = shown.results.study.form.metrics.get(metric)
    if lookup is None or not lookup.over:
        return ""
    over = lookup.over
    return (
        f"over the {over}" if isinstance(over, str) else f"over {', '.join(shown.label(*one) for one in over.items())}"
    )


def _keys(shown: Shown, chart: Bars, colours: Mapping[Any, str], marks: Sequence[Mark]) -> list[Any]:
    keys = [style.key(shown.label(chart.series, one), color=colour, **SQUARE) for one, colour in colours.items()]
    takes = dict.fromkeys(mark.take for mark in marks if mark.take)
    keys += [style.key(f"published {take}", linestyle=STROKES[take]) for take in takes]
    roles = {mark.role for mark in marks if mark.take is None}
    told = {"prediction": "published", "calibration": "published, fitted to", "context": "published, context"}
    return [*keys, *(style.key(told[role], **MARK | ROLES[role]) for role in told if role in roles)]


def _caption(shown: Shown, chart: Bars, marks: Sequence[Mark]) -> str:
    over = _over(shown, chart.metrics[0])
    text = f"{' and '.join(map(short.short, chart.metrics))} {over}".rstrip() + ": bars simulated."
    if marks:
        text += f" Published ({names.figures(mark.figure for mark in marks)}): lines, of all bars of their colour below"
        text += " them together; rings, of one bar."
    return text[:1].upper() + text[1:]
