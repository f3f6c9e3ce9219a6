"""How values of a column become colours: a few categories as those of `style`, numbers on a map safe for all eyes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.report import style
from simulator.report.plots import points, short
from simulator.report.plots.axis import spans_a_decade

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

MAP = "cividis"
"""Perceptually uniform, and the same to colour-blind readers (Nunez et al., PLOS ONE 2018)."""
REST = "other"


@dataclass(frozen=True)
class Coloured:
    """A colour and a marker for each row of a frame, and what says which is which: keys, or a bar of a map."""

    colours: list[Any]
    markers: list[str]
    keys: list[Artist]
    map: ScalarMappable | None = None
    label: str = ""


def coloured(frame: pd.DataFrame, column: str | None, rows: points.Mask, units: short.Units | None) -> Coloured:
    """Colours by a column: the six most frequent of its categories or few counts, else numbers on a map."""
    if column is None:
        return Coloured([style.BLUE] * len(frame), ["o"] * len(frame), [])
    if points.is_text(frame, column):
        return _categories(frame, column, rows)
    values = points.numbers(frame, column)
    scale = short.scale(column, values[rows], units)
    mapping = colour_map(scale(values[rows]), 0.93)
    colours = [mapping.to_rgba(one) if one == one else style.FAINT for one in scale(values)]
    return Coloured(colours, ["o"] * len(frame), [], mapping, scale.label)


def colour_map(values: Any, top: float = 1.0) -> ScalarMappable:
    """Numbers to colours, by their logarithm where they span a decade; `top` leaves out the palest."""
    import matplotlib
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, LogNorm, Normalize

    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low == high:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    norm = LogNorm(low, high) if spans_a_decade(finite) else Normalize(low, high)
    return ScalarMappable(norm, ListedColormap(matplotlib.colormaps[MAP](np.linspace(0, top, 256))))


def bar(figure: Figure, axes: Axes, mapping: ScalarMappable, label: str, above: bool = False) -> None:
    """The bar of a map beside a plot, or above it, with plain numbers."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    place: dict[str, Any] = (
        {"location": "top", "aspect": 13 * figure.get_figwidth()} if above else {"aspect": 28, "fraction": 0.06}
    )
    drawn = figure.colorbar(mapping, ax=axes, pad=0.02, **place)
    drawn.set_label(label)
    axis = drawn.ax.xaxis if above else drawn.ax.yaxis
    drawn.outline.set_linewidth(0.4)
    if isinstance(mapping.norm, LogNorm):
        decades = np.log10(float(mapping.norm.vmax or 1) / float(mapping.norm.vmin or 1))
        axis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if decades < 2.5 else (1,)))
    else:
        axis.set_major_locator(MaxNLocator(5))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: short.number(value, 6)))


def legend(figure: Figure, keys: Sequence[Artist], width: float, title: str = "") -> None:
    """Keys below a figure in as few lines as its width holds."""
    longest = max((len(str(each.get_label())) for each in keys), default=1)
    columns = max(1, min(len(keys), int(width / (0.34 + 0.058 * longest))))
    columns = -(-len(keys) // -(-len(keys) // columns)) if keys else 1  # lines of one length
    look: dict[str, Any] = {"title": title, "title_fontsize": 8} if title else {}
    if keys or title:
        figure.legend(handles=list(keys), loc="outside lower center", ncols=columns, **look)


def _categories(frame: pd.DataFrame, column: str, rows: points.Mask) -> Coloured:
    values = points.column(frame, column).tolist()
    counts: dict[Any, int] = {}
    for one, drawn in zip(values, rows.tolist(), strict=True):
        if drawn and one is not None and one == one:
            counts[one] = counts.get(one, 0) + 1
    first = sorted(counts, key=lambda one: -counts[one])[: len(style.CYCLE)]
    kept = [one for one in counts if one in first]
    looks: Mapping[Any, tuple[str, str]] = dict(zip(kept, zip(style.CYCLE, style.MARKERS, strict=True), strict=False))
    keys: list[Artist] = [
        style.key(short.value(column, one), color=colour, marker=marker, linestyle="", markersize=4)
        for one, (colour, marker) in looks.items()
    ]
    if len(counts) > len(kept):
        keys.append(style.key(REST, color=style.GREY, marker="o", linestyle="", markersize=4))
    drawn_as = [looks.get(one, (style.GREY, "o")) if one == one else (style.GREY, "o") for one in values]
    return Coloured([colour for colour, _ in drawn_as], [marker for _, marker in drawn_as], keys)
