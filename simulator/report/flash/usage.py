"""The share of neurons that some tokens in a row use, and what one more adds."""

from __future__ import annotations

from simulator.baselines.reproduction import Reproduction
from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.flash import looks

PANELS = {"": "used by so many tokens", "_increment": "added by one more"}
METRICS = {"": "share", "_increment": "increment"}


def draw(reproduction: Reproduction) -> Drawn | None:
    """Two panels over the tokens: the law, a trace drawn from it, two populations fitted to it, published values."""
    points = looks.table(reproduction, "usage")
    if points is None:
        return None
    models = list(dict.fromkeys(points["model"]))
    colours = {model: style.CYCLE[place % len(style.CYCLE)] for place, model in enumerate(models)}
    figure = style.figure(style.PAGE, 2.7)
    drawn = []
    for letter, axis, (what, title) in zip("ab", figure.subplots(1, 2), PANELS.items(), strict=True):
        for model, colour in colours.items():
            line = points[points["model"] == model]
            axis.plot(line["window"], 100 * line[f"law{what}"], color=colour, zorder=2)
            axis.plot(line["window"], 100 * line[f"hot_cold{what}"], color=colour, linestyle="--", linewidth=0.8)
            dots = {"linestyle": "", "marker": "o", "markersize": 2.4, "markeredgewidth": 0}
            axis.plot(line["window"], 100 * line[f"trace{what}"], color=colour, zorder=3, **dots)
        for row in looks.published(reproduction, METRICS[what]):
            if row.condition.get("model") in colours:
                look = looks.mark(row, colours[row.condition["model"]]) | {"markersize": 6.5, "markerfacecolor": "none"}
                axis.plot([row.condition["window"]], [100 * looks.si(row)], **look)
                drawn.append(row)
        axis.set(xlabel="tokens in a row", ylabel="% of the neurons", xlim=(0, None), ylim=(0, None))
        axis.set_title(f"({letter}) {title}", loc="left")
        axis.grid(which="major")
    keys = [style.key(looks.model(reproduction, model), color=colour) for model, colour in colours.items()]
    keys += [
        style.key("window law"),
        style.key("trace", linestyle="", marker="o", markersize=2.4, markeredgewidth=0),
        style.key("two populations", linestyle="--", linewidth=0.8),
    ]
    style.legend(figure, [*keys, *looks.marks(drawn)])
    caption = (
        "How many of the neurons of an FFN some tokens in a row use, and how many one more token adds: the law that "
        "goes through the published values, a trace that follows it, and hot and cold neurons fitted to it"
        f"{looks.sources(drawn, '; open markers: published ({})')}."
    )
    return Drawn("usage", caption, figure)
