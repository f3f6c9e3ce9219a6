"""A few designs under their rooflines: the roof of each, and where its kernels or its pass stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from simulator.errors import ConfigError
from simulator.report import style
from simulator.report.plots import axis, labels, looks, short
from simulator.units import show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Design: TypeAlias = tuple[str, float, float, Sequence[Sequence[Any]]]
"""Its name, peak (FLOP/s), bandwidth (B/s), and points: FLOP/B, FLOP/s, and what each is, where that is said."""


@style.publication()
def rooflines(designs: Sequence[Design], width: float = style.COLUMN) -> Figure:
    """A roof a design, `min(peak, bandwidth x)` over x FLOP/B, and a marker for each of its points.

    Points that have a third part, a text, are labelled with it where there is room. Those without FLOPs are left out.

    Raises:
        ConfigError: no design, or one whose peak or bandwidth is not positive.
    """
    if not designs:
        raise ConfigError("no design to draw", found="none", expected="one or more")
    for name, peak, bandwidth, _ in designs:
        if not (peak > 0 and bandwidth > 0 and np.isfinite([peak, bandwidth]).all()):
            raise ConfigError("a roof", path=name, found=f"{peak:g} FLOP/s, {bandwidth:g} B/s", expected="above 0")
    marks = [[each for each in design[3] if _drawable(each)] for design in designs]
    ridges = [peak / bandwidth for _, peak, bandwidth, _ in designs]
    xs = [float(each[0]) for own in marks for each in own] + ridges
    left, right = min(min(xs), min(ridges) / 10) / 1.5, max(xs) * 3
    lowest = min(bandwidth for _, _, bandwidth, _ in designs) * left
    heights = [float(each[1]) for own in marks for each in own] + [lowest] + [peak for _, peak, _, _ in designs]
    scale = short.scale("performance", heights, {"performance": "FLOP/s"})
    figure = style.figure(width, 0.8 * min(width, 4.5))
    axes = figure.subplots()
    axis.lay(axes, "x", [left, right], short.Scale("operations per byte", "FLOP/B"), log=True)
    axis.lay(axes, "y", scale([min(heights), max(heights) * 1.5]), scale, log=True)
    axes.set_xlim(left, right)
    axes.grid(which="major")
    keys: list[Any] = []
    texts: list[labels.Point] = []
    along: list[np.ndarray[Any, Any]] = []
    looked = zip(style.CYCLE * len(designs), style.MARKERS * len(designs), strict=True)
    for (name, peak, bandwidth, _), own, (colour, marker) in zip(designs, marks, looked, strict=False):
        roof = np.geomspace(left, right, 200)
        axes.plot(roof, scale(np.minimum(peak, bandwidth * roof)), color=colour, zorder=2)
        along.append(np.column_stack([roof, scale(np.minimum(peak, bandwidth * roof))]))
        for each in own:
            x, y = float(each[0]), float(scale([each[1]])[0])
            edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.5}
            axes.plot(x, y, linestyle="", marker=marker, markersize=5, color=colour, zorder=4, **edge)
            if len(each) > 2 and each[2]:
                texts.append((x, y, str(each[2])))
        label = f"{name}: {show(float(f'{peak:.3g}'), 'FLOP/s')}, {show(float(f'{bandwidth:.3g}'), 'B/s')}"
        keys.append(style.key(label, color=colour, marker=marker, markersize=4.5, markeredgecolor="white"))
    looks.legend(figure, keys, width)
    labels.place(axes, texts, (1, -1), np.concatenate(along), most=12, over=True)
    return figure


def _drawable(point: Sequence[Any]) -> bool:
    return bool(np.isfinite([float(point[0]), float(point[1])]).all() and point[0] > 0 and point[1] > 0)
