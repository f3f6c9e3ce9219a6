"""What requests see when so many arrive a second, and the rates that systems follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.baselines.reproduction import Compared, Reproduction
from simulator.report import names, style
from simulator.report.figures import Drawn
from simulator.report.serving.systems import called, colours, model, outcome_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {"TBT p50": "tbt_p50_s", "TBT p90": "tbt_p90_s", "TTFT p50": "ttft_p50_s"}
LOOKS: dict[str, dict[str, Any]] = {
    "poisson": {"linestyle": "-", "linewidth": 1.3, "label": "Poisson arrivals"},
    "even": {"linestyle": "--", "linewidth": 0.8, "label": "even arrivals"},
}


def draw(reproduction: Reproduction, loop: str, name: str = "arrivals") -> Drawn | None:
    """A panel a quantity, a line a system and process, and above them the rates that a system follows."""
    outcome = outcome_of(reproduction)
    form = outcome.experiment.arrivals[loop]
    lines = {
        (system, process): [
            row
            for row in outcome.arrivals
            if (row["system"], row["model"], row["process"]) == (system, form.model, process)
            and row["rate"] in form.rates
        ]
        for system in form.systems
        for process in form.processes
    }
    lines = {line: rows for line, rows in lines.items() if rows}
    if not lines or not outcome.experiment.runs(loop):
        return None
    known = colours(reproduction)
    followed = [
        row
        for row in reproduction.rows
        if row.published.metric == "saturation"
        and row.published.condition.get("of") == loop
        and row.published.condition.get("process") == form.processes[0]
    ]
    figure = style.figure(style.PAGE, 2.9)
    for letter, axis, (title, column) in zip("abc", figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        for (system, process), rows in lines.items():
            values = [1e3 * row[column] for row in rows]
            look = {key: value for key, value in LOOKS[process].items() if key != "label"}
            axis.plot([row["rate"] for row in rows], values, color=known[system], **look)
        _axes(axis, [1e3 * row[column] for rows in lines.values() for row in rows], form.rates)
        axis.set_title(f"({letter}) {title}", loc="left", pad=9)
        for row in followed:
            _followed(axis, row, known)
    figure.axes[0].set_ylabel("ms")
    keys = [style.key(called(system), color=known[system]) for system in form.systems]
    keys += [style.key(**LOOKS[process]) for process in form.processes]
    if followed:
        keys += [style.key("followed up to, published", linestyle=":", linewidth=0.9)]
        keys += [style.key("followed up to, simulated", linestyle="", marker="v", markersize=4.5)]
    figure.legend(handles=keys, loc="outside lower center", ncols=-(-len(keys) // 2))
    caption = (
        f"{model(form.model)}, {form.length[0]:,} tokens in and {form.length[1]:,} out, at most {form.batch} requests "
        "in a stage, against the rate at which they arrive: solid and dashed lines simulated. A system follows a rate "
        "where its queue has no trend upwards (at a level of 1 %) and less comes than it sustains with requests always "
        "waiting."
    )
    if followed:
        where = names.figures(row.published.figure for row in followed)
        caption += (
            f" Dotted: the highest rates that systems follow as published ({where}); above the plot, as simulated"
            f" ({form.processes[0].capitalize()} arrivals)."
        )
    return Drawn(name, caption, figure)


def _axes(axis: Axes, values: list[float], rates: list[float]) -> None:
    from matplotlib.ticker import MaxNLocator

    style.plain_log(axis, "y", (1,) if max(values) > 100 * min(values) else (1, 2, 5))
    axis.set_ylim(0.85 * min(values), 1.18 * max(values))
    axis.set_xlim(min(rates), max(rates))
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_xlabel("requests/s")
    axis.grid(which="major")


def _followed(axis: Axes, row: Compared, known: dict[str, str]) -> None:
    colour = known[row.published.condition["system"]]
    axis.axvline(row.published.published, color=colour, linestyle=":", linewidth=0.9, zorder=1)
    if row.simulated is not None:
        above: dict[str, Any] = {"clip_on": False, "transform": axis.get_xaxis_transform(), "markeredgewidth": 0}
        axis.plot([row.simulated], [1.03], marker="v", markersize=4.5, color=colour, **above)
