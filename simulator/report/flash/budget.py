"""Latency over the share of the model that DRAM may hold, by the policy that says what stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.baselines.reproduction import Reproduction
from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.flash import looks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

PANELS = {"io_s": "reads from flash", "total_s": "whole token"}
BOUND = "belady"
"""Knows what comes; no policy does."""


def draw(reproduction: Reproduction) -> Drawn | None:
    """Two panels a sweep over budgets: a line a policy, the bound dashed; crosses where it is refused."""
    points = looks.table(reproduction, "sweeps")
    points = None if points is None else points[points["budget"].notna()]
    if points is None or points.empty:
        return None
    sweeps, methods = list(dict.fromkeys(points["sweep"])), list(dict.fromkeys(points["method"]))
    others = dict(zip((m for m in methods if m != BOUND), style.CYCLE * len(methods), strict=False))
    colours = {method: others.get(method, style.BLACK) for method in methods}
    figure = style.figure(style.PAGE, 0.5 + 2.3 * len(sweeps))
    axes = figure.subplots(len(sweeps), 2, squeeze=False)
    letters = iter("abcdefghijklmnop")
    for row, sweep in zip(axes, sweeps, strict=True):
        own = points[points["sweep"] == sweep]
        where = f"{looks.model(reproduction, own['model'].iloc[0])}, {looks.machine(own['system'].iloc[0])}"
        for axis, (column, title) in zip(row, PANELS.items(), strict=True):
            for method, colour in colours.items():
                _line(axis, own[own["method"] == method], column, colour, "--" if method == BOUND else "-")
            axis.set(xlabel="room in DRAM (% of the model)", ylabel="ms a token", ylim=(0, 1.05e3 * own[column].max()))
            axis.set_title(f"({next(letters)}) {title}: {where}", loc="left")
            axis.grid(which="major")
    keys = [
        style.key(looks.method(method), color=colour, linestyle="--" if method == BOUND else "-")
        for method, colour in colours.items()
    ]
    refused = bool((points["refused"] != "").any())
    style.legend(figure, [*keys, style.key("refused", **CROSS)] if refused else keys)
    caption = (
        "Time of a token against the share of the model that DRAM has room for, by what decides which neurons stay."
    )
    caption += " Dashed: a bound, which knows what comes." if BOUND in methods else ""
    caption += " Crosses: too little room for the policy." if refused else ""
    return Drawn("budget", caption + " All simulated.", figure)


CROSS: dict[str, Any] = {"marker": "x", "linestyle": "", "markersize": 4.5, "markeredgewidth": 1.2}


def _line(axis: Axes, points: pd.DataFrame, column: str, colour: str, line: str) -> None:
    served, refused = points[points["refused"] == ""], points[points["refused"] != ""]
    axis.plot(100 * served["budget"], 1e3 * served[column], color=colour, linestyle=line, marker="o", markersize=2.4)
    if len(refused):
        axis.plot(100 * refused["budget"], [0] * len(refused), color=colour, clip_on=False, zorder=4, **CROSS)
