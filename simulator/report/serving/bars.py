"""Bars of each system at every setting of a loop, and what is published of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simulator.baselines.published import Published
from simulator.report import style
from simulator.report.serving.systems import Ratios, Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = {"mean": ":", "max": "--", "min": "--"}
WORDS = {"mean": "mean", "max": "maximum", "min": "minimum"}
_APART = 8.5  # of two labels, points
_WIDTH = 0.8  # of the bars of one setting


def panel(axis: Axes, ratios: Ratios, settings: Sequence[Setting], colours: Mapping[str, str]) -> None:
    """A group of bars a setting, in the order of the systems; 1 is the system that they are over."""
    width = _WIDTH / len(ratios)
    for system, found in ratios.items():
        at = [x + offset(system, ratios) for x in range(len(settings))]
        axis.bar(at, [found[setting] for setting in settings], 0.92 * width, color=colours[system], zorder=2)
    axis.axhline(1, color="black", linewidth=0.6, zorder=3)
    axis.set_xlim(-0.55, len(settings) - 0.45)
    axis.tick_params(axis="x", length=0)
    axis.grid(axis="y")
    label(axis, settings)


def offset(system: str, ratios: Ratios) -> float:
    """Of a system's bar, from the middle of its setting."""
    return (list(ratios).index(system) - (len(ratios) - 1) / 2) * _WIDTH / len(ratios)


def label(axis: Axes, settings: Sequence[Setting]) -> None:
    """Batch sizes, and below them the tokens in and out; these alone where there is one batch size."""
    if len({batch for *_, batch in settings}) == 1:
        axis.set_xticks(range(len(settings)), [f"{input:,} + {output:,}" for _, input, output, _ in settings])
        return
    groups: dict[tuple[int, int], list[int]] = {}
    for x, (_, input, output, _) in enumerate(settings):
        groups.setdefault((input, output), []).append(x)
    axis.set_xticks(range(len(settings)), [f"{batch}" for *_, batch in settings])
    across = axis.get_xaxis_transform()
    for (input, output), places in groups.items():
        middle = (sum(places) / len(places), 0)
        style.say(axis, f"{input:,} + {output:,}", middle, (0, -15), xycoords=across, ha="center", va="top")
        if places[-1] < len(settings) - 1:
            axis.axvline(places[-1] + 0.5, color="#C8C8C8", linewidth=0.5, zorder=0)


def statistics(axis: Axes, rows: Sequence[Published], colours: Mapping[str, str], told: Sequence[Published]) -> None:
    """A line for each published statistic; beside it what it is, where `told`, moved from others that are close."""
    for row in rows:
        look = LINES[row.condition["statistic"]]
        axis.axhline(row.published, color=colours[row.condition["system"]], linestyle=look, linewidth=0.9, zorder=4)
    bottom, top = axis.get_ylim()
    inches = axis.get_position().height * axis.get_figure(root=True).get_figheight()  # type: ignore[union-attr]
    apart, at = _APART * (top - bottom) / (72 * inches), bottom
    for row in sorted(told, key=lambda row: row.published):
        at = max(row.published, at + apart)
        batch = f"\n(batch {row.condition['batch']})" if "batch" in row.condition else ""
        text = f"{WORDS[row.condition['statistic']]} {row.published:.3g}\u00d7{batch}"
        beside: dict[str, Any] = {"xycoords": axis.get_yaxis_transform(), "va": "center", "fontsize": 7.5}
        style.say(axis, text, (1, at), (3, 0), color=colours[row.condition["system"]], **beside)


def singles(
    axis: Axes, rows: Sequence[Published], ratios: Ratios, settings: Sequence[Setting], colours: Mapping[str, str]
) -> None:
    """An open marker on the bar of each value that is published of one setting."""
    for row in rows:
        x = settings.index(setting_of(row)) + offset(row.condition["system"], ratios)
        look = style.OPEN | {"markersize": 4, "markeredgewidth": 1.0, "zorder": 5}
        axis.plot([x], [row.published], color="black", **look)


def setting_of(row: Published) -> Setting:
    """The setting that a published value names; what it does not name is empty."""
    told = row.condition
    return told.get("model", ""), told.get("input", 0), told.get("output", 0), told.get("batch", 0)
