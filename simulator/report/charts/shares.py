"""Shares that add up to a whole: stacks of parts, one or more for each group of cases."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from string import ascii_lowercase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from simulator.config import KeyPath
from simulator.registry import register
from simulator.report import style
from simulator.report.groups import HATCHES, WIDTH, groups_of, lay, name_keys, panels_of, places
from simulator.report.shown import Shown
from simulator.study.form import ChartForm

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.VERMILION, style.PURPLE, style.SKY)
REST = "#D0D0D0"


class Shares(ChartForm):
    """Stacks of shares for each value of `x`, in a panel for each value of `panels`."""

    kind: Literal["shares"]
    stacks: Annotated[dict[str, tuple[str, ...]], Field(min_length=1, max_length=len(HATCHES))]
    """The shares of each stack, by what it is called: as many as there are `parts`, the lowest first."""
    parts: Annotated[tuple[str, ...], Field(min_length=1, max_length=len(COLOURS))]
    """What the shares of a stack are of."""
    rest: str = ""
    """What takes the rest of each stack; nothing unless given."""
    x: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """The key that tells groups apart; or several, of which the last is told nearest to the bars."""
    panels: str | None = None
    """The key of whose values each has a panel."""

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.x,) if isinstance(self.x, str) else self.x

    @model_validator(mode="after")
    def _a_share_is_of_each_part(self) -> Shares:
        for name, shares in self.stacks.items():
            if len(shares) != len(self.parts):
                context = {"at": ("stacks", name), "found": f"{len(shares)} shares", "expected": f"{len(self.parts)}"}
                raise PydanticCustomError("name", "several", context)
        return self

    def columns(self) -> Iterator[tuple[KeyPath, str]]:
        yield from super().columns()
        for stack, shares in self.stacks.items():
            yield from ((("stacks", stack, place), share) for place, share in enumerate(shares))


@register("chart", "shares")
class SharesChart:
    """Draws stacked bars, hatched where there are several of a group."""

    form = Shares

    @staticmethod
    def draw(shown: Shown, chart: Shares) -> tuple[Figure, str] | None:
        frame = shown.frame(chart)
        frame = frame[frame[[share for shares in chart.stacks.values() for share in shares]].notna().any(axis=1)]
        if frame.empty:
            return None
        panels: list[tuple[Any, pd.DataFrame]] = [(None, frame)]
        if chart.panels is not None:
            panels = list(frame.groupby(chart.panels, sort=False))
        figure, everywhere = panels_of(len(panels), max(len(groups_of(own, chart.keys)) for _, own in panels))
        for letter, axes, (panel, own) in zip(ascii_lowercase, everywhere, panels, strict=False):
            _stacks(axes, own, chart)
            lay(axes, groups_of(own, chart.keys), chart.keys, shown.label)
            axes.set(ylim=(0, 100), yticks=(0, 25, 50, 75, 100))
            if chart.panels is not None:
                axes.set_title(f"({letter}) {shown.label(chart.panels, panel)}", loc="left")
        figure.supylabel("%", fontsize=9)
        name_keys(everywhere, chart.keys, shown.name)
        style.legend(figure, _keys(chart))
        return figure, f"Shares of {' and '.join(chart.parts)}, simulated: {', '.join(chart.stacks)}."


def _stacks(axes: Axes, own: pd.DataFrame, chart: Shares) -> None:
    """The stacks of each group, beside one another; none where a share is missing."""
    groups = groups_of(own, chart.keys)
    named = [*zip(chart.parts, COLOURS, strict=False), *([(chart.rest, REST)] if chart.rest else [])]
    for shares, hatch, shift in zip(chart.stacks.values(), HATCHES, places(len(chart.stacks)), strict=False):
        for row in own.to_dict("records"):
            parts = [100 * row[share] for share in shares]
            if any(map(isnan, parts)):
                continue
            at, bottom = groups.index(tuple(row[key] for key in chart.keys)) + shift, 0.0
            for (_, colour), share in zip(named, [*parts, 100 - sum(parts)], strict=False):
                look: dict[str, Any] = {"color": colour, "edgecolor": "white", "linewidth": 0.3, "zorder": 2}
                axes.bar(at, share, 0.9 * WIDTH / len(chart.stacks), bottom=bottom, hatch=hatch, **look)
                bottom += share


def _keys(chart: Shares) -> list[Any]:
    from matplotlib.patches import Patch

    named = [*zip(chart.parts, COLOURS, strict=False), *([(chart.rest, REST)] if chart.rest else [])]
    keys = [Patch(color=colour, label=part) for part, colour in named]
    if len(chart.stacks) > 1:
        look: dict[str, Any] = {"facecolor": "#6A6A6A", "edgecolor": "white", "linewidth": 0}
        keys += [Patch(label=stack, hatch=hatch, **look) for stack, hatch in zip(chart.stacks, HATCHES, strict=False)]
    return keys
