"""Loops of one model, in which the last system keeps apart what the one before it does in one place."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from simulator.baselines.reproduction import Reproduction
from simulator.baselines.serving import ServingOutcome
from simulator.baselines.serving.form import Loops
from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.serving import bars
from simulator.report.serving.latency import QUANTITIES
from simulator.report.serving.systems import Setting, called, colours, compared, model, outcome_of, ratios

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHADES = {"tbt_p50": 0.35, "tbt_p90": 0.65, "tbt_p99": 1.0}
_LOOKS = {metric: style.tint(style.GREEN, shade) for metric, shade in _SHADES.items()}
_LOOKS |= {"ttft_p50": style.tint(style.ORANGE, 1.0), "e2e_p50": style.tint(style.VERMILION, 1.0)}


def draw(reproduction: Reproduction, loops: list[str]) -> Drawn | None:
    """A line of two panels a loop: throughput with the sequences that had room, and latencies of the last system."""
    outcome = outcome_of(reproduction)
    forms = {name: form for name, form in compared(outcome).items() if name in loops}
    forms = {n: form for n, form in forms.items() if ratios(outcome, n, "throughput", form.systems[0])}
    if not forms:
        return None
    known = colours(reproduction)
    figure = style.figure(style.PAGE, 0.75 + 1.75 * len(forms))
    axes = figure.subplots(len(forms), 2, squeeze=False, width_ratios=(1, 1))
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    for (left, right), (name, form) in zip(axes, forms.items(), strict=True):
        _throughput(left, reproduction, name, form, known)
        left.set_title(f"({next(letters, '')}) throughput over {called(form.systems[0])}", loc="left")
        last, before = form.systems[-1], form.systems[-2]
        batch = _latency(right, outcome, name, form)
        right.set_title(f"({next(letters, '')}) {called(last)} over {called(before)}, batch {batch}", loc="left")
    systems = dict.fromkeys(system for form in forms.values() for system in form.systems[1:])
    keys = [
        style.key(called(system), color=known[system], marker="s", linestyle="", markersize=5) for system in systems
    ]
    keys += [
        style.key(title, color=_LOOKS[metric], marker="s", linestyle="", markersize=5)
        for title, metric in QUANTITIES.items()
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=-(-len(keys) // 2))
    which = ", ".join(f"`{name}`" for name in forms)
    shown = ", ".join(dict.fromkeys(model(each) for form in forms.values() for each in form.lengths))
    caption = (
        f"{shown} (loops {which}). Left: throughput, and above a bar how many sequences had room where not all of the "
        "batch had, published in brackets. Right: latencies of the last system over those of the one before it. All "
        "bars simulated; below them the batch size, and the tokens of prompt and answer."
    )
    return Drawn("apart", caption, figure)


def _throughput(axis: Axes, reproduction: Reproduction, loop: str, form: Loops, known: dict[str, str]) -> None:
    outcome = outcome_of(reproduction)
    found = ratios(outcome, loop, "throughput", form.systems[0])
    settings = list(next(iter(found.values())))
    bars.panel(axis, found, settings, known)
    published = {
        (row.published.condition["system"], bars.setting_of(row.published)): row.published.published
        for row in reproduction.rows
        if row.published.metric == "admitted"
    }
    admitted = {
        (row["system"], (row["model"], row["input"], row["output"], row["batch"])): row["admitted"]
        for row in outcome.points
    }
    for system, values in found.items():
        for x, setting in enumerate(settings):
            room = admitted[system, setting]
            if 0 < room < setting[-1]:
                text = f"{room}"
                if (system, setting) in published:
                    text += f"\n({published[system, setting]:g})"
                at = (x + bars.offset(system, found), values[setting])
                style.say(axis, text, at, (0, 1.5), ha="center", va="bottom", fontsize=7, linespacing=0.95)
    highest = max(value for of in found.values() for value in of.values() if not isnan(value))
    axis.set_ylim(0, 1.3 * max(1.0, highest))


def _latency(axis: Axes, outcome: ServingOutcome, loop: str, form: Loops) -> int:
    """Groups of bars a length, a bar a quantity, at the smallest batch size; gives that."""
    last, before, batch = form.systems[-1], form.systems[-2], min(form.batches)
    found = {metric: outcome.ratios(f"{metric}_s", loop, last, before) for metric in QUANTITIES.values()}
    settings: list[Setting] = [setting for setting in next(iter(found.values())) if setting[-1] == batch]
    width = 0.8 / len(found)
    for place, (metric, values) in enumerate(found.items()):
        at = [x + (place - (len(found) - 1) / 2) * width for x in range(len(settings))]
        heights = [values[setting] - 1 for setting in settings]
        axis.bar(at, heights, 0.92 * width, bottom=1, color=_LOOKS[metric], zorder=2)
    axis.axhline(1, color="black", linewidth=0.6, zorder=3)
    style.plain_log(axis, "y", (1, 2, 5))
    finite = [value for values in found.values() for value in values.values() if not isnan(value)] or [1.0]
    axis.set_ylim(min(0.45, 0.85 * min(finite)), max(2.2, 1.2 * max(finite)))
    axis.set_xlim(-0.55, len(settings) - 0.45)
    axis.tick_params(axis="x", length=0)
    axis.grid(axis="y")
    bars.label(axis, settings)
    return batch
