"""How fast searches find good designs: the hypervolume of what they have, over the designs that they looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simulator.errors import ConfigError
from simulator.registry import register
from simulator.report import style
from simulator.report.plots import axis, looks, points, short
from simulator.report.shown import Shown
from simulator.study.form import RUN, ChartForm

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RANDOM = "random"
SHARE = 0.95


class Convergence(ChartForm):
    """How much of the hypervolume of all points each search reaches."""

    kind: Literal["convergence"]


@style.publication()
def convergence(
    frame: pd.DataFrame,
    best: float | None = None,
    share: float = SHARE,
    width: float = style.COLUMN,
) -> Figure:
    """A line a method through the medians over seeds, and a band from the least to the most of them; random in grey.

    Columns are `method`, `evaluations`, `hypervolume`, and `seed` where there are several. `best` is the hypervolume of
    all designs, unless given the most that any method has; a dashed line is at `share` of it, and a dot where the
    median of a method reaches that. Between its rows, a search has what it had at the one before.

    Raises:
        ConfigError: no such column, or no row with values.
    """
    evaluations, volumes = points.numbers(frame, "evaluations"), points.numbers(frame, "hypervolume")
    rows = np.isfinite(evaluations) & np.isfinite(volumes)
    if not rows.any():
        raise ConfigError("no search to draw", found=f"none of {len(frame):,} rows with values", expected="one or more")
    of = "all designs" if best is not None else "best"
    best = float(volumes[rows].max()) if best is None else best
    if not best > 0:
        raise ConfigError("no search to draw", found=f"a best hypervolume of {best:g}", expected="above 0")
    methods = points.categories(frame, "method", rows)
    others = [method for method in methods if str(method).lower() != RANDOM]
    colours = dict(zip(others, style.CYCLE * len(others), strict=False))
    figure = style.figure(width, 0.72 * min(width, 4.5))
    axes = figure.subplots()
    names = points.column(frame, "method")
    seeds = points.column(frame, "seed") if "seed" in frame.columns else np.zeros(len(frame))
    keys: list[Any] = []
    lowest = []
    for method in [*(m for m in methods if m not in colours), *others]:
        own = rows & (names == method)
        of_seeds = [own & (seeds == seed) for seed in dict.fromkeys(seeds[own])]
        at, median, low, high = _band([(evaluations[of_seed], volumes[of_seed]) for of_seed in of_seeds])
        colour = colours.get(method, style.GREY)
        axes.fill_between(at, low / best, high / best, step="post", color=colour, alpha=0.18, linewidth=0)
        line: dict[str, Any] = {"linestyle": "-" if method in colours else "--"}
        axes.step(at, median / best, where="post", color=colour, zorder=3, **line)
        reached = np.flatnonzero(median >= share * best)
        if len(reached):
            look: dict[str, Any] = {"marker": "o", "color": colour, "markersize": 3.6, "zorder": 4, "linestyle": ""}
            axes.plot(at[reached[0]], median[reached[0]] / best, **look)
        first = f": {at[reached[0]]:,.0f}" if len(reached) else ""
        keys.append(style.key(f"{method}{first}", color=colour, **line))
        lowest.append(float(low[0]) / best)
    log = axis.spans_a_decade(evaluations[rows])
    axis.lay(axes, "x", evaluations[rows], short.Scale("designs evaluated"), log)
    span = evaluations[rows].min(), evaluations[rows].max()
    if span[0] < span[1]:
        axes.set_xlim(*span)
    axes.set_ylim(max(0.0, min([*lowest, share]) - 0.05), max(1.02, float(volumes[rows].max()) / best * 1.02))
    axes.set_ylabel(f"hypervolume ({of} = 1)")
    _mark(axes, share)
    axes.grid(which="major")
    looks.legend(figure, keys, width, f"method: evaluations to {share:.0%}".replace("%", " %"))
    return figure


@register("chart", "convergence")
class ConvergenceChart:
    """Draws a line for each method of search."""

    form = Convergence

    @staticmethod
    def draw(shown: Shown, chart: Convergence) -> tuple[Figure, str] | None:
        searches = shown.results.searches
        if searches is None:
            return None
        searches = searches if chart.run is None else searches[searches[RUN] == chart.run]
        text = "Share of the hypervolume of all points that searches reach: medians over seeds, bands of all."
        return convergence(searches, best=1.0, width=style.PAGE * 0.7), text


def _mark(axes: Axes, share: float) -> None:
    """A dashed line at a share of the best, which stands above it."""
    axes.axhline(share, color="black", linewidth=0.8, linestyle=(0, (4, 3)), zorder=2)
    look = {"ha": "left", "va": "bottom", "fontsize": 7, "xycoords": axes.get_yaxis_transform()}
    style.say(axes, f"{share:.0%}".replace("%", " %"), (0, share), (3, 1), **look)


def _band(runs: list[tuple[points.Array, points.Array]]) -> tuple[points.Array, ...]:
    """Evaluations, and the median, least and most of some runs there: from where all have begun to where all end."""
    ordered = [(at[order], kept[order]) for at, kept in runs for order in [np.argsort(at, kind="stable")]]
    start, stop = max(at[0] for at, _ in ordered), min(at[-1] for at, _ in ordered)
    every = np.unique(np.concatenate([at for at, _ in ordered]))
    every = every[(every >= start) & (every <= stop)] if start <= stop else np.array([start])
    held = np.array([kept[np.searchsorted(at, every, side="right") - 1] for at, kept in ordered])
    return every, np.median(held, axis=0), held.min(axis=0), held.max(axis=0)
