"""The hierarchical roofline as a figure: one slanted roof a tier, the engine's flat roof, and a marker a kernel."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.report import style
from simulator.scenario.roofline import Roofline
from simulator.units import show

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    "sram": style.ORANGE,
    "hbm": style.BLUE,
    "ddr": style.GREEN,
    "flash": style.PURPLE,
    "host": style.SKY,
    "cxl": style.BLACK,
    "latency": style.GREY,
}
LABELLED = 8  # kernels, at most
WORTH_A_LABEL = 0.01  # share of the time
COINCIDE = 0.02  # decades
_TERA = 1e12


@dataclass(frozen=True)
class _Marker:
    """Kernels at one place of the plot: FLOP/B at main memory and at other tiers, TFLOP/s, and share of the time."""

    ops: list[str]
    x: float
    inner: dict[str, float]
    y: float
    share: float
    bound_by: str


def draw(roofline: Roofline, path: Path) -> None:
    """Draw a roofline (Williams et al., CACM 2009) with all tiers in one plot (Yang et al., CCPE 2020).

    A filled marker a kernel: its FLOPs over the bytes that cross the boundary of main memory, and its FLOP/s while it
    runs; area by its share of the time, colour by what binds. A small open marker stands at its FLOPs over the bytes of
    on-chip memory. Kernels that coincide share a marker; those without FLOPs have no place in the plot, and a note.

    Raises:
        ConfigError: the path's suffix is none of png, svg and pdf.
    """
    style.check_suffix(path)
    with style.publication():
        style.save(_figure(roofline), path)


def _figure(roofline: Roofline) -> Figure:
    from matplotlib.figure import Figure

    markers = _markers(roofline)
    figure = Figure(figsize=(style.PAGE, 3.7))
    axes = figure.add_axes((0.085, 0.12, 0.56, 0.79))
    _scales(axes, roofline, markers)
    _roofs(axes, roofline)
    for marker in markers:
        _kernel(axes, roofline, marker)
    _labels(axes, [m for m in markers if m.share >= WORTH_A_LABEL][:LABELLED])
    axes.set_title(roofline.title.replace(" x ", " \u00d7 "), loc="left")
    figure.text(0.68, 0.02, _note(roofline, markers), fontsize=7, color="#555555", va="bottom", linespacing=1.3)
    return figure


def _markers(roofline: Roofline) -> list[_Marker]:
    """The kernels that have FLOPs, those that coincide together; the most important first."""
    total = sum(_time(row) for row in roofline.rows)
    places: dict[tuple[int, int, str], list[dict[str, Any]]] = {}
    for row in roofline.rows:
        if row["flops"] and row["bytes"]:
            x, y = (round(math.log10(row[axis]) / COINCIDE) for axis in ("op_per_byte", "attainable_flops"))
            places.setdefault((x, y, row["bound_by"]), []).append(row)
    others = [roof["tier"] for roof in roofline.roofs if roof["tier"] != roofline.memory]
    markers = [
        _Marker(
            ops=[row["op"] for row in rows],
            x=rows[0]["op_per_byte"],
            inner=_elsewhere(rows[0], others),
            y=rows[0]["attainable_flops"] / _TERA,
            share=sum(map(_time, rows)) / total,
            bound_by=_what(rows[0]["bound_by"]),
        )
        for rows in places.values()
    ]
    return sorted(markers, key=lambda marker: -marker.share)


def _elsewhere(row: dict[str, Any], tiers: Sequence[str]) -> dict[str, float]:
    """FLOP/B at the tiers where it differs from that at main memory to the eye."""
    intensities = {tier: row["flops"] / traffic for tier in tiers if (traffic := row.get(f"bytes_{tier}"))}
    return {tier: x for tier, x in intensities.items() if abs(math.log10(x / row["op_per_byte"])) > COINCIDE}


def _time(row: dict[str, Any]) -> float:
    return float(row["repeat"] * row["time_s"])


def _what(resource: str) -> str:
    """The tier or engine that a resource is about: `gpu.hbm->gpu.gpu` is `hbm`."""
    return resource.partition("->")[0].rpartition(".")[2]


def _colour(roofline: Roofline, what: str) -> str:
    tiers = {roof["tier"] for roof in roofline.roofs}
    return COLOURS.get(what, style.BLACK if what in tiers else style.VERMILION)


def _scales(axes: Axes, roofline: Roofline, markers: Sequence[_Marker]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ridges = [roofline.peak / roof["bandwidth"] for roof in roofline.roofs]
    xs = [m.x for m in markers] + [x for m in markers for x in m.inner.values()]
    left, right = min([x / 3 for x in xs] + [ridge / 20 for ridge in ridges]), max([*xs, *ridges]) * 4
    slowest = min(roof["bandwidth"] for roof in roofline.roofs) / _TERA
    bottom = min([m.y for m in markers] + [slowest * left * 3]) / 2
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(bottom, roofline.peak / _TERA * 4))
    axes.set(xlabel=f"operations per byte of {roofline.memory} (FLOP/B)", ylabel="performance (TFLOP/s)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(10))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(which="major")


def _roofs(axes: Axes, roofline: Roofline) -> None:
    """Each roof up to where it meets the flat one, labelled along its slope; the ridge points on the axis."""
    left, right = axes.get_xlim()
    bottom, _ = axes.get_ylim()
    peak = roofline.peak / _TERA
    fastest = max(roof["bandwidth"] for roof in roofline.roofs) / _TERA
    axes.plot([peak / fastest, right], [peak, peak], color=style.VERMILION)
    style.say(axes, f"peak {show(roofline.peak, 'FLOP/s')}", (peak / fastest, peak), (0, 4), color=style.VERMILION)
    for roof in roofline.roofs:
        speed, colour = roof["bandwidth"] / _TERA, _colour(roofline, roof["tier"])
        start, ridge = max(left, bottom / speed), peak / speed
        axes.plot([start, ridge], [speed * start, peak], color=colour)
        axes.plot([ridge, ridge], [bottom, peak], color=colour, linewidth=0.5, linestyle=(0, (2, 3)), alpha=0.6)
        from_, to = axes.transData.transform([(start, speed * start), (ridge, peak)])
        slope = math.degrees(math.atan2(to[1] - from_[1], to[0] - from_[0]))
        along = {"rotation": slope, "rotation_mode": "anchor", "ha": "right", "va": "bottom"}
        label = f"{roof['tier']} {show(roof['bandwidth'], 'B/s')}"
        style.say(axes, label, (ridge, peak), (-14, -6), color=colour, **along)
        style.say(axes, f"{ridge:.3g}", (ridge, bottom), (2, 3), color=colour, fontsize=7)


def _kernel(axes: Axes, roofline: Roofline, marker: _Marker) -> None:
    colour = _colour(roofline, marker.bound_by)
    for tier, x in marker.inner.items():
        axes.plot([marker.x, x], [marker.y, marker.y], color=style.GREY, linewidth=0.5, zorder=2)
        axes.scatter(
            [x], [marker.y], s=7, facecolor="white", edgecolor=_colour(roofline, tier), linewidth=0.6, zorder=3
        )
    area = 8 + 300 * marker.share
    axes.scatter(
        [marker.x], [marker.y], s=area, facecolor=colour, edgecolor="white", linewidth=0.5, alpha=0.85, zorder=4
    )


def _labels(axes: Axes, markers: Sequence[_Marker]) -> None:
    """The names in a column beside the plot, as high as their markers if there is room, each joined to its own."""
    ordered = sorted(markers, key=lambda m: (-round(math.log10(m.y), 2), -m.x))  # so that no two joining lines cross
    wanted = axes.transAxes.inverted().transform(axes.transData.transform([(m.x, m.y) for m in ordered] or [(1, 1)]))
    for marker, height in zip(ordered, _spread([y for _, y in wanted[: len(ordered)]]), strict=True):
        axes.annotate(
            f"{marker.share:.0%}  {_names(marker.ops)}", (marker.x, marker.y), (1.05, height),
            textcoords="axes fraction", va="center", fontsize=7.5, annotation_clip=False, linespacing=1.1,
            arrowprops={"arrowstyle": "-", "color": "#B0B0B0", "linewidth": 0.4, "relpos": (0, 0.5), "shrinkB": 0},
        )  # fmt: skip


def _spread(heights: Sequence[float], step: float = 0.095, floor: float = 0.22) -> list[float]:
    """Heights that fall, moved apart by `step`: downwards, and upwards again from the floor."""
    for _ in range(2):
        down: list[float] = []
        for height in heights:
            down.append(min(height, down[-1] - step) if down else height)
        up: list[float] = []
        for height in reversed(down):
            up.append(max(height, up[-1] + step if up else floor))
        heights = up[::-1]
    return list(heights)


def _names(ops: Sequence[str]) -> str:
    """`attention.scores.decode+attention.softmax.decode` as attention.scores+softmax, in at most two lines."""
    names = []
    for op in ops:
        head = op.partition(".")[0]
        names.append(re.sub(r"\.(decode|prefill)\b", "", op).replace(f"+{head}.", "+"))
    first, *more = dict.fromkeys(names)
    head = first.partition(".")[0] + "."
    text = ", ".join([first, *(name.removeprefix(head) for name in more)])
    lines = textwrap.wrap(text, 36, max_lines=2, placeholder=" …", break_long_words=False)
    return "\n        ".join(lines)


def _note(roofline: Roofline, markers: Sequence[_Marker]) -> str:
    inner = ", ".join(dict.fromkeys(tier for marker in markers for tier in marker.inner))
    without = ", ".join(dict.fromkeys(row["op"] for row in roofline.rows if not row["flops"]))
    lines = ["area and %: share of the time of all kernels; colour: what binds"]
    lines += [f"open marker: FLOP/B of {inner}"] if inner else []
    lines += [textwrap.shorten(f"not shown, no FLOPs: {without}", 48, placeholder=" …")] if without else []
    return "\n".join(lines)
