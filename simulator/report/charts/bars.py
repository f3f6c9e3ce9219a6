"""Metrics of some cases beside one another: groups of bars, with published values as marks and lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from string import ascii_lowercase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from simulator.config import KeyPath
from simulator.config.section import Section
from simulator.errors import ConfigError
from simulator.registry import register
from simulator.report import marks, names, style
from simulator.report.groups import HATCHES, WIDTH, Group, groups_of, lay, name_keys, panels_of, places
from simulator.report.plots import short
from simulator.report.shown import Shown
from simulator.study.form import ChartForm

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
    """The key whose values are told apart by colour."""
    panels: str | None = None
    """The key of whose values each has a panel."""
    log: tuple[str, ...] = ()
    """The metrics whose axis is logarithmic."""
    published: Figures | None = None
    """What was published, drawn beside the bars."""

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.of,) if isinstance(self.of, str) else self.of

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.x,) if isinstance(self.x, str) else self.x

    def published_names(self) -> Iterator[tuple[KeyPath, Literal["figure", "metric"], str]]:
        for place, figure in enumerate(self.published.figures if self.published else ()):
            yield ("published", "figures", place), "figure", figure

    @model_validator(mode="after")
    def _panels_are_of_one(self) -> Bars:
        if self.panels is not None and len(self.metrics) > 1:
            context = {"at": ("panels",), "found": f"'{self.panels}' with {len(self.metrics)} metrics"}
            raise PydanticCustomError("name", "several", {**context, "expected": "a panel a metric, or one metric"})
        return self


@register("chart", "bars")
class BarsChart:
    """Draws bars of what was simulated, and what was published of them."""

    form = Bars

    @staticmethod
    def draw(shown: Shown, chart: Bars) -> tuple[Figure, str] | None:
        frame = _cases(shown, chart)
        if frame.empty:
            return None
        published = marks.marks_of(
            shown, chart, chart.metrics, chart.published.figures if chart.published else (), frame
        )
        looks = _looks(shown, frame, chart.series)
        panels: list[tuple[str, Any, pd.DataFrame]] = [(metric, None, frame) for metric in chart.metrics]
        if chart.panels is not None:
            panels = [(chart.metrics[0], one, own) for one, own in frame.groupby(chart.panels, sort=False)]
        over = {_over(shown, metric) for metric in chart.metrics}
        alike = len(chart.metrics) == 1 or (len(over) == 1 and "" not in over and len(chart.log) in (0, len(panels)))
        most = max(len(groups_of(own, chart.keys)) for *_, own in panels)
        figure, everywhere = panels_of(len(panels), most, alike)
        levels: list[marks.Mark] = []
        for letter, axes, (metric, panel, own) in zip(ascii_lowercase, everywhere, panels, strict=False):
            own_marks = [
                mark for mark in published if mark.metric == metric and (panel is None or _is_of(mark, chart, panel))
            ]
            together = chart.metrics if alike else (metric,)
            values = [*frame[list(together)].to_numpy().ravel(), *(m.value for m in published if m.metric in together)]
            up = shown.scale(metric, values, chart)
            foot = _lay(axes, up(values), metric in chart.log, bool(_over(shown, metric)))
            _bars(axes, own, chart, up(own[metric]), foot, looks)
            lay(axes, groups_of(own, chart.keys), chart.keys, shown.label)
            for mark in own_marks:
                _mark(axes, mark, own, chart, up, looks)
            lines = [mark for mark in own_marks if mark.take and mark not in levels]
            marks.tell(axes, [(float(up(mark.value)), _colour(mark, chart, looks)) for mark in lines])
            levels += lines
            title = up.label if panel is None else shown.label(str(chart.panels), panel)
            axes.set_title(f"({letter}) {title}" if len(panels) > 1 else "", loc="left")
        metric_name = up.label if len(chart.metrics) == 1 else ""
        figure.supylabel(f"{metric_name} {over.pop() if len(over) == 1 else ''}".strip(), fontsize=9)
        name_keys(everywhere, chart.keys, shown.name)
        from matplotlib.patches import Patch

        keys = [Patch(label=shown.label(chart.series, one), **look) for one, look in looks.items()]
        style.legend(figure, [*keys, *marks.keys_of(published)])
        return figure, _caption(shown, chart, published)


def _cases(shown: Shown, chart: Bars) -> pd.DataFrame:
    """The cases that have a bar, each once.

    Raises:
        ConfigError: several have the same one.
    """
    frame = shown.frame(chart)
    bar = [*dict.fromkeys([*chart.keys, chart.series, *([chart.panels] if chart.panels else [])])]
    frame = frame[frame[list(chart.metrics)].notna().any(axis=1)].drop_duplicates([*bar, *chart.metrics])
    several = frame[frame.duplicated(bar)]
    if len(several):
        case = ", ".join(f"{key} {shown.label(key, several[key].iloc[0])}" for key in bar)
        raise ConfigError("one case a bar", found=f"several of {case}", expected="one, by `x`, `where` or `run`")
    return frame


def _looks(shown: Shown, frame: pd.DataFrame, series: str) -> dict[Any, dict[str, Any]]:
    """The colour of each case that is drawn; where colours come again, hatched."""
    return {
        one: {
            "facecolor": colour,
            "edgecolor": "white",
            "linewidth": 0,
            "hatch": HATCHES[place // len(style.CYCLE) % len(HATCHES)],
        }
        for place, (one, colour) in enumerate(shown.colours(series).items())
        if (frame[series] == one).any()
    }


def _bars(axes: Axes, own: pd.DataFrame, chart: Bars, heights: Any, foot: float, looks: Mapping[Any, Any]) -> None:
    """A bar a case, from `foot` on."""
    groups, shifts = _groups(own, chart), dict(zip(looks, places(len(looks)), strict=True))
    order = groups_of(own, chart.keys)
    for one, group, height in zip(own[chart.series], groups, heights, strict=True):
        width = 0.92 * WIDTH / len(looks)
        axes.bar(order.index(group) + shifts[one], height - foot, width, bottom=foot, zorder=2, **looks[one])


def _groups(rows: pd.DataFrame, chart: Bars) -> list[Group]:
    """The group of each row."""
    return list(zip(*(rows[key] for key in chart.keys), strict=True))


def _lay(axes: Axes, values: Any, log: bool, ratio: bool) -> float:
    """Where bars begin: at 0, or on a logarithmic axis at 1 of ratios, else below all; of ratios, with a line at 1."""
    finite = [float(one) for one in values if isfinite(one)] or [1.0]
    foot = 0.0 if not log else 1.0 if ratio else 0.5 * min(finite)
    if log:
        style.plain_log(axes, "y", (1, 2, 5))
        axes.set_ylim(min(foot, 0.85 * min(finite)), 1.2 * max(foot, *finite))
    else:
        axes.set_ylim(min(0.0, *finite), 1.1 * max(finite))
    if ratio:
        axes.axhline(1, color="black", linewidth=0.6, zorder=3)
    return foot


def _is_of(mark: marks.Mark, chart: Bars, panel: Any) -> bool:
    return bool((mark.cases[chart.panels] == panel).any())


def _mark(
    axes: Axes, mark: marks.Mark, own: pd.DataFrame, chart: Bars, up: short.Scale, looks: Mapping[Any, Any]
) -> None:
    """A published value, on the bars of a panel that it is of."""
    cases = mark.cases if chart.panels is None else mark.cases[mark.cases[chart.panels] == own[chart.panels].iloc[0]]
    order = groups_of(own, chart.keys)
    shift = places(len(looks))[list(looks).index(cases[chart.series].iloc[0])]
    at = [order.index(group) for group in dict.fromkeys(_groups(cases, chart))]
    marks.draw(axes, mark, float(up(mark.value)), at, shift, _colour(mark, chart, looks))


def _colour(mark: marks.Mark, chart: Bars, looks: Mapping[Any, Any]) -> str:
    """That of the bars that a published value is of, if they have one."""
    series = mark.cases[chart.series].unique()
    return str(looks[series[0]]["facecolor"]) if len(series) == 1 else style.BLACK


def _over(shown: Shown, metric: str) -> str:
    """`over GPU`, of a ratio; else nothing."""
    lookup = shown.results.study.form.metrics.get(metric)
    if lookup is None or not lookup.over:
        return ""
    over = lookup.over
    return "over " + (over if isinstance(over, str) else ", ".join(shown.label(*one) for one in over.items()))


def _caption(shown: Shown, chart: Bars, published: Sequence[marks.Mark]) -> str:
    metrics = ", ".join(shown.scale(metric, (), chart).name for metric in chart.metrics)
    text = f"{metrics} {_over(shown, chart.metrics[0])}".rstrip() + ": bars simulated."
    if published:
        figures = names.figures(mark.figure for mark in published)
        text += f" Published ({figures}): lines, of all bars of their colour below them together; rings, of one bar."
    return text[:1].upper() + text[1:]
