"""Tokens a second, and the share of the time that is reads from flash: published, and simulated over some inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from simulator.baselines.reproduction import Compared, Reproduction
from simulator.report import names, style
from simulator.report.figures import Drawn
from simulator.report.flash import looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {"tokens_per_s": "tokens/s", "io_share": "reads from flash, % of the time"}


def draw(reproduction: Reproduction) -> Drawn | None:
    """A line for each model and method: a dot for each setting of the model, a bar between them, what is published."""
    rows = [
        row
        for row in reproduction.rows
        if row.published.metric in PANELS and row.published.condition.keys() >= {"model", "system", "method"}
    ]
    panels = [metric for metric in PANELS if any(row.published.metric == metric for row in rows)]
    if "tokens_per_s" not in panels:
        return None
    models = looks.form(reproduction).models
    lines: dict[tuple[str, str, str], list[Compared]] = {}
    for row in rows:
        condition = row.published.condition
        key = models[condition["model"]].model, condition["system"], condition["method"]
        lines.setdefault(key, []).append(row)
    settings = dict.fromkeys(row.published.condition["model"] for row in rows)
    colours = dict(zip(settings, style.CYCLE * len(settings), strict=False))
    figure = style.figure(style.PAGE, 1.1 + 0.22 * len(lines))
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for letter, axis, metric in zip("ab", axes, panels, strict=False):
        for place, line in enumerate(lines.values()):
            _line(axis, place, [row for row in line if row.published.metric == metric], colours)
        axis.set_title(f"({letter}) {PANELS[metric]}", loc="left")
        axis.grid(which="major")
    style.plain_log(axes[0], "x", (1, 2, 5))
    labels = [
        f"{names.model(model)}, {looks.machine(system)}: {looks.method(method)}" for model, system, method in lines
    ]
    axes[0].set_yticks(range(len(lines)), labels)
    axes[0].tick_params(axis="y", length=0)
    axes[0].set_ylim(len(lines) - 0.5, -0.5)
    axes[0].margins(x=0.08)
    for axis in axes[1:]:
        axis.set_xlim(0, 100)
        axis.tick_params(axis="y", length=0)
    dot = {"marker": "o", "linestyle": "", "markersize": 3.4, "markeredgewidth": 0}
    keys = [style.key(looks.model(reproduction, name), color=colour, **dot) for name, colour in colours.items()]
    figure.legend(handles=[*keys, *looks.marks(r.published for r in rows)], loc="outside lower center", ncols=3)
    caption = (
        f"Rates of one user{looks.sources((row.published for row in rows), ': published ({}, open)')}, and simulated: "
        "where the paper does not say what its value was measured under, a dot for each setting that was tried, and a "
        "bar between them. Lines that are settings of one measurement have the same published value."
    )
    return Drawn("rates", caption, figure)


def _line(axis: Axes, place: int, rows: Sequence[Compared], colours: Mapping[str, str]) -> None:
    """All in the published unit: %, or tokens/s."""
    simulated = [(row, row.simulated) for row in rows if row.simulated is not None]
    values = [value for _, value in simulated]
    axis.plot(values, [place] * len(values), color=style.tint(style.GREY, 0.5), linewidth=2.4, zorder=2)
    for row, value in simulated:
        colour = colours[row.published.condition["model"]]
        axis.plot([value], [place], color=colour, marker="o", markersize=4, markeredgewidth=0, zorder=4)
    for row in rows:
        look = looks.mark(row.published, style.BLACK) | {"markersize": 6, "zorder": 3}
        axis.plot([row.published.published], [place], **look)
