"""What the stages of the first system spend their time on."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

from simulator.baselines.reproduction import Reproduction
from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.serving import bars
from simulator.report.serving.systems import called, model, outcome_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from simulator.baselines.serving.outcome import Row

PARTS = {"experts": style.BLUE, "attention": style.ORANGE, "other": "#D0D0D0"}
STAGES = {"decoding": -0.2, "mixed": 0.2}
HATCH = "/////"


def draw(reproduction: Reproduction) -> Drawn | None:
    """Stacked bars, decoding-only stages beside mixed ones: of a loop of one system, or else of the first loop."""
    outcome = outcome_of(reproduction)
    loops = [form for name, form in outcome.experiment.loops.items() if outcome.experiment.runs(name)]
    form = next((form for form in loops if len(form.systems) == 1), next(iter(loops), None))
    if form is None:
        return None
    system = form.systems[0]
    points = {(r["model"], r["input"], r["output"], r["batch"]): r for r in outcome.points if r["system"] == system}
    known = {
        setting: row for setting, row in points.items() if not isnan(row.get("decoding_share_experts", float("nan")))
    }
    if not known:
        return None
    figure = style.figure(style.PAGE, 0.65 + 1.45 * len(form.lengths))
    axes = figure.subplots(len(form.lengths), 1, squeeze=False)[:, 0]
    for letter, axis, (each, lengths) in zip("abcdefghijklmnop", axes, form.lengths.items(), strict=False):
        settings = [(each, input, output, batch) for input, output in lengths for batch in form.batches]
        for x, setting in enumerate(settings):
            if setting in known:
                _stack(axis, x, known[setting])
        bars.label(axis, settings)
        axis.tick_params(axis="x", length=0)
        axis.set(ylim=(0, 100), xlim=(-0.55, len(settings) - 0.45), yticks=(0, 25, 50, 75, 100))
        axis.set_title(f"({letter}) {model(each)}", loc="left")
    figure.supylabel("% of the time of stages", fontsize=9)
    style.legend(figure, _keys())
    caption = (
        f"What the stages of {called(system)} spend their time on: left bars, stages that only decode; right, hatched, "
        "mixed stages, which have prompts too. Below, the batch size and the tokens of prompt and answer. All "
        "simulated: nothing of it is published in numbers."
    )
    return Drawn("shares", caption, figure)


def _stack(axis: Axes, x: int, row: Row) -> None:
    for stage, shift in STAGES.items():
        parts = [100 * row[f"{stage}_share_{part}"] for part in ("experts", "attention")]
        if any(map(isnan, parts)):
            continue  # no such stage
        bottom = 0.0
        for part, share in zip(PARTS, [*parts, 100 - sum(parts)], strict=True):
            look: dict[str, Any] = {"color": PARTS[part], "edgecolor": "white", "linewidth": 0.3, "zorder": 2}
            axis.bar(x + shift, share, 0.36, bottom=bottom, hatch=HATCH if stage == "mixed" else None, **look)
            bottom += share


def _keys() -> list[Artist]:
    from matplotlib.patches import Patch

    keys: list[Artist] = [Patch(color=colour, label=part) for part, colour in PARTS.items()]
    keys.append(Patch(facecolor="#6A6A6A", label="decoding only"))
    keys.append(Patch(facecolor="#6A6A6A", edgecolor="white", hatch=HATCH, linewidth=0, label="mixed"))
    return keys
