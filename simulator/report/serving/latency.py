"""When tokens come, each system over the first: the model and the batch size that latencies are published of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.baselines.published import Published
from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style
from simulator.report.figures import Drawn
from simulator.report.serving import bars
from simulator.report.serving.systems import (
    Ratios,
    Setting,
    called,
    colours,
    compared,
    model,
    outcome_of,
    ratios,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUANTITIES = {
    "TBT p50": "tbt_p50", "TBT p90": "tbt_p90", "TBT p99": "tbt_p99", "TTFT p50": "ttft_p50", "E2E p50": "e2e_p50",
}  # fmt: skip


def draw(reproduction: Reproduction, loop: str) -> Drawn | None:
    """A panel a quantity, a group of bars for each length. None where the loop has nothing to compare."""
    outcome = outcome_of(reproduction)
    form = compared(outcome).get(loop)
    if form is None:
        return None
    baseline, known = form.systems[0], colours(reproduction)
    published = [r.published for r in reproduction.rows if _of(r.published, loop)]
    told = next((row.condition for row in published), {})
    shown = told.get("model", next(iter(form.lengths))), told.get("batch", form.batches[len(form.batches) // 2])
    every = {metric: ratios(outcome, loop, f"{metric}_s", baseline) for metric in QUANTITIES.values()}
    if not all(every.values()):
        return None
    figure = style.figure(style.PAGE, 2.7)
    axes = figure.subplots(1, len(QUANTITIES), sharey=True)
    for letter, axis, (title, metric) in zip("abcde", axes, QUANTITIES.items(), strict=True):
        found = every[metric]
        settings = [point for point in next(iter(found.values())) if (point[0], point[-1]) == shown]
        bars.panel(axis, found, settings, known)
        axis.set_xticks(range(len(settings)), [_length(setting, settings) for setting in settings])
        axis.set_title(f"({letter}) {title}", loc="left")
        rows = [row for row in published if row.metric == metric and row.condition["model"] == shown[0]]
        _published(axis, rows, found, settings, baseline, known)
    axes[0].set_ylabel(f"over {called(baseline)}")
    axes[len(axes) // 2].set_xlabel("tokens in, and as many out" if _square(settings) else "tokens in + out")
    keys = [style.key(called(system), color=known[system], marker="s", linestyle="", markersize=5) for system in found]
    if published:
        keys.append(style.key("published mean", linestyle=":"))
        keys.append(style.key("published of one length", **style.OPEN | {"markersize": 4}))
    style.legend(figure, keys)
    caption = (
        f"Time between tokens (TBT), to the first (TTFT) and of whole requests (E2E) of {model(shown[0])}, batch "
        f"{shown[1]}, over those of {called(baseline)}: bars simulated."
    )
    if published:
        caption += (
            f" Published ({names.figures(row.figure for row in published)}): lines, the mean over the lengths of the "
            "system of that colour; open markers, one length, where what is published over another system is times "
            "the simulated bar of that system."
        )
    return Drawn("latency", caption, figure)


def _of(row: Published, loop: str) -> bool:
    told = row.condition
    named = row.metric in QUANTITIES.values() and "model" in told and "batch" in told and "over" in told
    return named and told.get("of") == loop and told.get("statistic", "mean") == "mean"


def _published(
    axis: Axes,
    rows: list[Published],
    found: Ratios,
    settings: list[Setting],
    baseline: str,
    known: dict[str, str],
) -> None:
    """Means over the baseline as lines; values of one length as markers, over whichever system."""
    for row in rows:
        system, over = row.condition["system"], row.condition["over"]
        here = [x for x, setting in enumerate(settings) if setting[1] == row.condition.get("input", setting[1])]
        if system not in found:
            continue
        if len(here) == 1 and (over == baseline or over in found):
            base = 1.0 if over == baseline else found[over][settings[here[0]]]
            at = here[0] + bars.offset(system, found)
            look = style.OPEN | {"markersize": 4, "markeredgewidth": 1.0, "zorder": 5}
            axis.plot([at], [row.published * base], color="black", **look)
        elif over == baseline:
            axis.axhline(row.published, color=known[system], linestyle=":", linewidth=1.1, zorder=4)
            at_end = {"xycoords": axis.get_yaxis_transform(), "va": "center", "fontsize": 7.5}
            style.say(axis, f"{row.published:.3g}", (1, row.published), (2, 0), color=known[system], **at_end)


def _square(settings: list[Setting]) -> bool:
    return all(input == output for _, input, output, _ in settings)


def _length(setting: Setting, settings: list[Setting]) -> str:
    _, input, output, _ = setting
    return f"{input:,}" if _square(settings) else f"{input:,}\n+ {output:,}"
