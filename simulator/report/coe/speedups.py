"""Speed-ups of one machine over the others, under the settings of the paper and under the experiment's variants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.baselines.published import CLOSE
from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style
from simulator.report.coe.systems import Look, looks
from simulator.report.figures import Drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS = ("speedup", "expert_speedup", "switch_speedup")
_WORDS = {"speedup": "{}", "expert_speedup": "{}, expert alone", "switch_speedup": "switching"}
_MARKS = ("x", "+", "v", "<", ">", "1", "2", "3", "4")
_COLUMN = 72.0  # of figures beside the plot, points

Lines = dict[str, dict[str, list[dict[Any, Any]]]]
"""What is sped up, over which machine -> the rows of the reproduction: one a published value."""


def draw(reproduction: Reproduction) -> Drawn | None:
    """A line for each speed-up: published (open), simulated (dot), each variant; the figures beside it."""
    lines = _lines(reproduction)
    if not lines:
        return None
    named = {baseline for line in lines.values() for baseline in line}
    baselines = {name: look for name, look in looks(reproduction).items() if name in named}
    variants = _telling(reproduction, lines)
    figure = style.figure(style.PAGE, 1.15 + 0.29 * len(lines))
    axis = figure.subplots()
    for column, (baseline, look) in enumerate(baselines.items()):
        _beside(axis, column, -0.95, f"over {look.label}\npub. | sim.", look.colour)
        for place, line in enumerate(lines.values()):
            shift = 0.22 * (column - (len(baselines) - 1) / 2)
            _speedup(axis, place + shift, line.get(baseline, []), variants, look)
            _beside(axis, column, place, _figures(line.get(baseline, [])), look.colour)
    style.plain_log(axis, "x", (1, 2, 3, 5))
    axis.set_yticks(range(len(lines)), list(lines))
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set(ylim=(len(lines) - 0.4, -0.6), xlabel="speed-up (\u00d7)")
    axis.axvline(1, color="black", linewidth=0.6)
    axis.grid(which="major")
    keys = [
        style.key("published", **style.OPEN | {"markersize": 6}),
        style.key("simulated", linestyle="", marker="o", markersize=2.6),
        style.key("simulated, fitted", linestyle="", marker="o", markersize=2.6, color=style.FAINT),
    ]
    for mark, name in zip(_MARKS, variants, strict=False):
        keys.append(style.key(name.replace("_", " "), **_VARIANT | {"marker": mark}))
    style.legend(figure, keys)
    return Drawn("speedups", _caption(reproduction, variants), figure)


_VARIANT: dict[str, Any] = {"linestyle": "", "markersize": 3.6, "markeredgewidth": 0.7, "markerfacecolor": "none"}


def _lines(reproduction: Reproduction) -> Lines:
    lines: Lines = {}
    rows = reproduction.frames()["rows"].to_dict("records")
    for row, compared in zip(rows, reproduction.rows, strict=True):
        condition = compared.published.condition
        if row["metric"] in METRICS:
            setting = "batch {batch}, {tokens} tokens".format(**condition) if "batch" in condition else ""
            line = lines.setdefault(_WORDS[row["metric"]].format(setting), {})
            refused = {key: math.nan for key, value in row.items() if value is None}
            line.setdefault(condition["baseline"], []).append(row | refused)
    return lines


def _telling(reproduction: Reproduction, lines: Lines) -> list[str]:
    """The variants that change a speed-up by more than 3 %, less those that only add to another variant's settings."""
    settings = {name: set(variant.set) for name, variant in reproduction.experiment.variants.items()}
    every = [row for line in lines.values() for rows in line.values() for row in rows]
    telling = [
        name
        for name in reproduction.variants
        if any(abs(row[f"simulated_{name}"] / row["simulated"] - 1) > CLOSE for row in every)
        and not any(other < settings[name] for other in settings.values())
    ]
    return telling[: len(_MARKS)]


def _speedup(axis: Axes, place: float, rows: Sequence[dict[Any, Any]], variants: Sequence[str], look: Look) -> None:
    for row in rows:
        colour = style.FAINT if row["role"] == "disputed" else look.colour
        marked: dict[str, Any] = {
            "marker": look.marker,
            "markersize": 6,
            "markerfacecolor": "white",
            "markeredgewidth": 0.8,
        }
        marked |= {"color": colour, "elinewidth": 0.8, "zorder": 2}
        axis.errorbar(row["published"], place, xerr=row["tolerance"], **marked)
    for row in rows[:1]:
        colour = style.FAINT if row["role"] in ("calibration", "input") else look.colour
        axis.plot([row["simulated"]], [place], marker="o", markersize=2.6, markeredgewidth=0, color=colour, zorder=3)
        for mark, name in zip(_MARKS, variants, strict=False):
            axis.plot([row[f"simulated_{name}"]], [place], color=look.colour, marker=mark, zorder=1, **_VARIANT)


def _figures(rows: Sequence[dict[Any, Any]]) -> str:
    """`6.6 | 6.63`: published as exactly as it was, simulated with one digit more."""
    if not rows:
        return ""
    digits = max(0, round(-math.log10(2 * rows[0]["tolerance"] or 1)))
    published = ", ".join(f"{row['published']:.{digits}f}" for row in rows)
    simulated = rows[0]["simulated"]
    return f"{published} | " + ("refused" if simulated != simulated else f"{simulated:.{digits + 1}f}")


def _beside(axis: Axes, column: int, place: float, text: str, colour: str) -> None:
    at, offset = (1, place), (_COLUMN * (column + 0.5), 0)
    style.say(axis, text, at, offset, xycoords=axis.get_yaxis_transform(), va="center", ha="center", color=colour)


def _caption(reproduction: Reproduction, variants: Sequence[str]) -> str:
    figures = {row.published.figure for row in reproduction.rows if row.published.metric in METRICS}
    silent = [name.replace("_", " ") for name in reproduction.variants if name not in variants]
    return (
        f"Speed-ups ({names.figures(figures)}): published with its rounding (open; grey where the paper "
        "contradicts itself), simulated (dots; grey where fitted), and under the variants of the experiment."
        + (f" In the table only: {', '.join(silent)}." if silent else "")
    )
