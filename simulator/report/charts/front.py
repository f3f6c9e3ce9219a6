"""All designs of a sweep by two metrics, and the front of those that no other beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from simulator.escape import markdown
from simulator.registry import register
from simulator.report import style
from simulator.report.plots import axis, labels, looks, points, short
from simulator.report.shown import Shown
from simulator.study.form import ChartForm

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 20_000
"""Points drawn; of more, those that look like all of them."""
VECTOR = 2_000
"""Points drawn as such in an SVG or PDF; more are a picture in it."""
LABELLED = 8
LETTER = 0.05  # inches, of a label
FRONT = 5  # the height at which it is drawn
_BETTER = {"max": 1, "min": -1}


class Front(ChartForm):
    """All designs by two metrics, with the front of the objectives among those that are drawn."""

    kind: Literal["front"]
    x: str
    """The axis or metric along x."""
    y: str
    """The axis or metric along y."""
    colour: str | None = None
    """The axis, key or metric that colours the points."""
    label: tuple[str, ...] = ()
    """The axes or keys whose values stand at the points of the front."""


@style.publication()
def pareto(
    frame: pd.DataFrame,
    x: str,
    y: str,
    senses: Mapping[str, points.Sense] | None = None,
    colour: str | None = None,
    label: str | Sequence[str] | None = None,
    front: points.Front | None = None,
    units: short.Units | None = None,
    width: float = style.COLUMN,
) -> Figure:
    """A dot a feasible point, a faint cross an infeasible one, the front as steps with a marker a point.

    `senses` says whether more or less of a metric is better (unless given: more of what is so many a second, less of
    all else); `colour` names a column of categories or numbers, `label` those that are printed beside points of the
    front; `front` says what the front is, as a column or a mask, where it is one of more objectives than these two:
    then all its points are marked, and the steps are those of the two.

    Raises:
        ConfigError: no such column, or no feasible point with both values.
    """
    rows = points.with_values(frame, [x, y])
    directions = {name: points.sense(name, senses) for name in (x, y)}
    marked = points.front(frame, front, rows, directions)
    steps = points.front(frame, None, marked if marked.any() else rows, directions)
    scales = [short.scale(name, points.numbers(frame, name)[rows], units) for name in (x, y)]
    across, up = (scale(points.numbers(frame, name)) for scale, name in zip(scales, (x, y), strict=True))
    colours = looks.coloured(frame, colour, rows, units)
    figure = style.figure(width, 0.8 * min(width, 5.0))
    axes = figure.subplots()
    printed = [label] if isinstance(label, str) else list(label or ())
    notes = {
        row: ", ".join(short.value(name, points.column(frame, name)[row], units) for name in printed)
        for row in (np.flatnonzero(marked).tolist() if printed else ())
    }
    room = min(0.3, LETTER * max(map(len, notes.values()), default=0) / (width - 0.7)), 0.13 * bool(notes)
    axis.lay(axes, "x", across[rows], scales[0], room=_BETTER[directions[x]] * room[0])
    axis.lay(axes, "y", up[rows], scales[1], room=_BETTER[directions[y]] * room[1])
    axes.grid(which="major")
    failed = np.isfinite(across) & np.isfinite(up) & ~rows
    covered = [_cloud(axes, across, up, failed, None)]
    covered.append(_cloud(axes, across, up, rows & ~marked, colours.colours))
    covered.append(_line(axes, across, up, steps, directions[x]))
    for marker in dict.fromkeys(colours.markers):
        where = np.flatnonzero(marked & (np.array(colours.markers) == marker))
        if len(where):
            fill = [colours.colours[row] for row in where] if colour else style.VERMILION
            edge: dict[str, Any] = {"edgecolors": "black", "linewidths": 0.5, "zorder": FRONT}
            axes.scatter(across[where], up[where], s=16, c=fill, marker=marker, **edge)
    if colours.map is not None:
        looks.bar(figure, axes, colours.map, colours.label)
    title = f"labels: {', '.join(short.shorts(printed).values())}" if printed else ""
    looks.legend(figure, _keys(frame, colours, colour, rows, marked, failed), width, title)
    texts = [(across[row], up[row], notes[row]) for row in _spread(axes, across, up, marked) if row in notes]
    towards = (_BETTER[directions[x]], _BETTER[directions[y]])
    labels.place(axes, texts, towards, np.concatenate(covered), LABELLED)
    return figure


@register("chart", "front")
class FrontChart:
    """Draws a dot for each design."""

    form = Front

    @staticmethod
    def draw(shown: Shown, chart: Front) -> tuple[Figure, str]:
        senses = shown.results.senses(chart.run)
        figure = pareto(
            shown.frame(chart),
            chart.x,
            chart.y,
            senses,
            chart.colour,
            chart.label,
            "front",
            shown.units(chart),
            style.PAGE,
        )
        return figure, markdown(f"{chart.y} against {chart.x}")


def _keys(
    frame: pd.DataFrame,
    colours: looks.Coloured,
    colour: str | None,
    rows: points.Mask,
    marked: points.Mask,
    failed: points.Mask,
) -> list[Artist]:
    keys = list(colours.keys)
    line: dict[str, Any] = {"color": "black", "linewidth": 0.8}
    if colour is None:
        dot: dict[str, Any] = {"color": style.BLUE, "marker": "o", "linestyle": "", "markersize": 2.5}
        keys.append(style.key(f"feasible ({int(rows.sum()):,})", **dot))
        line |= {"marker": "o", "markerfacecolor": style.VERMILION, "markersize": 4, "markeredgewidth": 0.5}
    keys.append(style.key(f"front ({int(marked.sum()):,})", **line))
    if failed.any():
        count = int((~points.feasible(frame)).sum())
        faint: dict[str, Any] = {"linestyle": "", "markersize": 3} | _faint(int(failed.sum()))
        keys.append(style.key(f"infeasible ({count:,})", **faint))
    return keys


def _faint(count: int) -> dict[str, Any]:
    """How infeasible points look: crosses, and dots where these would be a lump."""
    return {"marker": "x", "color": "#BEBEBE"} if count <= VECTOR else {"marker": "o", "color": "#D6D6D6"}


def _cloud(
    axes: Axes, x: points.Array, y: points.Array, rows: points.Mask, colours: Sequence[Any] | None
) -> points.Array:
    """Dots of these rows in their colours; without any, as infeasible ones. Gives the places of those drawn."""
    where = np.flatnonzero(rows)
    scaled = axes.transData.transform(np.column_stack([x[where], y[where]]))
    inside = np.isfinite(scaled).all(axis=1)
    where, scaled = where[inside], scaled[inside]
    where = where[points.thinned(scaled[:, 0], scaled[:, 1], MOST)]
    many = len(where) > VECTOR
    look: dict[str, Any] = {"rasterized": many, "linewidths": 0}
    if colours is None:
        look |= {"s": 2, "zorder": 1} if many else {"s": 8, "linewidths": 0.5, "zorder": 1}
        look |= _faint(int(rows.sum()))
    else:
        look |= {"s": 3 if many else 7, "zorder": 2, "alpha": 0.55, "c": [colours[row] for row in where]}
    if len(where):
        axes.scatter(x[where], y[where], **look)
    return np.column_stack([x[where], y[where]])


def _line(axes: Axes, x: points.Array, y: points.Array, steps: points.Mask, sense: points.Sense) -> NDArray[np.float64]:
    """The edge of what the front dominates; gives places along it, which text keeps clear of."""
    order = np.flatnonzero(steps)[np.lexsort((y[steps], x[steps]))]
    at, height = x[order], y[order]
    # Where less is better, a point holds until the next to its right; where more is, from the one to its left.
    axes.step(at, height, where="post" if sense == "min" else "pre", color="black", linewidth=0.8, zorder=4)
    corner = (at[1:], height[:-1]) if sense == "min" else (at[:-1], height[1:])
    knots = np.empty((2 * len(at) - 1, 2))
    knots[::2], knots[1::2] = np.column_stack([at, height]), np.column_stack(corner)
    pixels = axes.transData.transform(knots)
    dense = [a + (b - a) * t for a, b in pairwise(pixels) for t in np.linspace(0, 1, 40)]
    along: NDArray[np.float64] = axes.transData.inverted().transform(np.array([*dense, pixels[-1]]))
    return along


def _spread(axes: Axes, x: points.Array, y: points.Array, rows: points.Mask, most: int = 200) -> list[int]:
    """The points of a front: its ends, and then each time the one farthest from all before it."""
    where = np.flatnonzero(rows)
    if not len(where):
        return []
    pixels = axes.transData.transform(np.column_stack([x[where], y[where]]))
    chosen = [int(np.lexsort((pixels[:, 1], pixels[:, 0]))[0])]
    far = np.full(len(where), np.inf)
    while len(chosen) < min(len(where), most):
        far = np.minimum(far, np.hypot(*(pixels - pixels[chosen[-1]]).T))
        if far.max() == 0:
            break
        chosen.append(int(far.argmax()))
    return [int(where[each]) for each in chosen]
