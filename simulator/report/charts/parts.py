"""What a quantity is made of: bars of some metrics on one another, with published ones beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import ascii_lowercase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from simulator.config import KeyPath
from simulator.registry import register
from simulator.report import names, style
from simulator.report.plots import short
from simulator.report.shown import Shown
from simulator.study.form import ChartForm

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HATCH = 0.36, "/////"
WEAKEST = 0.3


class Parts(ChartForm):
    """Bars of metrics that add up: one for each value of `series`, in a panel for each value of `panels`."""

    kind: Literal["parts"]
    of: Annotated[tuple[str, ...], Field(min_length=2)]
    """The metrics, from the bottom up."""
    series: str
    """The key of whose values each has a bar."""
    panels: str
    """The key of whose values each has a panel."""
    sum: str
    """What they add up to, as the axis has it."""
    published: dict[str, str] = Field(default_factory=dict)
    """Published metrics, from the bottom up, each with the one of these whose shade it has."""
    figures: tuple[str, ...] = ()
    """The figures of the paper that published bars are of."""

    def columns(self) -> Iterator[tuple[KeyPath, str]]:
        yield from super().columns()
        yield from ((("published", name), of) for name, of in self.published.items())

    def published_names(self) -> Iterator[tuple[KeyPath, Literal["figure", "metric"], str]]:
        yield from ((("figures", place), "figure", figure) for place, figure in enumerate(self.figures))
        yield from ((("published", name), "metric", name) for name in self.published)


@register("chart", "parts")
class PartsChart:
    """Draws a bar for what was simulated, and a hatched one for what was published."""

    form = Parts

    @staticmethod
    def draw(shown: Shown, chart: Parts) -> tuple[Figure, str] | None:
        frame = shown.frame(chart)
        colours = {
            one: colour for one, colour in shown.colours(chart.series).items() if (frame[chart.series] == one).any()
        }
        scale = shown.scale(chart.of[0], frame[list(chart.of)].sum(axis=1), chart)
        scale = short.Scale(chart.sum, scale.unit, scale.worth)
        panels = list(frame.groupby(chart.panels, sort=False))
        figure = style.figure(style.PAGE, 2.9)
        for letter, axes, (panel, own) in zip(
            ascii_lowercase, figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=False
        ):
            for place, (one, colour) in enumerate(colours.items()):
                alike = own[own[chart.series] == one]
                if len(alike):
                    simulated = {name: float(scale(alike[name].iloc[0])) for name in chart.of}
                    _bar(axes, place - WIDTH / 2 - 0.02, simulated, chart, colour)
                published = {name: float(scale(value)) for name, value in _published(shown, chart, panel, one).items()}
                _bar(axes, place + WIDTH / 2 + 0.02, published, chart, colour, HATCH)
            axes.set_xticks(range(len(colours)), [shown.label(chart.series, one) for one in colours])
            axes.tick_params(axis="x", length=0)
            axes.yaxis.set_major_formatter("{x:,.0f}")
            axes.margins(y=0.1)
            axes.set_ylabel(scale.label)
            axes.set_title(f"({letter}) {shown.heading(chart.panels, panel)}", loc="left")
        _legend(figure, shown, chart)
        hatched = f" and published (hatched, {names.figures(chart.figures)})" if chart.figures else ""
        return figure, f"{chart.sum}, split: simulated{hatched}. Above the bars: totals."


def _published(shown: Shown, chart: Parts, panel: Any, one: Any) -> dict[str, float]:
    """What was published of a bar, in SI units."""
    keys = {**chart.where, chart.panels: panel, chart.series: one}
    return {
        row.published.metric: row.published.si()
        for name in chart.published
        for row in shown.rows
        if row.published.metric == name
        and row.published.figure in chart.figures
        and keys.items() <= dict(row.published.condition).items()
    }


def _bar(axes: Axes, x: float, parts: Mapping[str, float], chart: Parts, colour: str, hatch: str = "") -> None:
    """One bar, its parts from the bottom up, their sum above it; no bar where the simulation refused."""
    bottom = 0.0
    for name, part in parts.items():
        face = style.tint(colour, _strength(chart, name))
        axes.bar(x, part, WIDTH, bottom, color=face, edgecolor="white", linewidth=0.5, hatch=hatch)
        bottom += part
    refused = bottom != bottom
    text = "refused" if refused else f"{bottom:,.0f}" if bottom >= 10 else f"{bottom:.2g}"
    if parts:
        style.say(axes, text, (x, 0 if refused else bottom), (0, 2), ha="center")


def _strength(chart: Parts, name: str) -> float:
    """How much of the colour a part has: the lowest all, the highest least."""
    place = chart.of.index(chart.published.get(name, name))
    return 1 - (1 - WEAKEST) * place / (len(chart.of) - 1)


def _legend(figure: Figure, shown: Shown, chart: Parts) -> None:
    from matplotlib.patches import Patch

    grey = "#333333"
    keys = [Patch(facecolor=style.tint(grey, _strength(chart, name)), label=shown.name(name)) for name in chart.of]
    if chart.published:
        face = style.tint(grey, 0.45)
        keys.append(Patch(facecolor=face, edgecolor="white", hatch=HATCH, linewidth=0, label="published"))
    style.legend(figure, keys)
