"""What a faster part is worth: the percent of a metric for one percent of each resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import ConfigError
from simulator.report import style
from simulator.report.plots import looks, points, short

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LESS, MORE = style.SKY, style.BLUE
DIFFER = 1e-3
"""Beyond this the two one-sided values are shown apart."""
SHOWN = 1e-3
"""Resources of less than this are counted and not drawn."""


@style.publication()
def elasticity(
    values: Mapping[str, float | Sequence[float]] | pd.DataFrame,
    metric: str = "latency",
    width: float = style.COLUMN,
) -> Figure:
    """A bar a resource, the largest on top; two where less and more of it are worth different amounts: at a tie.

    `values` are `(below, above)` by resource, or one number where they are the same; or a frame of the columns
    `resource`, `below` and `above`.

    Raises:
        ConfigError: no such column, or no resource with a value.
    """
    rows = _rows(values)
    shown = {name: both for name, both in rows.items() if max(map(abs, both)) >= SHOWN}
    if not shown:
        raise ConfigError("no elasticity to draw", found=f"{len(rows)} resources, all 0 or unknown", expected="some")
    shown = dict(sorted(shown.items(), key=lambda item: -max(map(abs, item[1]))))
    figure = style.figure(width, 0.85 + 0.25 * len(shown))
    axes = figure.subplots()
    tied = {name for name, (below, above) in shown.items() if abs(below - above) > DIFFER}
    for place, (name, both) in enumerate(shown.items()):
        if name in tied:
            axes.barh(place - 0.16, both[0], 0.3, color=LESS, zorder=2)
            axes.barh(place + 0.16, both[1], 0.3, color=MORE, zorder=2)
        else:
            axes.barh(place, both[0], 0.62, color=MORE, zorder=2)
        far = max(both, key=abs)
        text = ", ".join(_signed(each) for each in (both if name in tied else both[:1]))
        look: dict[str, Any] = {"va": "center", "ha": "left" if far > 0 else "right", "fontsize": 7}
        style.say(axes, text, (far, place), (3 if far > 0 else -3, 0), **look)
    ends = [each for both in shown.values() for each in both] + [0.0]
    span = max(ends) - min(ends)
    axes.set_xlim(min(ends) - (0.28 * span if min(ends) < 0 else 0), max(ends) + (0.28 * span if max(ends) > 0 else 0))
    axes.axvline(0, color="black", linewidth=0.8, zorder=3)
    axes.set_yticks(range(len(shown)), list(_called(shown).values()))
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    called = short.short(metric)
    axes.set_xlabel(f"% of {called} for 1 % of the resource")
    keys: list[Any] = []
    title = ""
    if tied:
        from matplotlib.patches import Patch

        keys = [Patch(color=LESS, label="1 % less"), Patch(color=MORE, label="1 % more, or both alike")]
    if len(shown) < len(rows):
        less = len(rows) - len(shown)
        title = f"{less} more without effect"
    looks.legend(figure, keys, width, title)
    return figure


def _rows(values: Mapping[str, float | Sequence[float]] | pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Both one-sided values by resource; those that are unknown are 0."""
    if isinstance(values, Mapping):
        pairs = {name: np.ravel(np.asarray(each, dtype=np.float64)) for name, each in values.items()}
        return {name: (_known(pair[0]), _known(pair[-1])) for name, pair in pairs.items()}
    both = (points.numbers(values, side) for side in ("below", "above"))
    named = zip(points.column(values, "resource"), *both, strict=True)
    return {str(name): (_known(below), _known(above)) for name, below, above in named}


def _known(value: Any) -> float:
    return float(value) if np.isfinite(value) else 0.0


def _called(rows: Mapping[str, Any]) -> dict[str, str]:
    """Short names; in full where two would be the same."""
    names = {name: short.resource(name) for name in rows}
    texts = list(names.values())
    return {name: called if texts.count(called) == 1 else name for name, called in names.items()}


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\u2212")
