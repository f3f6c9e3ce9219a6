"""Figures of a comparison with measured data: value by value, and how the errors are spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.report import style
from simulator.report.plots.looks import legend

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MOST = 6
"""Groups that a figure tells apart; the rest are one."""

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)


@style.publication()
def scatter(rows: pd.DataFrame, by: str) -> Figure:
    """Simulated over measured seconds, row by row, coloured by a column; on the line, they are equal."""
    figure = style.figure(style.COLUMN, 3.2)
    axes = figure.subplots()
    for label, group, colour in _groups(rows, by):
        axes.plot(group["measured"], group["simulated"], ".", markersize=2, color=colour, label=label, rasterized=True)
    ends = [rows["measured"].min(), rows["measured"].max()]
    axes.plot(ends, ends, color=style.BLACK, linewidth=0.6)
    axes.set(xscale="log", yscale="log", xlabel="measured (s)", ylabel="simulated (s)")
    keys = [style.key(label, color=colour, marker="o", linestyle="") for label, _, colour in _groups(rows, by)]
    legend(figure, keys, style.COLUMN)
    return figure


@style.publication()
def spread(rows: pd.DataFrame, by: str) -> Figure:
    """Simulated over measured, by the values of a column: median, quartiles and tenths; in grey, the plain roofline."""
    groups = _groups(rows, by)
    figure = style.figure(style.COLUMN, 0.9 + 0.4 * len(groups))
    axes = figure.subplots()
    for place, (_, group, colour) in enumerate(groups):
        for column, shift, look in (("simulated", 0.12, colour), ("plain", -0.18, style.GREY)):
            ends = (group[column] / group["measured"]).dropna().quantile(SHARES).to_numpy(float)
            axes.plot(ends[[0, 4]], [place + shift] * 2, color=look, linewidth=0.8)
            axes.plot(ends[[1, 3]], [place + shift] * 2, color=look, linewidth=3, solid_capstyle="butt")
            axes.plot(ends[2], place + shift, "o", color=look, markersize=4)
    axes.axvline(1.0, color=style.BLACK, linewidth=0.6)
    axes.set(xscale="log", xlabel="simulated / measured")
    axes.set_yticks(np.arange(len(groups)), [f"{label} ({len(group):,})" for label, group, _ in groups])
    style.legend(figure, [style.key("plain roofline", color=style.GREY, marker="o")])
    return figure


def _groups(rows: pd.DataFrame, by: str) -> list[tuple[str, pd.DataFrame, str]]:
    """Rows by the most frequent values of a column, with colours; what is left is one group."""
    values = rows[by].astype(str).fillna("")
    named = list(values.value_counts().index[: MOST - 1 if values.nunique() > MOST else MOST])
    values = values.where(values.isin(named), "others")
    labels = [*named, "others"] if (values == "others").any() else named
    return [(each.replace("_", " "), rows[values == each], style.CYCLE[at]) for at, each in enumerate(labels)]
