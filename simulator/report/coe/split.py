"""What the latency of a batch is made of: switching experts, the router, the experts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style
from simulator.report.coe.systems import Look, looks, milliseconds, published, where
from simulator.report.figures import Drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 0.36
HATCH = "/////"
STRENGTH = {"switching": 1.0, "router": 0.62, "expert": 0.3, "execution": 0.3}  # of the machine's colour


def draw(reproduction: Reproduction) -> Drawn | None:
    """A panel for each published figure that splits latency: simulated bars beside published ones (hatched)."""
    rows = published(reproduction, ["switching", "execution"])
    panels = list(dict.fromkeys(row.figure for row in rows))
    if not panels:
        return None
    figure = style.figure(style.PAGE, 2.9)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    points = reproduction.base.frames()["points"]
    for letter, axis, panel in zip("abcdefgh", axes, panels, strict=False):
        shown = [row for row in rows if row.figure == panel]
        setting = {key: shown[0].condition[key] for key in ("batch", "tokens", "experts")}
        systems = list(dict.fromkeys(row.condition["system"] for row in shown))
        for place, system in enumerate(systems):
            look = looks(reproduction)[system]
            point = where(points, system=system, **setting).iloc[0]
            simulated = {part: point[column] * 1e3 for part, column in _SIMULATED.items()}
            given = {row.metric: milliseconds(row) for row in shown if row.condition["system"] == system}
            _bar(axis, place - WIDTH / 2 - 0.02, simulated, look)
            _bar(axis, place + WIDTH / 2 + 0.02, given, look, HATCH)
        axis.set_xticks(range(len(systems)), [looks(reproduction)[system].label for system in systems])
        axis.tick_params(axis="x", length=0)
        axis.yaxis.set_major_formatter("{x:,.0f}")
        axis.margins(y=0.1)
        axis.set_ylabel("latency of a batch (ms)")
        title = "({}) batch {batch}, {tokens} output tokens, {experts} experts"
        axis.set_title(title.format(letter, **setting), loc="left")
    _legend(figure)
    caption = (
        "Latency of a batch split into switching experts, the router and the experts: simulated (left of each pair) "
        f"and published (hatched, {names.figures(panels)}, router and experts as one). Above the bars: totals, ms."
    )
    return Drawn("split", caption, figure)


_SIMULATED = {"switching": "switch_s", "router": "router_s", "expert": "expert_s"}


def _bar(axis: Axes, x: float, parts: dict[str, float], look: Look, hatch: str = "") -> None:
    """One bar, its parts from the bottom up, their sum above it; none where the simulation refused."""
    bottom = 0.0
    for part in parts:
        face = style.tint(look.colour, STRENGTH[part])
        axis.bar(x, parts[part], WIDTH, bottom, color=face, edgecolor="white", linewidth=0.5, hatch=hatch)
        bottom += parts[part]
    refused = bottom != bottom
    style.say(axis, "refused" if refused else f"{bottom:,.0f}", (x, 0 if refused else bottom), (0, 2), ha="center")


def _legend(figure: Figure) -> None:
    from matplotlib.patches import Patch

    parts = {"switching": "switching", "router": "router", "expert": "expert (published: router and expert)"}
    keys = [Patch(facecolor=style.tint("#333333", STRENGTH[part]), label=text) for part, text in parts.items()]
    hatched: dict[str, Any] = {
        "facecolor": style.tint("#333333", 0.45),
        "edgecolor": "white",
        "hatch": HATCH,
        "linewidth": 0,
    }
    style.legend(figure, [*keys, Patch(label="published", **hatched)])
