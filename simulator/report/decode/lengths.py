"""Tokens a second over the length of prompt and output, a panel for each model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.baselines.reproduction import Reproduction
from simulator.report import names, style
from simulator.report.decode.models import colours, placed, rate
from simulator.report.figures import Drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROLES: dict[str, dict[str, Any]] = {"prediction": {}, "calibration": {"marker": "s"}, "context": {"color": style.FAINT}}
"""How a published value looks by its role."""


def draw(reproduction: Reproduction) -> Drawn | None:
    """A panel for each run of several lengths: a simulated line, and the published latencies of whole requests."""
    rows = [(row.published, point) for row, point in placed(reproduction) if row.published.metric == "latency"]
    points = reproduction.base.frames()["points"]
    runs = [run for run in dict.fromkeys(point["run"] for _, point in rows) if (points["run"] == run).sum() > 1]
    if not runs:
        return None
    figure = style.figure(style.PAGE, 2.5)
    known = colours(reproduction)
    for letter, axis, run in zip("abcdefgh", figure.subplots(1, len(runs), squeeze=False)[0], runs, strict=False):
        shown = [(published, point) for published, point in rows if point["run"] == run]
        first = shown[0][1]
        colour = known.get(first["model"], style.FAINT)
        line = points[points["run"] == run]
        axis.plot(line["output"], line["tokens_per_s"], color=colour, zorder=2)
        for role, look in ROLES.items():
            of_role = [(point["output"], rate(row, point)) for row, point in shown if row.role == role]
            axis.plot(*_columns(of_role), **style.OPEN | {"color": colour, "markersize": 4.5, "zorder": 3} | look)
        _label(axis, list(line["output"]))
        axis.set_title(f"({letter}) {names.model(first['model'])}, {first['devices']} devices", loc="left")
    figure.axes[0].set_ylabel("tokens/s of one user")
    keys = [
        style.key("simulated"),
        style.key("published", **style.OPEN | {"markersize": 4.5}),
        style.key("published, fitted to", **style.OPEN | ROLES["calibration"] | {"markersize": 4.5}),
        style.key("published, context", **style.OPEN | ROLES["context"] | {"markersize": 4.5}),
    ]
    style.legend(figure, keys)
    figures = names.figures(published.figure for published, _ in rows)
    caption = (
        f"Output tokens over the whole latency of a request, against its length: simulated and published ({figures}). "
        "Squares: the values that the machine was fitted to. Grey: shown for context, not counted."
    )
    return Drawn("lengths", caption, figure)


def _columns(pairs: Sequence[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    return [x for x, _ in pairs], [y for _, y in pairs]


def _label(axis: Axes, lengths: Sequence[int]) -> None:
    """Rates from 0 on; the lengths themselves as ticks."""
    from matplotlib.ticker import NullLocator

    axis.set_xscale("log", base=2)
    axis.set_xticks(lengths, [f"{length:,}" for length in lengths])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_ylim(0, 1.12 * axis.dataLim.y1)
    axis.margins(x=0.08)
    axis.grid(which="major")
    axis.set_xlabel("tokens in, and as many out")
