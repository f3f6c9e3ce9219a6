"""Fused kernels as pictures: the stages of each pipeline, its buffers, the slowest stage, and its use of the grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import ConfigError
from simulator.report import style
from simulator.report.call_bars import BUFFER, KEPT, RESERVED, SLOW, TALL, bars, duration, rectangle
from simulator.report.flow import Flow, Node, flow
from simulator.report.names import kernel
from simulator.scenario.kernels import KernelReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 4  # kernels in one picture
ROWS = 6  # of stages that one column may hold
BOX, HEIGHT, PITCH, THREAD = 0.8, 0.26, 0.45, 0.1  # inches: of a stage, from a row to the next, of a line that passes
GAP = 0.05  # inches, between boxes
LEFT, FLOW, RIGHT = 0.1, 5.25, 5.35  # inches: where the stages start and end, and where the bars start
MEMORY = style.BLUE
SMALL = 6.5  # points
CHIP = 0.16  # inches: of a number of PMUs


def draw(report: KernelReport, path: Path) -> None:
    """Draw the pipelines of the block that takes most of a pass; of many kernels, those that take most of the block.

    A box is a stage: its operator, PCUs, and the time that it works on all tiles of a call, which fills the box in
    proportion to the slowest stage of the kernel. Small numbers count PMUs: of the buffer below a stage, and, at its
    right, of the weights, keys or values that it keeps. The bars at the right are one call and the grid of one device.

    Raises:
        ConfigError: the engine has no grid or the mode is an ideal, or the path's suffix is none of png, svg and pdf.
    """
    style.check_suffix(path)
    if not report.stages:
        found = f"fusion {report.fusion}" + ("" if report.grid else ", and an engine without a grid")
        raise ConfigError("no pipeline to draw", found=found, expected="kernels on the grid of a dataflow engine")
    with style.publication():
        style.save(_figure(report), path)


def _figure(report: KernelReport) -> Figure:
    from matplotlib.figure import Figure

    shown = _shown(report)
    flows = {row: _flow(report, row) for row in shown}
    heights = {row: max(_rows_high(flows[row]) * PITCH, TALL) + 0.5 for row in shown}
    total = 0.42 + sum(heights.values()) + 0.25
    figure = Figure(figsize=(style.PAGE, total))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, style.PAGE), ylim=(total, 0))
    axes.set_axis_off()
    title, kernels = report.title.replace(" x ", " \u00d7 "), len(_of_block(report))
    axes.text(LEFT, 0.2, title, fontsize=9, va="center", fontweight="bold")
    if len(shown) < kernels:
        text = f"the {len(shown)} longest of {kernels} kernels"
        axes.text(style.PAGE - LEFT, 0.2, text, fontsize=8, va="center", ha="right")
    top = 0.42
    for row in shown:
        _kernel(axes, report, row, flows[row], top)
        top += heights[row]
    _legend(axes, report, total - 0.14)
    return figure


def _shown(report: KernelReport) -> list[int]:
    """The rows of the report to draw, in the order of the pass."""
    return sorted(sorted(_of_block(report), key=lambda row: -report.rows[row]["time_s"])[:MOST])


def _of_block(report: KernelReport) -> list[int]:
    """The rows of the block that takes most of the pass."""
    laid = sorted({stage["row"] for stage in report.stages})
    time: Counter[str] = Counter()
    for row in laid:
        time[report.rows[row]["block"]] += report.rows[row]["time_s"] * report.rows[row]["repeat"]
    block = max(time, key=lambda name: time[name])
    return [row for row in laid if report.rows[row]["block"] == block]


def _flow(report: KernelReport, row: int) -> Flow:
    return flow({s["operator"]: s["after"] for s in report.stages if s["row"] == row}, BOX + GAP, THREAD)


def _rows_high(flow: Flow) -> int:
    first = flow.cut(ROWS)
    return max(first, len(flow.rows) - first)


def _kernel(axes: Axes, report: KernelReport, row: int, flow: Flow, top: float) -> None:
    """One kernel: a heading, its stages, and its bars."""
    call = report.rows[row]
    axes.plot([LEFT, style.PAGE - LEFT], [top - 0.05] * 2, color="#C8C8C8", linewidth=0.5)
    tiles = f"{call['tiles']} tiles" if call["tiles"] > 1 else "1 tile"
    held = f"{call['operators']} operators, " if call["operators"] > 1 else ""
    name = kernel(call["kernel"], 60).partition(" (")[0]
    text = f"{name}: {held}{tiles}, {duration(call['time_s'])} a call, {call['repeat']} calls a pass"
    axes.text(LEFT, top + 0.08, text, fontsize=8, va="center")
    stages = {stage["operator"]: stage for stage in report.stages if stage["row"] == row}
    place, box = _places(flow, top + 0.48)
    _lines(axes, flow, place)
    slowest = max(stage["time_s"] for stage in stages.values())
    names = _names(list(stages))
    for node in place:
        if flow.is_stage(node):
            _stage(axes, stages[node.stage], names[node.stage], place[node], box, slowest, report.memory)
    bars(axes, report, row, RIGHT, top + 0.25)


def _places(flow: Flow, top: float) -> tuple[dict[Node, tuple[float, float]], float]:
    """Centre of each node on the page, the second column beside the first; and the width of a box."""
    first = flow.cut(ROWS)
    columns = [flow.rows[:first], flow.rows[first:]] if first < len(flow.rows) else [flow.rows]
    width = (FLOW - LEFT) / len(columns)
    sides = [_sides([flow.x[node] for nodes in rows for node in nodes]) for rows in columns]
    scale = min([1.0, *((width - GAP) / (right - left) for left, right in sides)])
    place = {}
    for number, (rows, (left, right)) in enumerate(zip(columns, sides, strict=True)):
        middle = LEFT + width * (number + 0.5)
        for line, nodes in enumerate(rows):
            for node in nodes:
                place[node] = (middle + (flow.x[node] - (left + right) / 2) * scale, top + line * PITCH)
    return place, BOX * scale


def _sides(xs: Sequence[float]) -> tuple[float, float]:
    return min(xs) - (BOX + GAP) / 2, max(xs) + (BOX + GAP) / 2


def _lines(axes: Axes, flow: Flow, place: Mapping[Node, tuple[float, float]]) -> None:
    """From each stage, through its buffer, to those that read it; between the columns, around their ends."""
    from matplotlib.path import Path as Curve

    first, rows = flow.cut(ROWS), len(flow.rows)
    around = {stage: 0.05 * n for n, stage in enumerate(flow.crossing(first - 1))} if first < rows else {}
    low = max(y for node, (_, y) in place.items() if node.row < first) + HEIGHT / 2 + 0.17
    high = min(y for _, y in place.values()) - HEIGHT / 2 - 0.08
    gutter = (LEFT + FLOW) / 2
    for before, after in flow.links:
        (x0, y0), (x1, y1) = place[before], place[after]
        start, end = y0 + HEIGHT / 2, y1 - HEIGHT / 2
        points = [(x0, start if flow.is_stage(before) else y0 - HEIGHT / 2), (x0, start)]
        if after.row == first and around:
            aside = around[before.stage]
            points += [(x0, low + aside), (gutter + aside, low + aside), (gutter + aside, high - aside)]
            points += [(x1, high - aside), (x1, end)]
            codes = [Curve.LINETO] * 6
        else:
            bend = (end - start) * 0.6
            points += [(x0, start + bend), (x1, end - bend), (x1, end)]
            codes = [Curve.LINETO, *[Curve.CURVE4] * 3]
        _curve(axes, points, [Curve.MOVETO, *codes], arrow=flow.is_stage(after))


def _curve(axes: Axes, points: Sequence[tuple[float, float]], codes: Sequence[Any], arrow: bool) -> None:
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path as Curve

    axes.add_patch(PathPatch(Curve(points, codes), fill=False, edgecolor="#707070", linewidth=0.6, joinstyle="round"))
    if arrow:
        x, y = points[-1]
        tip = [(x, y), (x - 0.022, y - 0.05), (x + 0.022, y - 0.05)]
        axes.add_patch(Polygon(tip, closed=True, facecolor="#707070", linewidth=0))


def _stage(
    axes: Axes, stage: Mapping[str, Any], name: str, at: tuple[float, float], box: float, slowest: float, memory: str
) -> None:
    """A box with what it says, filled as far as its time goes; the PMUs in its corner and below."""
    middle, x, y = at[0], at[0] - box / 2, at[1] - HEIGHT / 2
    slow = stage["time_s"] >= slowest * (1 - 1e-6) > 0
    share = stage["time_s"] / slowest if slowest else 0.0
    rectangle(axes, x, y, box, HEIGHT, facecolor="white", linewidth=0)
    rectangle(axes, x, y, box * share, HEIGHT, facecolor=style.tint(SLOW, 0.3 if slow else 0.14), linewidth=0)
    text: dict[str, Any] = {"fontsize": 5.8, "va": "center", "zorder": 5}
    if stage["kept_pmus"]:
        rectangle(axes, x + box - CHIP, at[1], CHIP, HEIGHT / 2, facecolor=style.tint(KEPT, 0.3), linewidth=0)
        axes.text(x + box - CHIP / 2, at[1] + 0.06, f"{stage['kept_pmus']}", ha="center", **text)
    outline = {"edgecolor": SLOW if slow else "#606060", "linewidth": 1.2 if slow else 0.5}
    rectangle(axes, x, y, box, HEIGHT, fill=False, linestyle="-" if stage["pcus"] else (0, (3, 2)), **outline)
    axes.text(middle, at[1] - 0.055, name, ha="center", fontweight="bold", **text | {"fontsize": SMALL})
    line = f"{stage['pcus']} PCU {duration(stage['time_s'])}" if stage["pcus"] else "moves data only"
    axes.text(middle - (CHIP / 2 if stage["kept_pmus"] else 0.0), at[1] + 0.06, line, ha="center", **text)
    below = y + HEIGHT + 0.055
    if stage["pmus"]:
        rectangle(axes, middle - 0.1, below - 0.05, 0.2, 0.1, facecolor=style.tint(BUFFER, 0.45), linewidth=0)
        axes.text(middle, below, f"{stage['pmus']}", ha="center", **text)
    if stage["from_memory"]:
        axes.text(x + 0.02, y - 0.05, f"{memory} \u2193", color=MEMORY, **text)
    if stage["to_memory"]:
        axes.text(middle + 0.13, below, f"\u2192 {memory}", color=MEMORY, **text)


def _names(operators: Sequence[str]) -> dict[str, str]:
    """Each operator by as few of its last words as tell it from the others; the phase is the picture's."""
    words = {name: name.removesuffix(".prefill").removesuffix(".decode").split(".") for name in operators}
    names = {}
    for name, parts in words.items():
        ends = (parts[-n:] for n in range(1, len(parts)))
        alone = (end for end in ends if sum(other[-len(end) :] == end for other in words.values()) == 1)
        names[name] = ".".join(next(alone, parts))
    return names


def _legend(axes: Axes, report: KernelReport, y: float) -> None:
    x = LEFT
    reserved = any(row.get("reserved_pmus") for row in report.rows)
    for colour, outline, text, width in (
        (style.tint(SLOW, 0.14), "#606060", "stage: its time over the slowest one's", 2.0),
        (style.tint(SLOW, 0.3), SLOW, "the slowest", 0.95),
        (style.tint(BUFFER, 0.45), "none", "PMUs of a buffer", 1.15),
        (style.tint(KEPT, 0.3), "none", "PMUs of weights, keys, values", 1.75),
        *([(style.tint(RESERVED, 0.5), "none", "of the next kernel", 1.2)] if reserved else []),
    ):
        rectangle(axes, x, y - 0.05, 0.18, 0.1, facecolor=colour, edgecolor=outline, linewidth=0.7)
        axes.text(x + 0.23, y, text, fontsize=7, va="center")
        x += width
