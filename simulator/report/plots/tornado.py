"""What a metric becomes as one figure at a time goes to its low and to its high end: the widest bar on top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import ConfigError
from simulator.report import style
from simulator.report.plots import axis, looks, points, short

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOW, HIGH = style.SKY, style.ORANGE
MOST = 20  # bars


@style.publication()
def tornado(
    frame: pd.DataFrame,
    base: float,
    metric: str,
    units: short.Units | None = None,
    most: int = MOST,
    width: float = style.COLUMN,
) -> Figure:
    """A row a figure, of columns `path`, `low`, `high`, `metric_low` and `metric_high`: bars from the value at `base`.

    Each end has the value of the figure there. Where one has no metric, a text says that it fails; of more than `most`
    rows the widest are drawn. Units are those of `metric` and of each path.

    Raises:
        ConfigError: no such column, or no row that has a metric.
    """
    ends = np.column_stack([points.numbers(frame, f"metric_{side}") for side in ("low", "high")])
    if not np.isfinite(ends).any() or not np.isfinite(base):
        raise ConfigError("no feasible point to draw", found=f"none of {len(frame):,} rows", expected="one or more")
    swing = np.nanmax(np.abs(np.where(np.isfinite(ends).any(axis=1, keepdims=True), ends, base) - base), axis=1)
    order = np.argsort(-swing, kind="stable")[:most]
    paths = [str(path) for path in points.column(frame, "path")]
    names = short.shorts(paths)
    scale = short.scale(metric, [*ends[np.isfinite(ends)], base], units)
    figure = style.figure(width, 0.85 + 0.26 * len(order))
    axes = figure.subplots()
    shown, middle = scale(ends), float(scale([base])[0])
    drawn = shown[order][np.isfinite(shown[order])]
    axis.lay(axes, "x", [*drawn, middle], scale, log=axis.spans_a_decade([*drawn, middle]))
    _widen(axes)
    for place, row in enumerate(order):
        _bar(axes, place, shown[row], middle, _texts(frame, int(row), paths[row], units))
    axes.axvline(middle, color="black", linewidth=0.8, zorder=4)
    axes.set_title(f"base: {short.number(middle)} {scale.unit}".rstrip(), fontsize=8, loc="left")
    axes.set_yticks(range(len(order)), [names[paths[row]] for row in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    from matplotlib.patches import Patch

    looks.legend(figure, [Patch(color=LOW, label="at its low end"), Patch(color=HIGH, label="at its high end")], width)
    return figure


def _texts(frame: pd.DataFrame, row: int, path: str, units: short.Units | None) -> list[str]:
    """The low and the high end of a figure."""
    return [short.value(path, points.column(frame, side)[row], units) for side in ("low", "high")]


def _widen(axes: Axes) -> None:
    """Room for text at the ends of the bars."""
    transform = axes.transScale + axes.transLimits
    left, right = (float(transform.inverted().transform((at, 0))[0]) for at in (-0.22, 1.22))
    axes.set_xlim(left, right)


def _bar(axes: Axes, place: int, ends: points.Array, middle: float, texts: list[str]) -> None:
    """Both ends of a row, the longer below the other where they lie on one side; text where no bar is."""
    sides = [np.sign(end - middle) if np.isfinite(end) else 0.0 for end in ends]
    longer = int(np.nanargmax(np.abs(np.nan_to_num(ends - middle))))
    for which in (longer, 1 - longer):
        if np.isfinite(ends[which]):
            colour = (LOW, HIGH)[which]
            axes.barh(place, ends[which] - middle, 0.62, left=middle, color=colour, zorder=2 + (which != longer))
    out = sides[longer] or (1.0 if longer else -1.0)
    for which, side in ((longer, out), (1 - longer, -out)):
        on_this_side = np.isfinite(ends[which]) and sides[which] in (0, side)
        at = ends[which] if on_this_side else middle
        text = texts[which] if np.isfinite(ends[which]) else f"{texts[which]} fails"
        look: dict[str, Any] = {"fontsize": 7, "va": "center", "ha": "left" if side > 0 else "right", "zorder": 5}
        style.say(axes, text, (float(at), place), (3 * side, 0), **look)
