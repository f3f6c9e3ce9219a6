"""What the stages of the first system spend their time on."""

from __future__ import annotations

from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style
from simulator.report.figures import Drawn
from simulator.report.serving.systems import called, outcome_of

PARTS = {"experts": style.BLUE, "attention": style.ORANGE, "other": "#D0D0D0"}


def draw(reproduction: Reproduction) -> Drawn | None:
    """Stacked bars, decoding-only stages beside mixed ones, for each model of the largest loop of the system."""
    outcome = outcome_of(reproduction)
    loops = {n: f for n, f in outcome.experiment.loops.items() if outcome.experiment.runs(n)}
    alone = next((n for n, f in loops.items() if len(f.systems) == 1), next(iter(loops), None))
    if alone is None:
        return None
    form = loops[alone]
    system = form.systems[0]
    figure = style.figure(style.PAGE, 0.8 + 1.5 * len(form.lengths))
    axes = figure.subplots(len(form.lengths), 1, squeeze=False)[:, 0]
    for letter, axis, (model, lengths) in zip("abcdefgh", axes, form.lengths.items(), strict=False):
        labels = []
        asked = [(n, m, b) for n, m in lengths for b in form.batches]
        rows = {tuple(r[key] for key in ("system", "model", "input", "output", "batch")): r for r in outcome.points}
        for x, (input, output, batch) in enumerate(asked):
            row = rows[system, model, input, output, batch]
            for shift, stage in ((-0.2, "decoding"), (0.2, "mixed")):
                bottom = 0.0
                shares = [row.get(f"{stage}_share_{part}", float("nan")) for part in ("experts", "attention")]
                for part, share in zip(PARTS, [*shares, 1 - sum(shares)], strict=True):
                    hatch = "////" if stage == "mixed" else None
                    axis.bar(
                        x + shift, 100 * share, 0.36, bottom=bottom, color=PARTS[part], hatch=hatch, edgecolor="white",
                        linewidth=0.3,
                    )  # fmt: skip
                    bottom += 100 * share
            middle = batch == form.batches[len(form.batches) // 2]
            labels.append(f"{batch}\n" + (f"{input:,} + {output:,}" if middle else " "))
        axis.set_xticks(range(len(asked)), labels)
        axis.tick_params(axis="x", length=0)
        axis.set(ylim=(0, 100), ylabel="% of time")
        axis.margins(x=0.01)
        axis.set_title(f"({letter}) {names.model(model)}", loc="left")
    keys = [style.key(part, color=colour, marker="s", linestyle="", markersize=5) for part, colour in PARTS.items()]
    style.legend(figure, keys)
    caption = (
        f"What the stages of {called(system)} spend their time on: left bars of decoding-only stages, hatched ones of "
        "mixed stages; below, the batch size and the tokens of prompt and answer."
    )
    return Drawn("shares", caption, figure)
