"""How many nodes hold all experts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style
from simulator.report.coe.systems import Look, looks, published, where
from simulator.report.figures import Drawn

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def draw(reproduction: Reproduction) -> Drawn | None:
    """Simulated steps, an open marker where a published one begins, a star where the text gives a count."""
    from matplotlib.ticker import MaxNLocator

    rows = published(reproduction, ["nodes_from", "nodes"])
    if not rows:
        return None
    figure = style.figure(style.COLUMN, 2.8)
    axis = figure.subplots()
    systems = looks(reproduction)
    nodes = reproduction.base.frames()["nodes"]
    alike: dict[tuple[int, ...], list[str]] = {}  # machines whose steps lie on each other share a name
    for system in systems:
        alike.setdefault(tuple(where(nodes, system=system)["nodes"]), []).append(system)
    for same in alike.values():
        for place, system in enumerate(same):
            steps, dashes = where(nodes, system=system), (place * 3, (3, 3 * (len(same) - 1)))
            line = dashes if len(same) > 1 else "-"
            axis.step(steps["experts"], steps["nodes"], where="post", color=systems[system].colour, linestyle=line)
        _name(axis, where(nodes, system=same[0]), [systems[system] for system in same])
    for system, look in systems.items():
        own = [row for row in rows if row.condition["system"] == system]
        begins = [(row.published, row.condition["nodes"]) for row in own if row.metric == "nodes_from"]
        counts = [(row.condition["experts"], row.published) for row in own if row.metric == "nodes"]
        for points, marker, size in ((begins, look.marker, 3.6), (counts, "*", 7.0)):
            marked = {"color": look.colour, "marker": marker, "markersize": size, "markeredgewidth": 0.7}
            axis.plot([x for x, _ in points], [y for _, y in points], **style.OPEN | marked)
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel="number of experts", ylabel="nodes", ylim=(0, None))
    axis.grid(which="major")
    keys = [style.key("simulated"), style.key("published step", **style.OPEN)]
    keys += [style.key("published count", **style.OPEN | {"marker": "*", "markersize": 7})]
    style.legend(figure, keys)
    sources = names.figures(row.figure for row in rows)
    caption = f"Nodes that hold all experts: simulated (lines) and published (open markers; {sources})."
    return Drawn("footprint", caption, figure)


def _name(axis: Axes, steps: pd.DataFrame, looks: list[Look]) -> None:
    """The names of the machines of a line, above its middle."""
    middle = steps.iloc[len(steps) // 2]
    side = "right" if middle["nodes"] > 1 else "center"
    for place, look in enumerate(reversed(looks)):
        at, offset = (middle["experts"], middle["nodes"]), (-6, 7 + 9 * place)
        style.say(axis, look.label, at, offset, ha=side, color=look.colour)
