"""Rates once the first token is there: published beside simulated, and what a draft model must have given."""

from __future__ import annotations

from simulator.baselines.reproduction import Compared, Reproduction
from simulator.report import names, style
from simulator.report.decode.models import Point, colours, placed
from simulator.report.figures import Drawn


def draw(reproduction: Reproduction) -> Drawn | None:
    """A line for each published rate; where it had a draft model, the tokens a step that the two rates imply."""
    rows = [(row, point) for row, point in placed(reproduction) if row.published.metric == "decode_tokens_per_s"]
    if not rows:
        return None
    known = colours(reproduction)
    figure = style.figure(style.PAGE, 0.9 + 0.27 * len(rows))
    axis = figure.subplots()
    for place, (row, point) in enumerate(rows):
        published, simulated = row.published.published, row.simulated
        counted = row.published.role == "prediction"
        colour = known.get(point["model"], style.GREY) if counted else style.FAINT
        if simulated is not None:
            axis.plot([published, simulated], [place, place], color=colour, linewidth=0.7, zorder=1)
            axis.plot([simulated], [place], marker="o", markersize=2.8, markeredgewidth=0, color=colour, zorder=3)
        axis.plot([published], [place], **style.OPEN | {"color": colour, "markersize": 6, "zorder": 2})
        beside = axis.get_yaxis_transform()
        style.say(axis, _figures(row, point), (1, place), (8, 0), xycoords=beside, va="center")
    style.say(axis, "published | simulated", (1, -0.8), (8, 0), xycoords=axis.get_yaxis_transform(), va="center")
    style.plain_log(axis, "x", (1, 2, 3, 5))
    axis.set_yticks(range(len(rows)), [_label(row, point) for row, point in rows])
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set(ylim=(len(rows) - 0.5, -0.6), xlabel="tokens/s of one user after the first token")
    axis.margins(x=0.06)
    axis.grid(which="major")
    keys = [
        style.key("published", **style.OPEN | {"markersize": 6}),
        style.key("simulated", linestyle="", marker="o", markersize=3.6),
        style.key("context: not counted", linestyle="", marker="o", markersize=3.6, color=style.FAINT),
    ]
    style.legend(figure, keys)
    caption = (
        f"Rates after the first token, published ({names.figures(row.published.figure for row, _ in rows)}) and "
        "simulated. Where the published rate had a draft model, which the simulated one has not, their ratio is the "
        "number of tokens that a step of the large model must have given, if the draft cost nothing."
    )
    return Drawn("rates", caption, figure)


def _label(row: Compared, point: Point) -> str:
    return f"{names.model(point['model'])}, {point['devices']} devices ({names.figure(row.published.figure)})"


def _figures(row: Compared, point: Point) -> str:
    """`457 | 157: 2.9 tokens a step`."""
    if row.simulated is None:
        return f"{row.published.published:g} | refused"
    text = f"{row.published.published:g} | {row.simulated:.0f}"
    implied = row.published.published / row.simulated
    return text + (f": {implied:.1f} tokens a step" if point["speculative"] else "")
