"""What fusion is worth: speed-ups, what orchestration gains, and kernel calls, a line for each benchmark."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from simulator.baselines.reproduction import Compared, Reproduction
from simulator.report import names, style
from simulator.report.figures import Drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS: tuple[tuple[str, dict[str, str], str, tuple[float, ...]], ...] = (
    ("speedup", {"orchestration": "software"}, "speed-up, software", (1, 3)),
    ("speedup", {"orchestration": "hardware"}, "speed-up, hardware", (1, 3)),
    ("orchestration_gain", {}, "hardware over software", (1, 2, 5)),
    ("calls_ratio", {}, "kernel calls, unfused/fused", (1, 3)),
)
"""Each metric with its condition, its title, and the ticks of its axis."""


def draw(reproduction: Reproduction) -> Drawn | None:
    """A panel a metric, on logarithmic axes: dots simulated, open markers published."""
    rows = [row for row in reproduction.rows if "benchmark" in row.published.condition and row.simulated]
    benchmarks = list(dict.fromkeys(row.published.condition["benchmark"] for row in rows))
    if not benchmarks:
        return None
    figure = style.figure(style.PAGE, 0.9 + 0.17 * len(benchmarks))
    axes = figure.subplots(1, len(PANELS), sharey=True, squeeze=False)[0]
    for letter, axis, (metric, condition, title, ticks) in zip("abcd", axes, PANELS, strict=True):
        shown = [
            row
            for row in rows
            if row.published.metric == metric and condition.items() <= row.published.condition.items()
        ]
        _panel(axis, shown, benchmarks)
        style.plain_log(axis, "x", ticks)
        axis.set_title(f"({letter}) {title}", loc="left", fontsize=8)
    axes[0].set_yticks(range(len(benchmarks)), benchmarks)
    axes[0].set_ylim(len(benchmarks) - 0.5, -0.5)
    keys = [
        style.key("simulated", **_DOT),
        style.key("published", **_PUBLISHED),
        style.key("published, fitted to", **_PUBLISHED | {"marker": "s"}),
    ]
    style.legend(figure, keys)
    figures = names.figures(row.published.figure for row in rows)
    caption = (
        f"What fusion and orchestration are worth: simulated and published ({figures}). Simulated over published: "
        f"{_spread(rows)}."
    )
    return Drawn("speedups", caption, figure)


_DOT: dict[str, Any] = {"marker": "o", "linestyle": "", "color": style.BLUE}
_PUBLISHED: dict[str, Any] = style.OPEN | {"color": style.VERMILION, "markersize": 4.5}


def _panel(axis: Axes, rows: list[Compared], benchmarks: list[str]) -> None:
    for row in rows:
        line = benchmarks.index(row.published.condition["benchmark"])
        look = {"marker": "s"} if row.published.role == "calibration" else {}
        simulated = row.simulated or 0.0
        axis.plot([row.published.published, simulated], [line, line], color=style.FAINT, linewidth=0.8, zorder=1)
        axis.plot([row.published.published], [line], **_PUBLISHED | look, zorder=2)
        axis.plot([simulated], [line], **_DOT, zorder=3)
    axis.axvline(1, color="black", linewidth=0.5, zorder=0)
    axis.grid(axis="y")
    axis.tick_params(axis="y", length=0)
    axis.margins(x=0.1)


def _spread(rows: list[Compared]) -> str:
    """The median and the worst ratio of each metric, of predictions."""
    said = []
    for metric, condition, title, _ in PANELS:
        ratios = [
            row.ratio
            for row in rows
            if row.ratio
            and row.published.role == "prediction"
            and row.published.metric == metric
            and condition.items() <= row.published.condition.items()
        ]
        if ratios:
            worst = max(ratios, key=lambda ratio: max(ratio, 1 / ratio))
            said.append(f"{title} {median(ratios):.2f} in the median, {worst:.2f} at worst")
    return "; ".join(said)
