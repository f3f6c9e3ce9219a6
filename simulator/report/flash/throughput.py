"""Bandwidth of random reads from flash over their size, by the threads that wait for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.baselines.reproduction import Reproduction
from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.flash import looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(reproduction: Reproduction) -> Drawn | None:
    """A panel a machine, a line a number of threads, and what is published of them."""
    points = looks.table(reproduction, "throughput")
    if points is None:
        return None
    systems, threads = list(dict.fromkeys(points["system"])), sorted(set(points["threads"]))
    colours = {n: style.tint(style.BLUE, 0.35 + 0.65 * (i + 1) / len(threads)) for i, n in enumerate(threads)}
    compared = [row for row in reproduction.rows if row.published.metric == "bandwidth"]
    rows = [row.published for row in compared]
    figure = style.figure(style.PAGE if len(systems) > 1 else style.COLUMN, 2.6)
    axes = figure.subplots(1, len(systems), squeeze=False, sharey=True)[0]
    for letter, axis, system in zip("abcdefgh", axes, systems, strict=False):
        own = points[points["system"] == system]
        for n in threads:
            line = own[own["threads"] == n]
            axis.plot(line["chunk"] / 1024, line["bandwidth"] / 1e9, color=colours[n], zorder=2)
            first = line.iloc[0]
            style.say(axis, f"{n}", (first["chunk"] / 1024, first["bandwidth"] / 1e9), (-5, 0), ha="right", va="center")
        for row in compared:
            value = row.published
            if value.condition["system"] == system:
                at = value.condition["chunk"] / 1024, looks.si(value) / 1e9
                axis.plot(*at, **looks.mark(value, style.VERMILION))
                if not row.agrees:  # it lies on no line of its own
                    text = f"{(n := value.condition['threads'])} thread{'s' if n > 1 else ''}"
                    style.say(axis, text, at, (5, 3), fontsize=7, bbox=_WHITE, zorder=4)
        _label(axis, sorted(set(own["chunk"] / 1024)))
        axis.set_title(f"({letter}) {looks.machine(system)}" if len(systems) > 1 else looks.machine(system), loc="left")
    axes[0].set_ylabel("GB/s")
    keys = [style.key("simulated, by threads", color=style.BLUE), *looks.marks(rows)]
    style.legend(figure, keys)
    caption = (
        "Bandwidth of random reads against their size; at the left of each line, how many threads read. Where "
        "lines meet and lie flat, the drive gives what it gives in sequence."
        f"{looks.sources(rows, ' Markers: published ({}).')}"
    )
    return Drawn("throughput", caption, figure)


_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}


def _label(axis: Axes, sizes: Sequence[float]) -> None:
    """Sizes on powers of four, with room for the names of lines."""
    from matplotlib.ticker import NullLocator

    style.plain_log(axis, "y", (1, 3))
    axis.set_xscale("log", base=2)
    ticks = [4**power for power in range(12) if sizes[0] <= 4**power <= sizes[-1]]
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(sizes[0] / 3.2, sizes[-1] * 1.3)
    axis.set_xlabel("size of a read (KiB)")
    axis.grid(which="major")
