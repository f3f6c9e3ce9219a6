"""Joules that each tier takes for a token, from the lowest to the highest that sources say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.baselines.flash.form import Dense, Method
from simulator.baselines.reproduction import Reproduction
from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.flash import looks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLOURS = {"flash": style.BLUE, "dram": style.ORANGE, "vram": style.PURPLE, "hbm": style.PURPLE}
MOST = 2  # panels


def draw(reproduction: Reproduction) -> Drawn | None:
    """A panel for each machine and model of which most methods are known: a line a tier, and one for all of them."""
    points = looks.table(reproduction, "energy")
    points = None if points is None else points[points["low_j"].notna() & _apart(reproduction, points)]
    if points is None or points.empty:
        return None
    groups = [group for _, group in points.groupby(["system", "model"], sort=False)]
    groups = [g for g in groups if g["method"].nunique() == max(each["method"].nunique() for each in groups)][:MOST]
    used = {method for group in groups for method in group["method"]}
    methods = [method for method in looks.form(reproduction).methods if method in used]
    tiers = [tier for tier in COLOURS if any((_kind(group) == tier).any() for group in groups)]
    figure = style.figure(style.PAGE, 1.0 + 0.26 * len(methods))
    axes = figure.subplots(1, len(groups), squeeze=False, sharex=True, sharey=True)[0]
    for letter, axis, group in zip("abc", axes, groups, strict=False):
        for place, method in enumerate(methods):
            own = group[group["method"] == method]
            for step, tier in enumerate(tiers):
                for _, row in own[_kind(own) == tier].iterrows():
                    _range(axis, place + 0.18 * (step - len(tiers) / 2), row["low_j"], row["high_j"], COLOURS[tier])
            if len(own):
                total = own[["low_j", "high_j"]].sum()
                _range(axis, place + 0.18 * len(tiers) / 2, total["low_j"], total["high_j"], style.BLACK)
        style.plain_log(axis, "x", (1, 3))
        axis.set_yticks(range(len(methods)), [looks.method(method) for method in methods])
        axis.tick_params(axis="y", length=0)
        axis.set(ylim=(len(methods) - 0.5, -0.5), xlabel="J a token")
        where = f"{looks.model(reproduction, group['model'].iloc[0])}, {looks.machine(group['system'].iloc[0])}"
        axis.set_title(f"({letter}) {where}", loc="left")
        axis.grid(axis="x")
    keys = [style.key(tier.upper() if tier != "flash" else tier, color=COLOURS[tier], linewidth=3) for tier in tiers]
    style.legend(figure, [*keys, style.key("all tiers", color="black", linewidth=3)])
    caption = (
        "Energy that the tiers of memory take for a token, from the lowest to the highest that sources say of a byte; "
        "a dot where there is one figure. Engines and idle power are not in it. All simulated."
    )
    return Drawn("energy", caption, figure)


def _kind(rows: pd.DataFrame) -> pd.Series[str]:
    """`dram` of `soc.dram`."""
    return rows["tier"].str.rpartition(".")[2]


def _apart(reproduction: Reproduction, points: pd.DataFrame) -> pd.Series[bool]:
    """Not of methods that only read beside compute what another method reads before it: they move the same bytes."""
    methods = looks.form(reproduction).methods

    def plain(method: Method) -> Method:
        return method if isinstance(method, Dense) else method.model_copy(update={"overlap": "none"})

    same = {n for n, m in methods.items() if plain(m) != m and any(plain(m) == other for other in methods.values())}
    return ~points["method"].isin(same)


def _range(axis: Axes, y: float, low: float, high: float, colour: str) -> None:
    axis.plot([low, high], [y, y], color=colour, linewidth=3, solid_capstyle="butt", zorder=2)
    if low == high:
        axis.plot([low], [y], color=colour, marker="o", markersize=3.4, markeredgewidth=0, zorder=3)
