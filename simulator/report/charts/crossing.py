"""Where one design begins to beat another: a metric of both over one axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from simulator.config import KeyPath
from simulator.errors import ConfigError
from simulator.escape import markdown
from simulator.registry import register
from simulator.report import style
from simulator.report.plots import looks, points, short
from simulator.report.plots.axis import lay, spans_a_decade
from simulator.report.shown import Shown
from simulator.study.form import ChartForm
from simulator.study.problem import FEASIBLE
from simulator.study.space.form import Scalar

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (style.BLUE, style.VERMILION)
DASHES = ("-", "--")


class Crossing(ChartForm):
    """Two values of one axis, or two cases, beside one another over another axis: where does one begin to win?"""

    kind: Literal["crossing"]
    x: str
    """The axis or key along x."""
    of: str
    """The metric."""
    between: str
    """The axis or key two of whose values are compared."""
    first: Scalar
    """One of these values."""
    second: Scalar
    """The other."""

    def values(self) -> Iterator[tuple[KeyPath, str, Any]]:
        yield from super().values()
        yield from (((key,), self.between, getattr(self, key)) for key in ("first", "second"))


@style.publication()
def crossing(
    x: ArrayLike,
    y_a: ArrayLike,
    y_b: ArrayLike,
    names: tuple[str, str] = ("A", "B"),
    axis: str = "x",
    metric: str = "y",
    best: points.Sense | None = None,
    at: Sequence[float] | None = None,
    units: short.Units | None = None,
    width: float = style.COLUMN,
) -> Figure:
    """Two lines, a mark where they cross, and below them who is better from where.

    `axis` and `metric` are columns, which say the units. `at` are the values of x where the lines cross, where they
    are known better than by a straight line between two places (on logarithmic axes, straight as drawn).

    Raises:
        ConfigError: not one y of each for every x, or no place that has both.
    """
    where, first, second = (np.asarray(each, dtype=np.float64) for each in (x, y_a, y_b))
    if not where.shape == first.shape == second.shape or where.ndim != 1:
        found = ", ".join(str(each.size) for each in (where, first, second))
        raise ConfigError("two designs over an axis", found=f"{found} values", expected="as many of each")
    order = np.argsort(where, kind="stable")
    where, first, second = where[order], first[order], second[order]
    both = np.isfinite(where) & np.isfinite(first) & np.isfinite(second)
    if not both.any():
        raise ConfigError("no feasible point to draw", found="no place where both have a value", expected="one or more")
    best = best or points.sense(metric, None)
    across, up = short.scale(axis, where, units), short.scale(metric, [*first[both], *second[both]], units)
    figure = style.figure(width, 0.7 * min(width, 4.5))
    axes = figure.subplots()
    lay(axes, "x", across(where), across)
    lay(axes, "y", up([*first[np.isfinite(first)], *second[np.isfinite(second)]]), up)
    if len(where) > 1:
        axes.set_xlim(*across(where[[0, -1]]))
    axes.grid(which="major")
    for line, colour, dash in zip((first, second), COLOURS, DASHES, strict=True):
        lonely: dict[str, Any] = {"marker": "o"} if both.sum() == 1 else {}
        axes.plot(across(where), up(line), color=colour, linestyle=dash, zorder=3, **lonely)
    crossed = _crossings(where, first, second) if at is None else [float(each) for each in at]
    _marks(axes, across, up, crossed, (where[both], first[both]))
    _bands(axes, across, crossed, where[both], np.where(best == "min", second - first, first - second)[both])
    keys: list[Any] = [
        style.key(name, color=colour, linestyle=dash) for name, colour, dash in zip(names, COLOURS, DASHES, strict=True)
    ]
    looks.legend(figure, keys, width, "band: the better of both")
    return figure


@register("chart", "crossing")
class CrossingChart:
    """Draws both, and marks where they cross."""

    form = Crossing

    @staticmethod
    def draw(shown: Shown, chart: Crossing) -> tuple[Figure, str]:
        x, one, other = _lines(shown.frame(chart), chart)
        first, second = (shown.label(chart.between, value) for value in (chart.first, chart.second))
        names, units = (first, second), shown.units(chart)
        figure = crossing(x, one, other, names, chart.x, chart.of, units=units, width=style.PAGE * 0.6)
        return figure, markdown(f"{chart.of} over {chart.x}")


def _lines(frame: pd.DataFrame, chart: Crossing) -> tuple[Any, Any, Any]:
    """Values of the axis, and at each the value of both designs, NaN where one is not feasible or not there."""
    import pandas as pd

    lines = []
    for value in (chart.first, chart.second):
        rows = frame[frame[chart.between] == value]
        if rows[chart.x].duplicated().any():
            found = f"several points of {chart.between} {value} at one {chart.x}"
            raise ConfigError("two designs over an axis", found=found, expected="one, by `where`")
        lines.append(rows[chart.of].where(rows[FEASIBLE]).set_axis(rows[chart.x]))
    both = pd.concat(lines, axis=1).sort_index()
    return both.index, both.iloc[:, 0], both.iloc[:, 1]


def _crossings(x: points.Array, a: points.Array, b: points.Array) -> list[float]:
    """Where a - b changes its sign: on a straight line between neighbours, of logarithms where that is how it looks."""
    log_x, log_y = spans_a_decade(x), spans_a_decade([*a, *b])
    with np.errstate(invalid="ignore", divide="ignore"):
        at, gap = np.log(x) if log_x else x, np.log(a) - np.log(b) if log_y else a - b
    places: list[float] = []
    for i in range(len(x) - 1):
        left, right = gap[i], gap[i + 1]
        if left * right < 0:
            places.append(float(at[i] + (at[i + 1] - at[i]) * left / (left - right)))
        elif left == 0 and i > 0 and gap[i - 1] * right < 0:
            places.append(float(at[i]))
    return [float(np.exp(each)) for each in places] if log_x else places


def _marks(
    axes: Axes, across: short.Scale, up: short.Scale, crossed: Sequence[float], line: tuple[points.Array, points.Array]
) -> None:
    """A ring and a dotted line at each crossing, and its place above the plot."""
    for x in crossed:
        at = float(across([x])[0])
        straight = axes.get_xscale() == "log", axes.get_yscale() == "log"
        forward = [np.log if log else np.asarray for log in straight]
        height = np.interp(forward[0](x), forward[0](line[0]), forward[1](line[1]))
        height = float(up([np.exp(height) if straight[1] else height])[0])
        axes.axvline(at, color="black", linewidth=0.8, linestyle=":", zorder=2)
        axes.plot(at, height, **style.OPEN | {"color": "black", "markersize": 5, "zorder": 4})
        text = f"{short.number(at)} {across.unit}".rstrip()
        style.say(axes, text, (at, 1), (0, 3), xycoords=axes.get_xaxis_transform(), ha="center", va="bottom")


def _bands(axes: Axes, across: short.Scale, crossed: Sequence[float], x: points.Array, lead: points.Array) -> None:
    """Along the bottom, the colour of the better between crossings."""
    edges = [float(x[0]), *sorted(crossed), float(x[-1])]
    for left, right in pairwise(edges):
        inside = lead[(x >= left) & (x <= right)]
        total = float(np.sign(inside).sum())
        if right > left and total:
            colour = style.tint(COLOURS[0] if total > 0 else COLOURS[1], 0.45)
            ends = across([left, right])
            axes.axvspan(float(ends[0]), float(ends[1]), 0, 0.035, color=colour, linewidth=0, zorder=1)
