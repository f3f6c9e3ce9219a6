"""Published values beside simulated ones: a panel for each of some metrics, a line for each value of a key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from string import ascii_lowercase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from simulator.config import KeyPath
from simulator.config.section import Section
from simulator.registry import register
from simulator.report import names, style
from simulator.report.shown import Shown
from simulator.study.form import ChartForm
from simulator.validation.reproduction import Compared

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TICKS = ((1, 2, 5), (1, 3))
"""Of a logarithmic axis: where values lie within a decade, and where they span more."""


class Panel(Section):
    """The published values of a metric, or those of them that have some values of keys."""

    of: str
    """The metric."""
    where: Annotated[dict[str, Any], Field(default_factory=dict)]
    """The values of keys under which it is drawn; all unless given."""
    title: str = ""
    """What stands over the panel."""


class Dots(ChartForm):
    """Published values beside simulated ones: a line for each value of `series`, in each panel."""

    kind: Literal["dots"]
    series: str
    """The key whose values are told apart by colour."""
    panels: Annotated[tuple[Panel, ...], Field(min_length=1)]
    """The panels, side by side."""

    def columns(self) -> Iterator[tuple[KeyPath, str]]:
        yield ("series",), self.series
        yield from ((("panels", place, "of"), panel.of) for place, panel in enumerate(self.panels))

    def values(self) -> Iterator[tuple[KeyPath, str, Any]]:
        yield from super().values()
        for place, panel in enumerate(self.panels):
            yield from ((("panels", place, "where", key), key, value) for key, value in panel.where.items())


@register("chart", "dots")
class DotsChart:
    """Draws a ring for what was published, a dot for what was simulated, on logarithmic axes."""

    form = Dots

    @staticmethod
    def draw(shown: Shown, chart: Dots) -> tuple[Figure, str] | None:
        panels = [(panel, _rows(shown, chart, panel)) for panel in chart.panels]
        rows = [row for _, compared in panels for row in compared]
        lines = list(dict.fromkeys(row.published.condition[chart.series] for row in rows))
        if not lines:
            return None
        figure = style.figure(style.PAGE, 0.9 + 0.17 * len(lines))
        everywhere = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for letter, axes, (panel, compared) in zip(ascii_lowercase, everywhere, panels, strict=False):
            _panel(axes, compared, [lines.index(row.published.condition[chart.series]) for row in compared])
            axes.set_title(f"({letter}) {_title(panel)}", loc="left", fontsize=8)
        everywhere[0].set_yticks(range(len(lines)), [shown.label(chart.series, line) for line in lines])
        everywhere[0].set_ylim(len(lines) - 0.5, -0.5)
        keys = [style.key("simulated", **DOT), style.key("published", **RING)]
        style.legend(figure, [*keys, style.key("published, fitted to", **RING | {"marker": "s"})])
        figures = names.figures(row.published.figure for row in rows)
        spread = _spread(panels)
        ratios = f" Simulated over published: {spread}." if spread else ""
        return figure, f"Published ({figures}) and simulated.{ratios}"


DOT: dict[str, Any] = {"marker": "o", "linestyle": "", "color": style.BLUE}
RING: dict[str, Any] = style.OPEN | {"color": style.VERMILION, "markersize": 4.5}


def _rows(shown: Shown, chart: Dots, panel: Panel) -> list[Compared]:
    """The published values of a panel that were simulated."""
    condition = {**chart.where, **panel.where}
    return [
        row
        for row in shown.rows
        if row.published.metric == panel.of
        and row.simulated
        and chart.series in row.published.condition
        and condition.items() <= dict(row.published.condition).items()
    ]


def _panel(axes: Axes, rows: Sequence[Compared], lines: Sequence[int]) -> None:
    values = []
    for row, line in zip(rows, lines, strict=True):
        look = {"marker": "s"} if row.published.role == "calibration" else {}
        published, simulated = row.published.published, row.simulated or 0.0
        axes.plot([published, simulated], [line, line], color=style.FAINT, linewidth=0.8, zorder=1)
        axes.plot([published], [line], **RING | look, zorder=2)
        axes.plot([simulated], [line], **DOT, zorder=3)
        values += [published, simulated]
    axes.axvline(1, color="black", linewidth=0.5, zorder=0)
    axes.grid(axis="y")
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.1)
    style.plain_log(axes, "x", TICKS[bool(values) and max(values) > 10 * min(values)])


def _title(panel: Panel) -> str:
    return panel.title or panel.of.replace("_", " ")


def _spread(panels: Sequence[tuple[Panel, Sequence[Compared]]]) -> str:
    """The median and the worst ratio of each panel, of predictions."""
    texts = []
    for panel, rows in panels:
        ratios = [row.ratio for row in rows if row.ratio and row.published.role == "prediction"]
        if ratios:
            worst = max(ratios, key=lambda ratio: max(ratio, 1 / ratio))
            texts.append(f"{_title(panel)} {median(ratios):.2f} in the median, {worst:.2f} at worst")
    return "; ".join(texts)
