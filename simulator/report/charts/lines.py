"""Metrics over an axis: a line for each of some cases, in panels, with published values as marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import ascii_lowercase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from simulator.config import KeyPath
from simulator.config.section import Section
from simulator.registry import register
from simulator.report import limits, names, style
from simulator.report.plots import points, short
from simulator.report.plots.axis import lay, spans_a_decade
from simulator.report.shown import Shown
from simulator.study.form import ChartForm
from simulator.study.space.expression import parse

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAINT = {"color": style.FAINT}
ROLES: dict[str, dict[str, Any]] = {
    "prediction": {}, "input": {"marker": "s"}, "calibration": {"marker": "s"}, "context": FAINT, "disputed": FAINT,
    "end": {"marker": "X", "markersize": 8, "markeredgewidth": 0.7},
}  # fmt: skip
"""How a published value looks by its role, and how the end of a published line does."""
LEGEND = {
    "prediction": "published", "input": "published, input", "calibration": "published, fitted to",
    "context": "published, context", "disputed": "published, disputed", "end": "published end",
}  # fmt: skip


STROKES = ("-", "--", ":", "-.")
PLAIN = {"color": style.BLUE}


class Beside(Section):
    """The published values of a chart."""

    figures: tuple[str, ...]
    """The figures of the paper, as `published.csv` names them."""
    metric: str | None = None
    """What was published; the metric of the chart unless given."""
    as_: Annotated[str | None, Field(alias="as")] = None
    """An expression of that metric and of keys: what is drawn of the value. Of a look-up of the axis itself, nothing:
    it is drawn as a place on that."""
    across: str | None = None
    """Where along `x` a line comes to a value, beside `metric`: what was published of it, under the value."""


class Lines(ChartForm):
    """A metric over an axis: a line for each value of `series`, in a panel for each value of `panels`."""

    kind: Literal["lines"]
    x: str
    """The axis or key along x."""
    of: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """The metric; or several, each in a panel of its own instead of `panels`."""
    series: str | None = None
    """The key whose values are told apart by colour."""
    panels: str | None = None
    """The key of whose values each has a panel."""
    log: tuple[str, ...] = ()
    """The metrics whose axis is logarithmic."""
    steps: bool = False
    """Whether a value holds until the next: lines are steps."""
    ends: str | None = None
    """A metric of yes and no: a line ends in a cross where it first holds, and a published one in an open cross."""
    published: Beside | None = None
    """What was published, drawn beside the lines."""

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.of,) if isinstance(self.of, str) else self.of

    @model_validator(mode="after")
    def _panels_are_of_one(self) -> Lines:
        if self.panels is not None and len(self.metrics) > 1:
            context = {"at": ("panels",), "found": f"'{self.panels}' with {len(self.metrics)} metrics"}
            raise PydanticCustomError("name", "several", {**context, "expected": "a panel a metric, or one metric"})
        return self

    def expressions(self) -> Iterator[tuple[KeyPath, str]]:
        if self.published and self.published.as_ is not None:
            yield ("published", "as"), self.published.as_

    def published_names(self) -> Iterator[tuple[KeyPath, Literal["figure", "metric"], str]]:
        if self.published:
            for place, figure in enumerate(self.published.figures):
                yield ("published", "figures", place), "figure", figure
            for key in ("metric", "across"):
                if (name := getattr(self.published, key)) is not None:
                    yield ("published", key), "metric", name


@register("chart", "lines")
class LinesChart:
    """Draws lines and marks."""

    form = Lines

    @staticmethod
    def draw(shown: Shown, chart: Lines) -> tuple[Figure, str] | None:
        frame = shown.frame(chart)
        marks, published = _marks(shown, chart), chart.published
        ends = limits.limits_of(shown, chart, published.metric, published.figures, chart.x) if published else []
        panels = _panels(frame, marks, chart)
        by = chart.series or chart.panels
        looks = _looks(shown, frame, by) if by else {}
        across = shown.scale(chart.x, points.numbers(frame, chart.x), chart)
        figure = style.figure(style.PAGE, 2.5)
        everywhere = figure.subplots(1, len(panels), squeeze=False)[0]
        for letter, axes, (panel, metric, own, beside) in zip(ascii_lowercase, everywhere, panels, strict=False):
            every = [*points.numbers(frame, metric), *marks.loc[marks["metric"] == metric, "value"]]
            up = shown.scale(metric, every, chart)
            _lines(axes, own, chart, metric, (across, up), looks)
            for row in beside.to_dict("records"):
                colour = looks.get(row.get(by or ""), PLAIN)["color"]
                look = style.OPEN | {"color": colour, "markersize": 4.5, "zorder": 3} | ROLES.get(row["role"], {})
                axes.plot(across([row[chart.x]]), up([row["value"]]), **look)
            _lay(axes, own, chart, metric, (across, up))
            for end in ends:
                limits.draw(axes, end, across, looks.get(end.published.condition.get(by or ""), PLAIN)["color"])
            if panel is not None:
                axes.set_title(f"({letter}) {shown.heading(str(chart.panels), panel)}", loc="left")
            if len(chart.metrics) > 1:
                axes.set_title(f"({letter})", loc="left")
            if len(chart.metrics) > 1 or axes is everywhere[0]:
                axes.set_ylabel(up.label)
        style.legend(figure, [*_keys(shown, chart, looks, marks), *(limits.keys() if ends else [])])
        text = f"{' and '.join(map(short.short, chart.metrics))} over {across.name}, simulated"
        if len(marks):
            roles = " Squares: the values that the machine was fitted to. Grey: shown for context, not counted."
            text += f" and published ({names.figures(marks['figure'])})." + roles
        return figure, text


def _panels(
    frame: pd.DataFrame, marks: pd.DataFrame, chart: Lines
) -> list[tuple[Any, str, pd.DataFrame, pd.DataFrame]]:
    """What each panel shows: the value of `panels`, the metric, the points and the published values."""
    if chart.panels is None:
        return [(None, metric, frame, marks[marks["metric"] == metric]) for metric in chart.metrics]
    groups = frame.groupby(chart.panels, sort=False)
    return [(one, chart.metrics[0], own, marks[marks[chart.panels] == one]) for one, own in groups]


def _looks(shown: Shown, frame: pd.DataFrame, by: str) -> dict[Any, dict[str, Any]]:
    """The colour of each case that is drawn; where colours come again, in another stroke."""
    return {
        one: {"color": colour, "linestyle": STROKES[place // len(style.CYCLE) % len(STROKES)]}
        for place, (one, colour) in enumerate(shown.colours(by).items())
        if (frame[by] == one).any()
    }


def _lines(
    axes: Axes,
    frame: pd.DataFrame,
    chart: Lines,
    metric: str,
    scales: tuple[short.Scale, short.Scale],
    looks: dict[Any, dict[str, Any]],
) -> None:
    """A line a case; one that lies on another is dashed, so that both are seen."""
    by, (across, up), drawn = chart.series or chart.panels, scales, []
    for one, line in frame.groupby(by, sort=False) if by else [(None, frame)]:
        line = line.sort_values(chart.x)
        places = (across(line[chart.x]).tolist(), up(line[metric]).tolist())
        over: dict[str, Any] = {"linestyle": (0, (3, 3))} if places in drawn else {}
        stepped = {"drawstyle": "steps-post"} if chart.steps else {}
        axes.plot(*places, **{"zorder": 2, **looks.get(one, PLAIN), **over, **stepped})
        drawn.append(places)
        if chart.ends is not None:
            _end(axes, line, chart.x, metric, chart.ends, scales, looks.get(one, PLAIN))


def _end(
    axes: Axes,
    line: pd.DataFrame,
    x: str,
    metric: str,
    ends: str,
    scales: tuple[short.Scale, short.Scale],
    look: dict[str, Any],
) -> None:
    """A dotted line from the last value of a case to a cross where it ends."""
    (across, up), served, ended = scales, line[line[metric].notna()], line[line[ends] == 1]
    if served.empty or ended.empty:
        return
    height = up([served[metric].iloc[-1]] * 2)
    places = across([served[x].iloc[-1], ended[x].iloc[0]])
    axes.plot(places, height, **{**look, "linestyle": ":", "zorder": 2})
    axes.plot(places[1:], height[1:], **{**look, "marker": "x", "markersize": 4.5, "markeredgewidth": 1.2, "zorder": 5})


def _marks(shown: Shown, chart: Lines) -> pd.DataFrame:
    """The published values: metric, keys, role, figure, and the value that is drawn, in SI units."""
    import pandas as pd

    beside = chart.published
    published = [row.published for row in shown.rows if beside and row.published.figure in beside.figures]
    of = {beside.metric: chart.metrics[0]} if beside and beside.metric else {each: each for each in chart.metrics}
    rows: list[dict[str, Any]] = []
    ends: list[dict[str, Any]] = []
    for row in published:
        if beside is not None and row.metric == beside.across:
            metric, value = next(iter(of)), row.condition[next(iter(of))]
            keys = {**row.condition, chart.x: row.si()}
        elif (row.metric in of or row.metric == chart.ends) and not limits.is_limit(shown, row.metric, chart.x):
            metric, value = row.metric, row.si()
            keys = dict(shown.results.cases(metric, row.condition).iloc[0])
        else:
            continue
        if beside is not None and beside.as_ is not None:
            value = float(parse(beside.as_).at({**keys, metric: value}))
        conditions = {key: each if isinstance(each, list) else [each] for key, each in chart.where.items()}
        if all(keys[key] in each for key, each in conditions.items()):
            mark = {**keys, "metric": of.get(metric), "role": row.role, "figure": row.figure, "value": value}
            (rows if metric in of else ends).append(mark)
    columns = ["metric", "role", "figure", "value", chart.x, chart.panels or "panel"]
    rows += [end for each in ends if each["value"] for end in _ended(each, rows, chart)]
    return pd.DataFrame(rows, columns=None if rows else columns)


def _ended(end: dict[str, Any], marks: Sequence[dict[str, Any]], chart: Lines) -> list[dict[str, Any]]:
    """The end of a published line, as high as the last of its values; none where there are none."""
    alike = [key for key in (chart.series, chart.panels) if key is not None]
    line = [mark for mark in marks if all(mark[key] == end[key] for key in alike)]
    return [{**max(line, key=lambda mark: mark[chart.x]), chart.x: end[chart.x], "role": "end"}] if line else []


def _lay(axes: Axes, frame: pd.DataFrame, chart: Lines, metric: str, scales: tuple[short.Scale, short.Scale]) -> None:
    """Values from 0 on, or on a logarithmic axis; those of the axis as ticks where there are few."""
    from matplotlib.ticker import NullLocator

    across, up = scales
    places = across(sorted(set(points.numbers(frame, chart.x))))
    lay(axes, "x", places, across)
    if len(places) <= 8:
        axes.set_xticks(places, [short.number(float(each)) for each in places])
        axes.xaxis.set_minor_locator(NullLocator())
    values = up(points.numbers(frame, metric))
    if metric in chart.log:
        lay(axes, "y", values, up, log=True)
    elif len(chart.metrics) > 1 or not spans_a_decade(values):
        axes.set_ylim(0, 1.12 * axes.dataLim.y1)
    axes.margins(x=0.08)
    axes.grid(which="major")


def _keys(shown: Shown, chart: Lines, looks: dict[Any, dict[str, Any]], marks: pd.DataFrame) -> list[Any]:
    keys: list[Any] = []
    if chart.series:
        keys += [style.key(shown.label(chart.series, one), **look) for one, look in looks.items()]
    else:
        keys.append(style.key("simulated"))
    if chart.ends is not None:
        keys.append(style.key("end", marker="x", linestyle=":", markersize=4.5))
    for role, text in LEGEND.items():
        if (marks["role"] == role).any():
            keys.append(style.key(text, **style.OPEN | {"markersize": 4.5} | ROLES[role]))
    return keys
