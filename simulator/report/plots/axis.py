"""The axes of figures of designs: logarithmic where values span a decade, plain numbers at few ticks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from simulator.report import style
from simulator.report.plots.short import Scale, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DECADE = 10.0


def spans_a_decade(values: ArrayLike) -> bool:
    """Whether they are all positive and the largest is ten times the least, or more."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    return bool(finite.size and finite.min() > 0 and finite.max() >= DECADE * finite.min())


def lay(
    axes: Axes,
    which: Literal["x", "y"],
    values: ArrayLike,
    scale: Scale,
    log: bool | None = None,
    room: float = 0.0,
) -> None:
    """Scale, limits, ticks and label of an axis for these values, which stand in the unit of print.

    `room` is what stays free for text beside them: a share of the axis, above them, or below them where it is negative.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    axis = axes.xaxis if which == "x" else axes.yaxis
    if spans_a_decade(finite) if log is None else log:
        decades = np.log10(high / low)
        ticks = (1, 2, 5) if decades < 1.7 else (1, 3) if decades < 3 else (1,)
        style.plain_log(axes, which, ticks)
        if ticks == (1,):
            axis.set_major_locator(LogLocator(10, numticks=7))
            axis.set_minor_locator(LogLocator(10, subs=range(2, 10), numticks=99) if decades < 7 else NullLocator())
        below, above = ((high / low) ** (0.06 + max(sign * room, 0.0)) for sign in (-1, 1))
        limits = (low / below, high * above)
    else:
        span = high - low or 0.2 * abs(high) or 1.0
        below, above = (span * (0.06 + max(sign * room, 0.0)) for sign in (-1, 1))
        limits = (low - below, high + above)
        if low >= 0 and (limits[0] < 0 or low < 0.25 * high):
            limits = (0.0, limits[1])
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 6)))
    axes.set(**{f"{which}lim": limits, f"{which}label": scale.label})
