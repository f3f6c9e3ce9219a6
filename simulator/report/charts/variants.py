"""Published ratios beside simulated ones, under the settings of the paper and under a study's variants."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from simulator.config import KeyPath
from simulator.registry import register
from simulator.report import names, style
from simulator.report.shown import Shown
from simulator.study.form import ChartForm
from simulator.validation.published import CLOSE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = ("x", "+", "v", "<", ">", "1", "2", "3", "4")
COLUMN = 72.0  # of figures beside the plot, points
VARIANT: dict[str, Any] = {"linestyle": "", "markersize": 3.6, "markeredgewidth": 0.7, "markerfacecolor": "none"}
DOT: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 2.6}

Row = dict[Any, Any]
Lines = dict[str, dict[Any, list[Row]]]
"""The rows of the reproduction, by line and by what they are ratios over."""


class Variants(ChartForm):
    """Published ratios over some cases: a line for each setting, a colour for each case."""

    kind: Literal["variants"]
    of: Annotated[tuple[str, ...], Field(min_length=1)]
    """The published metrics."""
    over: str
    """The name under which a published value has the case that it is over."""
    series: str
    """The key that this is a value of."""
    lines: dict[str, str] = Field(default_factory=dict)
    """What the lines of a metric are called, with values of the condition: `batch {batch}`."""

    def columns(self) -> Iterator[tuple[KeyPath, str]]:
        yield from super().columns()
        yield from ((("lines", name), name) for name in self.lines)

    def published_names(self) -> Iterator[tuple[KeyPath, Literal["figure", "metric"], str]]:
        yield from ((("of", place), "metric", name) for place, name in enumerate(self.of))


@register("chart", "variants")
class VariantsChart:
    """Draws a ring for what was published, a dot for what was simulated, a mark a variant, on a logarithmic axis."""

    form = Variants

    @staticmethod
    def draw(shown: Shown, chart: Variants) -> tuple[Figure, str] | None:
        lines = _lines(shown, chart)
        if not lines:
            return None
        cases = [one for one in shown.colours(chart.series) if any(one in line for line in lines.values())]
        variants = _telling(shown, lines)
        figure = style.figure(style.PAGE, 1.15 + 0.29 * len(lines))
        axes = figure.subplots()
        for column, one in enumerate(cases):
            colour = shown.colours(chart.series)[one]
            marker = style.MARKERS[list(shown.colours(chart.series)).index(one) % len(style.MARKERS)]
            _beside(axes, column, -0.95, f"over {shown.label(chart.series, one)}\npub. | sim.", colour)
            for place, line in enumerate(lines.values()):
                shift = 0.22 * (column - (len(cases) - 1) / 2)
                _draw(axes, place + shift, line.get(one, []), variants, colour, marker)
                _beside(axes, column, place, _figures(line.get(one, [])), colour)
        style.plain_log(axes, "x", (1, 2, 3, 5))
        axes.set_yticks(range(len(lines)), list(lines))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set(ylim=(len(lines) - 0.4, -0.6), xlabel="ratio")
        axes.axvline(1, color="black", linewidth=0.6)
        axes.grid(which="major")
        keys = [style.key("published", **style.OPEN | {"markersize": 6}), style.key("simulated", **DOT)]
        keys.append(style.key("simulated, fitted", color=style.FAINT, **DOT))
        marked = zip(MARKS, variants, strict=False)
        style.legend(figure, keys + [style.key(_words(name), **VARIANT | {"marker": mark}) for mark, name in marked])
        return figure, _caption(shown, chart, variants)


def _lines(shown: Shown, chart: Variants) -> Lines:
    lines: Lines = {}
    rows = shown.reproduction.frames()["rows"].to_dict("records")
    for row, compared in zip(rows, shown.rows, strict=True):
        condition = dict(compared.published.condition)
        if row["metric"] in chart.of:
            try:
                text = chart.lines.get(row["metric"], _words(row["metric"])).format(**condition)
            except KeyError:
                text = _words(row["metric"])
            refused = {key: math.nan for key, value in row.items() if value is None}
            lines.setdefault(text, {}).setdefault(condition.get(chart.over), []).append(row | refused)
    return lines


def _telling(shown: Shown, lines: Lines) -> list[str]:
    """The variants that change a ratio by more than 3 %, less those that only add to another variant's settings."""
    reproduction = shown.reproduction
    settings = {name: set(variant.settings) for name, variant in reproduction.experiment.variants.items()}
    every = [row for line in lines.values() for rows in line.values() for row in rows]
    telling = [
        name
        for name in reproduction.variants
        if any(abs(row[f"simulated_{name}"] / row["simulated"] - 1) > CLOSE for row in every)
        and not any(other < settings[name] for other in settings.values())
    ]
    return telling[: len(MARKS)]


def _draw(axes: Axes, place: float, rows: Sequence[Row], variants: Sequence[str], colour: str, marker: str) -> None:
    ring: dict[str, Any] = {
        "marker": marker, "markersize": 6, "markerfacecolor": "white", "markeredgewidth": 0.8, "elinewidth": 0.8,
    }  # fmt: skip
    for row in rows:
        own = style.FAINT if row["role"] == "disputed" else colour
        axes.errorbar(row["published"], place, xerr=row["tolerance"], color=own, zorder=2, **ring)
    for row in rows[:1]:
        own = style.FAINT if row["role"] in ("calibration", "input") else colour
        axes.plot([row["simulated"]], [place], markeredgewidth=0, color=own, zorder=3, **DOT)
        for mark, name in zip(MARKS, variants, strict=False):
            axes.plot([row[f"simulated_{name}"]], [place], color=colour, marker=mark, zorder=1, **VARIANT)


def _figures(rows: Sequence[Row]) -> str:
    """`6.6 | 6.63`: published as exactly as it was, simulated with one digit more."""
    if not rows:
        return ""
    digits = max(0, round(-math.log10(2 * rows[0]["tolerance"] or 1)))
    published = ", ".join(f"{row['published']:.{digits}f}" for row in rows)
    simulated = rows[0]["simulated"]
    return f"{published} | " + ("refused" if simulated != simulated else f"{simulated:.{digits + 1}f}")


def _beside(axes: Axes, column: int, place: float, text: str, colour: str) -> None:
    at, offset = (1, place), (COLUMN * (column + 0.5), 0)
    style.say(axes, text, at, offset, xycoords=axes.get_yaxis_transform(), va="center", ha="center", color=colour)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _caption(shown: Shown, chart: Variants, variants: Sequence[str]) -> str:
    figures = {row.published.figure for row in shown.rows if row.published.metric in chart.of}
    silent = [_words(name) for name in shown.reproduction.variants if name not in variants]
    return (
        f"Ratios ({names.figures(figures)}): published with its rounding (open; grey where the paper contradicts "
        "itself), simulated (dots; grey where fitted), and under the variants of the experiment."
        + (f" In the table only: {', '.join(silent)}." if silent else "")
    )
