"""Designs as lines over parallel axes: what each varies and what it gives (Inselberg, The Visual Computer 1985)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import ConfigError
from simulator.report import style
from simulator.report.plots import looks, points, short
from simulator.report.plots.axis import spans_a_decade

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 2_000
"""Faint lines drawn, by lot from a fixed seed."""
MOST_BOLD = 300
"""Lines of the front drawn, from one end of the colours to the other."""
TICKS = 9  # at most, of an axis of few values


@dataclass(frozen=True)
class _Axis:
    """Where each row stands on one axis, from 0 to 1, its ticks, and what it is called."""

    heights: points.Array
    ticks: list[tuple[float, str]]
    label: str


@style.publication()
def parallel(
    frame: pd.DataFrame,
    columns: Sequence[str] | None = None,
    senses: Mapping[str, points.Sense] | None = None,
    front: points.Front | None = None,
    colour: str | None = None,
    units: short.Units | None = None,
    width: float = style.PAGE,
) -> Figure:
    """An axis a column, a faint line a feasible point, and on top the lines of the front, coloured by one column.

    `columns` are the axes that vary and the metrics of `senses` unless given; `front` is that in these metrics, as a
    column or a mask where it is given. Texts stand as categories, numbers by their logarithm where they span a decade.
    `colour` is the last column of numbers unless given.

    Raises:
        ConfigError: no such column, fewer than two, no front to draw, or no feasible point with all values.
    """
    names = list(columns or ()) or [*_varied(frame), *(senses or ())]
    if len(names) < 2:
        raise ConfigError("axes of a figure", found=f"{len(names)}", expected="two or more that vary, or metrics")
    rows = _complete(frame, names)
    if front is None and not senses:
        raise ConfigError("what is best", found="neither senses nor a front", expected="one of them")
    marked = points.front(frame, front, rows, senses or {})
    numeric = [name for name in names if not points.is_text(frame, name)]
    colour = colour or (numeric[-1] if numeric else None)
    called = short.shorts(names)
    axes_ = [_axis(frame, name, called[name], rows, units, (senses or {}).get(name)) for name in names]
    heights = np.column_stack([each.heights for each in axes_])
    figure = style.figure(width, 0.36 * width + 0.3)
    axes = figure.subplots()
    _lines(axes, heights, np.flatnonzero(rows & ~marked))
    colours = looks.coloured(frame, colour, rows, units)
    bold = np.flatnonzero(marked)
    if colour is not None and not points.is_text(frame, colour):
        bold = bold[np.argsort(points.numbers(frame, colour)[bold], kind="stable")]
    if len(bold) > MOST_BOLD:
        bold = bold[np.linspace(0, len(bold) - 1, MOST_BOLD).round().astype(int)]
    for row in bold:
        axes.plot(heights[row], color=colours.colours[row], linewidth=1.0, alpha=0.9, zorder=3, clip_on=False)
    _frame(axes, axes_)
    if colours.map is not None:
        looks.bar(figure, axes, colours.map, colours.label)
    keys = [
        style.key(f"front ({int(marked.sum()):,})", color=style.BLUE if colours.map is None else "#555555"),
        style.key(f"other feasible points ({int((rows & ~marked).sum()):,})", color="#CFCFCF"),
    ]
    looks.legend(figure, [*colours.keys, *keys], width)
    return figure


def _varied(frame: pd.DataFrame) -> list[str]:
    paths = [str(name) for name in frame.columns if short.is_axis(str(name))]
    return [name for name in paths if len(points.categories(frame, name)) > 1]


def _complete(frame: pd.DataFrame, names: Sequence[str]) -> points.Mask:
    """Feasible points with a value in every column."""
    rows = points.with_values(frame, [name for name in names if not points.is_text(frame, name)])
    for name in names:
        if points.is_text(frame, name):
            rows &= np.array([one is not None and one == one for one in points.column(frame, name).tolist()])
    if not rows.any():
        raise ConfigError("no feasible point to draw", found="none with all values", expected="one or more")
    return rows


def _axis(
    frame: pd.DataFrame, name: str, called: str, rows: points.Mask, units: short.Units | None, sense: str | None
) -> _Axis:
    best = f"\n{sense}." if sense else ""
    if points.is_text(frame, name):
        levels = points.categories(frame, name, rows)
        at = _even(len(levels))
        of = dict(zip(levels, at, strict=True))
        heights = np.array([of.get(one, np.nan) if one == one else np.nan for one in points.column(frame, name)])
        return _Axis(heights, [(of[one], short.value(name, one)) for one in levels], called + best)
    values = points.numbers(frame, name)
    scale = short.scale(name, values[rows], units, called)
    positions = np.unique(scale(values[rows]))
    log = spans_a_decade(positions)

    def height(shown: Any) -> Any:
        ends, at = (np.log(positions[[0, -1]]), np.log(shown)) if log else (positions[[0, -1]], np.asarray(shown))
        return (at - ends[0]) / (ends[1] - ends[0]) if ends[1] > ends[0] else np.full(np.shape(at), 0.5)

    with np.errstate(invalid="ignore", divide="ignore"):
        heights = height(scale(values))
    marks = positions if len(positions) <= TICKS else _round(positions[0], positions[-1], log)
    label = f"{called}\n({scale.unit})" if scale.unit else called
    return _Axis(heights, [(float(height(one)), short.number(float(one))) for one in marks], label + best)


def _even(count: int) -> points.Array:
    return np.linspace(0, 1, count) if count > 1 else np.array([0.5])


def _round(low: float, high: float, log: bool) -> list[float]:
    """The two ends, and round numbers between that keep off them."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    locator = LogLocator(10, subs=(1, 3) if high < 300 * low else (1,)) if log else MaxNLocator(4)
    marks = [float(one) for one in locator.tick_values(low, high)]
    near = 0.08
    if log:
        marks = [one for one in marks if near < np.log(one / low) / np.log(high / low) < 1 - near]
    else:
        marks = [one for one in marks if near < (one - low) / (high - low) < 1 - near]
    return [low, *marks, high]


def _lines(axes: Axes, heights: points.Array, where: Any) -> None:
    """Faint lines of these rows."""
    from matplotlib.collections import LineCollection

    if len(where) > MOST:
        where = np.sort(np.random.default_rng(0).choice(where, MOST, replace=False))
    at = np.arange(heights.shape[1])
    lines = [np.column_stack([at, heights[row]]) for row in where]
    faint = max(0.15, min(0.6, 60 / max(len(lines), 1)))
    drawn = LineCollection(lines, colors="#A0A0A0", linewidths=0.4, alpha=faint, zorder=1, rasterized=len(lines) > 500)
    axes.add_collection(drawn)


def _frame(axes: Axes, axes_: Sequence[_Axis]) -> None:
    """Vertical axes with their ticks to the left, and what they are called below."""
    from matplotlib.patheffects import withStroke

    for at, each in enumerate(axes_):
        axes.plot([at, at], [0, 1], color="black", linewidth=0.6, zorder=4, clip_on=False)
        for height, text in each.ticks:
            axes.plot([at - 0.018, at], [height, height], color="black", linewidth=0.6, zorder=4, clip_on=False)
            halo = [withStroke(linewidth=2.2, foreground="white", alpha=0.85)]
            style.say(
                axes, text, (at, height), (-4, 0), ha="right", va="center", fontsize=7, zorder=5, path_effects=halo
            )
    axes.set(xlim=(-0.12, len(axes_) - 1 + 0.02), ylim=(-0.03, 1.03), yticks=[])
    lines = max(each.label.count("\n") for each in axes_)
    axes.set_xticks(range(len(axes_)), [each.label + "\n" * (lines - each.label.count("\n")) for each in axes_])
    axes.tick_params(axis="x", length=0, pad=3)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
