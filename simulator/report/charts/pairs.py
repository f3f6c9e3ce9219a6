"""Published values beside simulated ones, a line each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from simulator.config import KeyPath
from simulator.config.section import Section
from simulator.registry import register
from simulator.report import names, style
from simulator.report.shown import Shown
from simulator.study.form import ChartForm
from simulator.validation.published import Published
from simulator.validation.reproduction import Compared

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Implied(Section):
    """What published over simulated amounts to, for the values under one of these `where`."""

    where: dict[str, Any]
    """Values of keys; of each key, those of which one counts."""
    what: str
    """What the ratio amounts to, in words."""


class Pairs(ChartForm):
    """Published values of a metric beside simulated ones, a line each."""

    kind: Literal["pairs"]
    of: str
    """The metric."""
    series: str
    """The key whose values colour the lines and name them."""
    beside: str | None = None
    """A key whose value stands behind the name."""
    implied: Implied | None = None
    """What published over simulated amounts to, for some of the values."""

    def values(self) -> Iterator[tuple[KeyPath, str, Any]]:
        yield from super().values()
        for column, wanted in self.implied.where.items() if self.implied else ():
            yield ("implied", "where", column), column, wanted


@register("chart", "pairs")
class PairsChart:
    """Draws a ring for what was published, a dot for what was simulated, and a line between."""

    form = Pairs

    @staticmethod
    def draw(shown: Shown, chart: Pairs) -> tuple[Figure, str] | None:
        rows = [row for row in shown.rows if row.published.metric == chart.of]
        if not rows:
            return None
        colours = shown.colours(chart.series)
        figure = style.figure(style.PAGE, 0.9 + 0.27 * len(rows))
        axis = figure.subplots()
        labels = []
        for place, row in enumerate(rows):
            case = shown.results.cases(chart.of, row.published.condition).iloc[0]
            published, simulated = row.published.published, row.simulated
            counted = row.published.role == "prediction"
            colour = colours.get(case[chart.series], style.GREY) if counted else style.FAINT
            if simulated is not None:
                axis.plot([published, simulated], [place, place], color=colour, linewidth=0.7, zorder=1)
                axis.plot([simulated], [place], marker="o", markersize=2.8, markeredgewidth=0, color=colour, zorder=3)
            axis.plot([published], [place], **style.OPEN | {"color": colour, "markersize": 6, "zorder": 2})
            style.say(
                axis, _figures(row, case, chart), (1, place), (8, 0), xycoords=axis.get_yaxis_transform(), va="center"
            )
            labels.append(_label(shown, chart, case, row.published))
        style.say(axis, "published | simulated", (1, -0.8), (8, 0), xycoords=axis.get_yaxis_transform(), va="center")
        style.plain_log(axis, "x", (1, 2, 3, 5))
        axis.set_yticks(range(len(rows)), labels)
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        axis.set(ylim=(len(rows) - 0.5, -0.6), xlabel=f"{chart.of.replace('_', ' ')} ({rows[0].published.unit})")
        axis.margins(x=0.06)
        axis.grid(which="major")
        dot: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 3.6}
        keys = [style.key("published", **style.OPEN | {"markersize": 6}), style.key("simulated", **dot)]
        style.legend(figure, [*keys, style.key("context: not counted", **dot, color=style.FAINT)])
        return figure, f"Published ({names.figures(row.published.figure for row in rows)}) and simulated."


def _label(shown: Shown, chart: Pairs, case: Any, published: Published) -> str:
    parts = [shown.label(chart.series, case[chart.series])]
    if chart.beside is not None:
        parts.append(f"{shown.label(chart.beside, case[chart.beside])} {chart.beside}")
    return f"{', '.join(parts)} ({names.figure(published.figure)})"


def _figures(row: Compared, case: Any, chart: Pairs) -> str:
    """`457 | 157: 2.9 tokens a step`."""
    if row.simulated is None:
        return f"{row.published.published:g} | refused"
    text = f"{row.published.published:g} | {row.simulated:.0f}"
    if chart.implied is None:
        return text
    conditions = {key: value if isinstance(value, list) else [value] for key, value in chart.implied.where.items()}
    meant = all(case[key] in values for key, values in conditions.items())
    return f"{text}: {row.published.published / row.simulated:.1f} {chart.implied.what}" if meant else text
