"""The busiest expert, the idle ones, and the speed-up of two engines that share them, over the tokens of a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style
from simulator.report.figures import Drawn

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

PANELS = {
    "busiest_over_mean": "busiest expert / mean",
    "idle": "idle experts, %",
    "sharing_speedup": "speed-up by a second engine",
}
LOOKS = ("-", "--", ":", "-.")


def draw(reproduction: Reproduction) -> Drawn:
    """A panel for each of `PANELS` that there is: a line a router, and the published values of its points."""
    points = reproduction.base.frames()["points"]
    points = points[points["devices"] == 1] if (points["devices"] == 1).any() else points
    routers = list(dict.fromkeys(points["router"]))
    colours = {router: style.CYCLE[place % len(style.CYCLE)] for place, router in enumerate(routers)}
    looks = {router: LOOKS[place // len(style.CYCLE) % len(LOOKS)] for place, router in enumerate(routers)}
    panels = [metric for metric in PANELS if points[metric].notna().any()]
    figure = style.figure(style.PAGE, 2.9)
    for letter, axis, metric in zip("abc", figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=False):
        scale = 100 if metric == "idle" else 1
        for router in routers:
            line = points[points["router"] == router]
            axis.plot(line["tokens"], scale * line[metric], color=colours[router], linestyle=looks[router], zorder=2)
        for tokens, value, router in _published(reproduction, metric, points):
            axis.plot([tokens], [scale * value], **style.OPEN | {"color": colours[router], "markersize": 4.5})
        _label(axis, metric)
        axis.set_title(f"({letter}) {PANELS[metric]}", loc="left")
    keys = [style.key(router, color=colours[router], linestyle=looks[router]) for router in routers]
    figure.legend(handles=[*keys, style.key("recorded", **style.OPEN)], loc="outside lower center", ncols=4)
    shown = names.figures(row.published.figure for row in reproduction.rows if row.published.metric in panels)
    sharing = (
        " (c): mean time of all experts on the faster of two engines, over that of both at once."
        if "sharing_speedup" in panels
        else ""
    )
    caption = f"How unevenly tokens fall on experts: means over draws, and what was recorded ({shown}).{sharing}"
    return Drawn("unevenness", caption, figure)


def _published(reproduction: Reproduction, metric: str, points: pd.DataFrame) -> list[tuple[int, float, str]]:
    """Tokens, value in SI units and router of what is published of a metric, where it is drawn."""
    drawn = set(points["router"])
    return [
        (row.condition["tokens"], row.published / row.from_si(1.0), row.condition["router"])
        for row in (compared.published for compared in reproduction.rows)
        if row.metric == metric and "tokens" in row.condition and row.condition.get("router") in drawn
    ]


def _label(axis: Axes, metric: str) -> None:
    style.plain_log(axis, "x", (1,))
    if metric == "busiest_over_mean":
        style.plain_log(axis, "y", (1, 2, 5))
    axis.set_xlabel("tokens of a step")
    axis.grid(which="major")
