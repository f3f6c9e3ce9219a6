"""Throughput, or energy a token, of each system over that of the first, at every setting of a loop."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.baselines.published import Published
from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style
from simulator.report.figures import Drawn
from simulator.report.serving import bars
from simulator.report.serving.systems import called, colours, compared, model, outcome_of, ratios


@dataclass(frozen=True)
class Quantity:
    """A column of the points, the metrics that are published of it, and how it is called."""

    column: str
    metrics: tuple[str, ...]
    words: str


THROUGHPUT = Quantity("throughput", ("speedup", "throughput"), "throughput")
ENERGY = Quantity("energy_j_per_token", ("energy",), "energy per token")


def draw(reproduction: Reproduction, loop: str, name: str, what: Quantity = THROUGHPUT) -> Drawn | None:
    """A panel a model; groups of bars by lengths and batch size. None where the loop has nothing to compare."""
    outcome = outcome_of(reproduction)
    form = compared(outcome).get(loop)
    found = ratios(outcome, loop, what.column, form.systems[0]) if form else {}
    if form is None or not found:
        return None
    baseline, known = form.systems[0], colours(reproduction)
    settings = list(next(iter(found.values())))
    rows = [
        row.published
        for row in reproduction.rows
        if row.published.metric in what.metrics
        and row.published.condition.get("over") == baseline
        and row.published.condition.get("system") in found
    ]
    whole = [row for row in rows if row.condition.get("of") == loop and row.condition.get("statistic") in bars.LINES]
    figures = {row.figure for row in whole}  # what is published of one setting names no loop
    single = [
        row
        for row in rows
        if "statistic" not in row.condition
        and bars.setting_of(row) in settings
        and row.condition.get("of", loop) == loop
        and (not figures or row.figure in figures)
    ]
    highest = max(value for of in found.values() for value in of.values() if value == value)
    models = list(form.lengths)
    figure = style.figure(style.PAGE, 0.65 + 1.4 * len(models))
    axes = figure.subplots(len(models), 1, squeeze=False, sharey=True)[:, 0]
    for letter, axis, each in zip("abcdefghijklmnop", axes, models, strict=False):
        here = [setting for setting in settings if setting[0] == each]
        axis.set_ylim(0, 1.08 * max([1.0, highest, *(row.published for row in (*whole, *single))]))
        bars.panel(axis, found, here, known)
        axis.set_title(f"({letter}) {model(each)}", loc="left")
        lines = [row for row in whole if row.condition.get("model", each) == each]
        bars.statistics(axis, lines, known, [r for r in lines if "model" in r.condition or each == models[0]])
        bars.singles(axis, [row for row in single if row.condition["model"] == each], found, here, known)
    figure.supylabel(f"{what.words} over {called(baseline)}", fontsize=9)
    keys = [style.key(called(system), color=known[system], marker="s", linestyle="", markersize=5) for system in found]
    looks = {bars.LINES[row.condition["statistic"]]: row.condition["statistic"] for row in whole}
    extreme = {":": "published mean", "--": "published extreme"}
    keys += [style.key(extreme[line], linestyle=line) for line in (":", "--") if line in looks]
    keys += [style.key("published", **style.OPEN | {"markersize": 4})] if single else []
    style.legend(figure, keys)
    return Drawn(name, _caption(loop, what, baseline, whole, single), figure)


def _caption(loop: str, what: Quantity, baseline: str, whole: list[Published], single: list[Published]) -> str:
    text = (
        f"{what.words.capitalize()} of each system over that of {called(baseline)} (loop `{loop}`): bars simulated; "
        "below them the batch size, and the tokens of prompt and answer."
    )
    figures = names.figures(row.figure for row in (*whole, *single))
    if whole:
        shared = " for all models together" if any("model" not in row.condition for row in whole) else ""
        own = " for the model of the panel" if any("model" in row.condition for row in whole) else ""
        both = " or" if shared and own else ""
        text += f" Lines: what is published ({figures}) of the system of that colour{shared}{both}{own}"
        text += "; the heights of the bars are not published."
    if single:
        text += f" Open markers: published ({figures}) of that bar alone."
    return text
