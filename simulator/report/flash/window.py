"""How many tokens' neurons to keep: what a token takes, and the DRAM that it costs."""

from __future__ import annotations

from simulator.baselines.reproduction import Reproduction
from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.flash import looks


def draw(reproduction: Reproduction) -> Drawn | None:
    """Two panels a sweep over windows and method: parts of the time stacked, the least total marked; and DRAM."""
    points = looks.table(reproduction, "sweeps")
    points = None if points is None else points[points["window"].notna() & (points["refused"] == "")]
    if points is None or points.empty:
        return None
    lines = [line for _, line in points.groupby(["sweep", "method"], sort=False)]
    figure = style.figure(style.PAGE, 0.5 + 2.3 * len(lines))
    axes = figure.subplots(len(lines), 2, squeeze=False, width_ratios=(3, 2))
    letters = iter("abcdefghijklmnop")
    for (left, right), line in zip(axes, lines, strict=True):
        model, at = line["model"].iloc[0], line["window"]
        parts = dict(reversed(looks.PARTS.items()))
        left.stackplot(
            at,
            [1e3 * line[f"{part}_s"] for part in parts],
            colors=[style.tint(colour, 0.6) for colour in parts.values()],
            linewidth=0,
        )
        left.plot(at, 1e3 * line["total_s"], color="black")
        best = line.sort_values("total_s").iloc[0]
        least = (best["window"], 1e3 * best["total_s"])
        left.plot(*least, color="black", marker="*", markersize=8, clip_on=False)
        style.say(left, f"{least[1]:,.0f} ms at {least[0]:.0f}", least, (0, 7), ha="center")
        left.set(ylabel="ms a token", ylim=(0, 1.15e3 * line["total_s"].max()))
        where = f"{looks.model(reproduction, model)}, {looks.machine(line['system'].iloc[0])}"
        left.set_title(f"({next(letters)}) time: {where}", loc="left")
        right.plot(at, 100 * line["dram_share"], color=style.PURPLE, marker="o", markersize=2.4, clip_on=False)
        right.set(ylabel="% of the model", ylim=(0, 100))
        right.set_title(f"({next(letters)}) held in DRAM", loc="left")
        used = looks.form(reproduction).models[model].window
        for axis in (left, right):
            axis.set(xlabel="window (tokens)", xlim=(at.min(), at.max()))
            axis.axvline(used, color="black", linewidth=0.8, linestyle=":")
            axis.grid(which="major")
    from matplotlib.patches import Patch

    style.legend(
        figure,
        [
            *(Patch(color=style.tint(colour, 0.6), label=looks.WORDS[part]) for part, colour in looks.PARTS.items()),
            style.key("total", color="black"),
            style.key("least", linestyle="", marker="*", markersize=7, color="black"),
            style.key("window of the model elsewhere", linestyle=":", linewidth=0.8, color="black"),
        ],
    )
    caption = (
        "What a longer window gives and takes: fewer neurons are read, more are held in DRAM and computed with. "
        "Star: the least time of a token. All simulated."
    )
    return Drawn("window", caption, figure)
