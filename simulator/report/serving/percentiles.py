"""When tokens come, each system over the first: medians and tails, at the settings of a loop."""

from __future__ import annotations

from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style
from simulator.report.figures import Drawn
from simulator.report.serving.systems import called, colours, outcome_of

SHOWN = {
    "TBT p50": "tbt_p50_s", "TBT p90": "tbt_p90_s", "TBT p99": "tbt_p99_s", "TTFT p50": "ttft_p50_s",
    "TTFT p99": "ttft_p99_s", "E2E p50": "e2e_p50_s",
}  # fmt: skip
MOST = 3  # models, one panel each


def draw(reproduction: Reproduction, loop: str) -> Drawn | None:
    """A panel a model, a column a quantity, a dot a setting: latencies over those of the loop's first system."""
    outcome = outcome_of(reproduction)
    form = outcome.experiment.loops[loop]
    baseline, *others = form.systems
    if not others or not outcome.experiment.runs(loop):
        return None
    known = colours(reproduction)
    models = list(form.lengths)[:MOST]
    figure = style.figure(style.PAGE, 2.6)
    axes = figure.subplots(1, len(models), squeeze=False, sharey=True)[0]
    for letter, axis, model in zip("abc", axes, models, strict=False):
        for place, (label, column) in enumerate(SHOWN.items()):
            for turn, system in enumerate(others):
                found = [r for p, r in outcome.ratios(column, loop, system, baseline).items() if p[0] == model]
                x = place + 0.7 * (turn - (len(others) - 1) / 2) / max(len(others), 2)
                axis.scatter([x] * len(found), found, s=7, color=known[system], linewidth=0, alpha=0.75, zorder=3)
            axis.axvline(place + 0.5, color="#E4E4E4", linewidth=0.5) if label != list(SHOWN)[-1] else None
        axis.axhline(1, color="black", linewidth=0.6)
        style.plain_log(axis, "y", (1, 2, 5))
        axis.set_xticks(range(len(SHOWN)), [label.replace(" ", "\n") for label in SHOWN])
        axis.tick_params(axis="x", length=0)
        axis.grid(axis="y")
        axis.set_title(f"({letter}) {names.model(model)}", loc="left")
    axes[0].set_ylabel(f"over {called(baseline)}")
    style.legend(
        figure, [style.key(called(s), color=known[s], marker="o", linestyle="", markersize=3.6) for s in others]
    )
    caption = (
        f"Time between tokens, to the first and of whole requests, over that of {called(baseline)}: a dot for each "
        f"setting of the loop `{loop}`."
    )
    return Drawn(f"{loop}_latency", caption, figure)
