"""One quantity of each system over that of the first, at every setting of a loop."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from simulator.baselines.published import Published
from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style
from simulator.report.figures import Drawn
from simulator.report.serving.systems import called, colours, outcome_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = {"throughput": ("throughput", "throughput"), "energy": ("energy_j_per_token", "energy a token")}
LINES = {"mean": ":", "max": "--", "min": "--"}


def draw(reproduction: Reproduction, loop: str, what: str) -> Drawn | None:
    """A panel a model; groups of bars by lengths and batch; lines where a statistic of them is published."""
    outcome = outcome_of(reproduction)
    form = outcome.experiment.loops[loop]
    baseline, *others = form.systems
    if not others or not outcome.experiment.runs(loop):
        return None
    column, words = COLUMNS[what]
    known = colours(reproduction)
    ratios = {system: outcome.ratios(column, loop, system, baseline) for system in others}
    ratios = {system: found for system, found in ratios.items() if not all(isnan(r) for r in found.values())}
    figure = style.figure(style.PAGE, 1.0 + 1.35 * len(form.lengths))
    axes = figure.subplots(len(form.lengths), 1, squeeze=False, sharey=True)[:, 0]
    for letter, axis, model in zip("abcdefgh", axes, form.lengths, strict=False):
        width = 0.8 / max(len(ratios), 1)
        points = [point for point in next(iter(ratios.values())) if point[0] == model]
        for place, (system, found) in enumerate(ratios.items()):
            at = [x + (place - (len(ratios) - 1) / 2) * width for x in range(len(points))]
            axis.bar(at, [found[point] for point in points], 0.92 * width, color=known[system], zorder=2)
        _label(axis, points)
        axis.set_title(f"({letter}) {names.model(model)}", loc="left")
        _published(axis, [row.published for row in reproduction.rows], loop, what, model, known)
    figure.supylabel(f"{words} over {called(baseline)}", fontsize=9)
    keys = [style.key(called(s), color=known[s], marker="s", linestyle="", markersize=5) for s in ratios]
    keys.append(style.key("published mean", linestyle=":"))
    keys.append(style.key("published extreme", linestyle="--"))
    style.legend(figure, keys)
    return Drawn(
        f"{loop}_{what}",
        f"{words.capitalize()} of each system over that of {called(baseline)}, loop `{loop}`; below the bars the batch "
        "size, and the tokens of prompt and answer. Lines: what is published of the system of that colour, for this "
        "model or for all together; heights of bars are not.",
        figure,
    )


def _label(axis: Axes, points: list[tuple[str, int, int, int]]) -> None:
    axis.set_xticks(range(len(points)), [f"{batch}" for *_, batch in points])
    axis.tick_params(axis="x", length=0)
    axis.axhline(1, color="black", linewidth=0.6, zorder=3)
    axis.set_ylim(bottom=0)
    axis.margins(x=0.01)
    axis.grid(axis="y")
    groups: dict[tuple[int, int], list[int]] = {}
    for x, (_, input, output, _) in enumerate(points):
        groups.setdefault((input, output), []).append(x)
    for (input, output), places in groups.items():
        middle = sum(places) / len(places)
        style.say(axis, f"{input:,} + {output:,}", (middle, 0), (0, -21), ha="center", va="center")


def _published(axis: Axes, rows: list[Published], loop: str, what: str, model: str, known: dict[str, str]) -> None:
    metrics = {"throughput": ("speedup", "throughput"), "energy": ("energy",)}[what]
    for row in rows:
        condition = row.condition
        baseline = next(iter(known))
        alike = condition.get("over") == baseline and condition.get("of") == loop and row.metric in metrics
        if alike and condition.get("model", model) == model and condition.get("statistic") in LINES:
            look = LINES[condition["statistic"]]
            axis.axhline(row.published, color=known[condition["system"]], linestyle=look, linewidth=0.9, zorder=4)
