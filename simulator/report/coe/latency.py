"""Latency of a batch over the number of experts: where the experts outgrow a memory, the line jumps or ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from simulator.baselines.published import Published
from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style
from simulator.report.coe.systems import Look, looks, milliseconds, published, where
from simulator.report.figures import Drawn

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def draw(reproduction: Reproduction) -> Drawn | None:
    """A panel for each published figure of latencies."""
    rows = published(reproduction, ["latency", "out_of_memory"])
    panels = list(dict.fromkeys(row.figure for row in rows if row.metric == "latency"))
    if not panels:
        return None
    figure = style.figure(style.PAGE, 3.0)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    points = reproduction.base.frames()["points"]
    for letter, axis, panel in zip("abcdefgh", axes, panels, strict=False):
        shown = [row for row in rows if row.figure == panel]
        setting = next(row.condition for row in shown if row.metric == "latency")
        batch, tokens = setting["batch"], setting["tokens"]
        for system, look in looks(reproduction).items():
            _simulated(axis, look, where(points, system=system, batch=batch, tokens=tokens))
            _published(axis, look, [row for row in shown if row.condition["system"] == system])
        style.plain_log(axis, "x", (1, 2, 4))
        style.plain_log(axis, "y", (1, 1.5, 2, 3, 5, 7))
        axis.margins(x=0.04, y=0.12)
        axis.grid(which="major")
        axis.set(xlabel="number of experts", ylabel="latency of a batch (ms)")
        axis.set_title(f"({letter}) batch {batch}, {tokens} output tokens", loc="left")
    keys = [
        style.key("simulated"),
        style.key("published", **style.OPEN),
        style.key("published, disputed", **style.OPEN | {"color": style.FAINT}),
        style.key("out of memory: simulated", marker="x", linestyle=":", markersize=4.5),
        style.key("published", **style.OPEN | {"marker": "X", "markersize": 7}),
    ]
    style.legend(figure, keys)
    caption = (
        "Latency of a batch against the number of experts: simulated (lines) and published (open markers, "
        f"{names.figures(panels)}). The line of a machine jumps where its experts outgrow the memory next to its "
        "engines, and ends in a cross where they outgrow the machine. Grey: published values that are disputed."
    )
    return Drawn("latency", caption, figure)


def _simulated(axis: Axes, look: Look, points: pd.DataFrame) -> None:
    """The line, up to the first number of experts that is refused; the machine's name at its end."""
    served, refused = points[points["refused"] == ""], points[points["refused"] != ""]
    if served.empty:
        return
    latency = served["latency_s"] * 1e3
    x, y = served["experts"].iloc[-1], latency.iloc[-1]
    axis.plot(served["experts"], latency, color=look.colour, zorder=2)
    if refused.empty:
        style.say(axis, look.label, (x, y), (0, 6), ha="right", color=look.colour)
        return
    end = refused["experts"].iloc[0]
    axis.plot([x, end], [y, y], color=look.colour, linestyle=":", zorder=2)
    axis.plot([end], [y], color=look.colour, marker="x", markersize=4.5, markeredgewidth=1.2, zorder=5)
    style.say(axis, look.label, (end, y), (0, 7), ha="center", color=look.colour)


def _published(axis: Axes, look: Look, rows: Sequence[Published]) -> None:
    """Open markers; where the published line ends for want of memory, an open cross as high as its last point."""
    latencies = {row.condition["experts"]: row for row in rows if row.metric == "latency"}
    for disputed, colour in ((True, style.FAINT), (False, look.colour)):
        shown = {n: milliseconds(row) for n, row in latencies.items() if (row.role == "disputed") == disputed}
        axis.plot(*_points(shown), **_MARKED | {"color": colour, "marker": look.marker})
    if latencies:
        last = milliseconds(latencies[max(latencies)])
        ends = {row.condition["experts"]: last for row in rows if row.metric == "out_of_memory" and row.published}
        axis.plot(*_points(ends), **_MARKED | {"color": look.colour, "marker": "X", "markersize": 8})


_MARKED = style.OPEN | {"markeredgewidth": 0.7, "zorder": 3}


def _points(values: Mapping[int, float]) -> tuple[list[int], list[float]]:
    return list(values), list(values.values())
