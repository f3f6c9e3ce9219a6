"""Every prediction of an experiment, simulated over published, in one plot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from simulator.report import names, style
from simulator.report.figures import Drawn
from simulator.validation.published import CLOSE
from simulator.validation.reproduction import Compared, Reproduction


def draw(
    reproduction: Reproduction,
    colours: Mapping[str, str],
    by: str = "system",
    called: Callable[[str], str] = names.machine,
) -> Drawn | None:
    """A line for each metric of each published figure; a dot for predictions alike, its area by how many.

    `colours` are those of the systems, or of what else conditions have `by` name, `called` so in print. A prediction of
    nothing (published 0, or refused) has no ratio.
    """
    predictions = [row for row in reproduction.predictions() if row.ratio is not None]
    lines: dict[tuple[str, str], list[Compared]] = {}
    for row in sorted(predictions, key=lambda row: names.order(row.published.figure)):
        lines.setdefault((row.published.figure, row.published.metric), []).append(row)
    if not lines:
        return None
    figure = style.figure(style.PAGE, 0.9 + 0.17 * len(lines))
    axis = figure.subplots()
    axis.axvspan(1 - CLOSE, 1 + CLOSE, color="#EFEFEF", linewidth=0)
    axis.axvline(1, color="black", linewidth=0.6)
    systems = list(colours)
    furthest = CLOSE
    for place, rows in enumerate(lines.values()):
        for (system, ratio, error), count in Counter(_dot(row, by) for row in rows).items():
            shift = 0.22 * (systems.index(system) - (len(systems) - 1) / 2) if system in systems else 0
            area, colour = 9 + 1.5 * count, colours.get(system, style.GREY)
            axis.scatter([ratio], [place + shift], s=area, color=colour, linewidth=0, zorder=3)
            axis.errorbar([ratio], [place + shift], xerr=error, color=colour, elinewidth=0.6, linestyle="")
            furthest = max(furthest, abs(ratio - 1))
        style.say(axis, str(len(rows)), (1, place), (6, 0), xycoords=axis.get_yaxis_transform(), va="center")
    axis.set_yticks(range(len(lines)), [f"{names.figure(name)}, {metric.replace('_', ' ')}" for name, metric in lines])
    axis.tick_params(axis="y", length=0)
    axis.set(xlim=(1 - 1.25 * furthest, 1 + 1.25 * furthest), ylim=(len(lines) - 0.4, -0.6))
    axis.set_xlabel("simulated / published")
    axis.grid(axis="y")
    dot = {"marker": "o", "linestyle": ""}
    style.legend(figure, [style.key(called(name), color=colour, **dot) for name, colour in colours.items()])
    caption = (
        f"All {len(predictions)} predictions that have a ratio: simulated over published, and the band of "
        f"{100 * CLOSE:g} %. The number at the right counts the predictions of a line; those with the same ratio share "
        "a dot. A bar shows how exactly the value could be read"
        + ("; a speed-up has the colour of the machine it is over." if by == "system" else ".")
    )
    return Drawn("ratios", caption, figure)


def _dot(row: Compared, by: str) -> tuple[str, float, float]:
    """Machine (of a speed-up: the baseline), ratio and reading error: alike in predictions that share a dot."""
    value = row.published
    machine = value.condition.get("baseline", value.condition.get(by, ""))
    return machine, round(row.ratio or 0.0, 4), round(value.tolerance / abs(value.published), 4)
