"""One call of a kernel as bars: how long each resource is busy with it, and what it fills of the grid of a device.

Coordinates are inches on the page, from its top left corner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simulator.report import style
from simulator.scenario.kernels import KernelReport
from simulator.units import show

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TALL, WIDE = 1.3, 1.55  # inches: of all bars together
BAR = 0.09  # inches: height of one
RESOURCES = 4  # shown
SMALL = 6.5  # points
BUFFER, KEPT, RESERVED, SLOW = style.ORANGE, style.BLUE, style.PURPLE, style.VERMILION


def bars(axes: Axes, report: KernelReport, row: int, left: float, top: float) -> None:
    """What one call takes, resource by resource; and what of the grid it fills."""
    call, grid = report.rows[row], report.grid
    assert grid
    stages = [stage for stage in report.stages if stage["row"] == row]
    y = _say(axes, "busy during one call", left, top)
    for place, (what, seconds) in enumerate(_busy(report, row).items()):
        start, length = left + 0.75, WIDE - 1.15
        axes.text(left, y + BAR / 2, what, fontsize=SMALL, va="center")
        rectangle(axes, start, y, length, BAR, facecolor="#F0F0F0", linewidth=0)
        colour = SLOW if place == 0 else "#A0A0A0"
        rectangle(axes, start, y, length * min(seconds / call["time_s"], 1.0), BAR, facecolor=colour, linewidth=0)
        axes.text(left + WIDE, y + BAR / 2, duration(seconds), fontsize=SMALL, va="center", ha="right")
        y += 0.14
    y = _say(axes, "grid of one device", left, y + 0.1)
    for what, parts in _grid(call, stages).items():
        total, usable, x = grid[what], grid[f"usable_{what}"], left
        rectangle(axes, left, y, WIDE, BAR, facecolor="#F0F0F0", linewidth=0)
        beyond = WIDE * (1 - usable / total)
        hatched: dict[str, Any] = {"facecolor": "white", "edgecolor": "#B0B0B0", "hatch": "//////", "linewidth": 0}
        rectangle(axes, left + WIDE - beyond, y, beyond, BAR, **hatched)
        for colour, count in parts:
            rectangle(axes, x, y, WIDE * count / total, BAR, facecolor=colour, edgecolor="white", linewidth=0.25)
            x += WIDE * count / total
        text = f"{sum(count for _, count in parts):,} of {total:,} {what.upper()[:-1]}s ({usable:,} usable)"
        axes.text(left, y + BAR + 0.06, text, fontsize=SMALL, va="center")
        y += 0.23


def _say(axes: Axes, text: str, x: float, y: float) -> float:
    axes.text(x, y + 0.04, text, fontsize=7, va="center", fontweight="bold")
    return y + 0.15


def _busy(report: KernelReport, row: int) -> dict[str, float]:
    """What is busy longest with a call, each under a plain name, the longest first."""
    longest: dict[str, float] = {}
    for busy in report.busy:
        if busy["row"] == row:
            longest.setdefault(_plain(busy["resource"]), busy["time_s"])  # of a tier and its port, the longer
    return dict(list(longest.items())[:RESOURCES])


def _plain(resource: str) -> str:
    """`socket.hbm->socket.rdu` is hbm, `socket.rdu (pipeline)` its pipeline, `socket->socket` the links."""
    source, link, target = resource.partition("->")
    if "(" in source:
        return source.partition("(")[2].rstrip(")")
    return "links" if link and "." not in source + target else source.rpartition(".")[2]


def _grid(call: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[Any, int]]]:
    """Segments of the bars of PCUs, a stage each, and of PMUs, by what they hold: colours and counts."""
    pcus = [
        (style.tint(SLOW, 0.35 if stage["kind"] in ("gemm", "attention") else 0.8), stage["pcus"])
        for stage in stages
        if stage["pcus"]
    ]
    buffers, kept = (sum(stage[name] for stage in stages) for name in ("pmus", "kept_pmus"))
    pmus = [
        (style.tint(BUFFER, 0.6), buffers + call["arriving_pmus"]),
        (style.tint(KEPT, 0.45), kept),
        (style.tint(RESERVED, 0.5), call["reserved_pmus"]),
    ]
    return {"pcus": pcus, "pmus": [part for part in pmus if part[1]]}


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    return show(float(f"{seconds:.3g}"), "s").replace("us", "\u00b5s")


def rectangle(axes: Axes, x: float, y: float, width: float, height: float, **look: Any) -> None:
    """A box from its upper left corner."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), width, height, **{"zorder": 3} | look))
