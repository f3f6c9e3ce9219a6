"""One metric over two axes of a sweep, a cell for each pair of their values."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.escape import markdown
from simulator.registry import register
from simulator.report import style
from simulator.report.plots import looks, points, short
from simulator.report.shown import Shown
from simulator.study.form import ChartForm, Sense

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CELLS = 1_000_000
HATCH: dict[str, Any] = {"facecolor": "white", "edgecolor": "#9A9A9A", "hatch": "//////", "linewidth": 0}
_WORDS = {"max": "highest", "min": "lowest"}


class Heat(ChartForm):
    """A metric over two axes; of several points of a cell, the `best`."""

    kind: Literal["heat"]
    x: str
    """The axis or key along x."""
    y: str
    """The axis or key along y."""
    of: str
    """The metric."""
    best: Sense | None = None
    """Which of several points of a cell counts, the one with the most or the least."""


@style.publication()
def heat(
    frame: pd.DataFrame,
    x: str,
    y: str,
    value: str,
    best: points.Sense | None = None,
    units: short.Units | None = None,
    width: float = style.COLUMN,
) -> Figure:
    """A cell has the value of its feasible point; of several, the best, which the label of the bar says.

    A cell with infeasible points alone is hatched, one without any is blank; the best of all has an edge. Values are
    printed where there is room. `best` is `max` or `min`: unless given, more is better of what is so many a second.

    Raises:
        ConfigError: no such column, no feasible point with a value, or more than a million cells.
    """
    rows = points.with_values(frame, [value])
    best = best or points.sense(value, None)
    places = [points.categories(frame, name) for name in (x, y)]
    if not all(places) or len(places[0]) * len(places[1]) > MOST_CELLS:
        found = f"{len(places[0]):,} of {x} by {len(places[1]):,} of {y}"
        raise ConfigError("cells of a heat map", found=found, expected="some, and a million at most")
    cells, counts, tried = _cells(frame, (x, y), places, points.numbers(frame, value), rows, best)
    scale = short.scale(value, cells, units)
    shown = scale(cells)
    height = min(0.95 * width, 1.75 + 0.24 * len(places[1]))
    figure = style.figure(width, height)
    axes = figure.subplots()
    mapping: Any = looks.colour_map(shown)
    edges = [np.arange(len(place) + 1) - 0.5 for place in places]
    mesh = axes.pcolormesh(
        *edges, np.ma.masked_invalid(shown), cmap=mapping.cmap, norm=mapping.norm,
        rasterized=shown.size > 5_000, linewidth=0.3 if shown.size < 400 else 0, edgecolor="white",
    )  # fmt: skip
    for which, name, place in zip("xy", (x, y), places, strict=True):
        room = (width - 0.7) / 0.068 if which == "x" else (height - 1.4) / 0.15
        _ticks(axes, which, name, place, units, room)
    _hatch(axes, np.isnan(shown) & tried)
    at = np.unravel_index(np.nanargmax(shown if best == "max" else -shown), shown.shape)
    edge: dict[str, Any] = {"facecolor": "none", "edgecolor": style.VERMILION, "linewidth": 1.2}
    _box(axes, int(at[0]), int(at[1]), zorder=4, clip_on=False, **edge)
    longest = max(len(text.get_text()) for text in axes.get_yticklabels())
    several = _over(frame, (x, y, value), rows) if counts.max() > 1 else ""
    label = f"{scale.label}{f', {_WORDS[best]} over {several}' if several else ''}"
    looks.bar(
        figure, axes, mesh, "\n".join(textwrap.wrap(label, int((width - 0.5 - 0.06 * longest) / 0.064))), above=True
    )
    from matplotlib.patches import Patch

    keys: list[Any] = [Patch(label=_WORDS[best], **edge)]
    if (np.isnan(shown) & tried).any():
        keys.append(Patch(label="infeasible", **HATCH | {"linewidth": 0.4}))
    looks.legend(figure, keys, width)
    _values(axes, shown, mapping)
    return figure


@register("chart", "heat")
class HeatChart:
    """Draws a cell for each pair of values."""

    form = Heat

    @staticmethod
    def draw(shown: Shown, chart: Heat) -> tuple[Figure, str]:
        units = shown.units(chart)
        figure = heat(shown.frame(chart), chart.x, chart.y, chart.of, chart.best, units, style.PAGE * 0.7)
        return figure, markdown(f"{chart.of} over {chart.x} and {chart.y}")


def _cells(
    frame: pd.DataFrame,
    names: tuple[str, str],
    places: list[list[Any]],
    values: points.Array,
    rows: points.Mask,
    best: points.Sense,
) -> tuple[points.Array, NDArray[np.int64], points.Mask]:
    """By y and x: the best value, NaN where no point has one; how many have one; and whether there is a point."""
    index = []
    for name, place in zip(names, places, strict=True):
        of = {one: i for i, one in enumerate(place)}
        index.append(np.array([of.get(one, -1) if one == one else -1 for one in points.column(frame, name).tolist()]))
    known = (index[0] >= 0) & (index[1] >= 0)
    flat = index[1] * len(places[0]) + index[0]
    shape = len(places[1]), len(places[0])
    tried = np.bincount(flat[known], minlength=shape[0] * shape[1]) > 0
    counts = np.bincount(flat[known & rows], minlength=shape[0] * shape[1])
    cells = np.full(shape[0] * shape[1], -np.inf if best == "max" else np.inf)
    (np.maximum if best == "max" else np.minimum).at(cells, flat[known & rows], values[known & rows])
    cells[counts == 0] = np.nan
    return cells.reshape(shape), counts, tried.reshape(shape)


def _over(frame: pd.DataFrame, shown: tuple[str, ...], rows: points.Mask) -> str:
    """The axes that vary beside those shown, by name."""
    others = [str(name) for name in frame.columns if short.is_axis(str(name)) and name not in shown]
    varied = [name for name in others if len(points.categories(frame, name, rows)) > 1]
    named = list(short.shorts(varied).values())
    if len(named) > 3:
        return f"{len(named)} other axes"
    return " and ".join(filter(None, [", ".join(named[:-1]), *named[-1:]])) or "the points of each"


def _ticks(axes: Axes, which: str, name: str, place: list[Any], units: short.Units | None, room: float) -> None:
    """The values of an axis at the middles of its cells, as many as there is room for: letters, or lines."""
    text = isinstance(place[0], str | bool)
    scale = short.Scale(short.short(name)) if text else short.scale(name, place, units)
    texts = [short.value(name, one) if text else short.number(float(scale([one])[0])) for one in place]
    length = len(texts) * (max(map(len, texts)) + 1.5 if which == "x" else 1)
    step = math.ceil(length / room)
    at = range(0, len(texts), step)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(list(at), [texts[i] for i in at])
    axis.set_label_text(scale.label)
    axis.set_tick_params(length=0 if len(texts) <= 30 else 2)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _box(axes: Axes, row: int, column: int, **look: Any) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **look))


def _hatch(axes: Axes, cells: points.Mask) -> None:
    """A hatched box over each run of cells in a row."""
    from matplotlib.patches import Rectangle

    for row, line in enumerate(cells):
        turns = np.flatnonzero(np.diff(np.r_[False, line, False]))
        for start, stop in turns.reshape(-1, 2).tolist():
            axes.add_patch(Rectangle((start - 0.5, row - 0.5), stop - start, 1, **HATCH))


def _values(axes: Axes, shown: points.Array, mapping: Any) -> None:
    """What the cells have, printed in them where the longest fits."""
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # so that the layout is known
    box = axes.get_window_extent()
    point = axes.figure.dpi / 72
    wide, tall = box.width / shown.shape[1] / point, box.height / shown.shape[0] / point
    if min(wide, tall) < 7:  # points
        return
    texts = {(i, j): short.number(float(one)) for (i, j), one in np.ndenumerate(shown) if np.isfinite(one)}
    size = min(7.5, 0.7 * tall, wide / (0.52 * max(map(len, texts.values())) + 0.4))
    if size < 5:
        return
    for (i, j), text in texts.items():
        red, green, blue, _ = mapping.to_rgba(shown[i, j])
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        axes.text(j, i, text, ha="center", va="center", fontsize=size, color="white" if dark else "black")
