"""How far an axis goes for a case, published and simulated: a look-up of the axis, as a place on it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from simulator.report import style
from simulator.report.plots import short
from simulator.report.shown import Shown
from simulator.study.form import ChartForm
from simulator.study.results import lookup_of
from simulator.validation.reproduction import Compared

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTER: dict[str, Any] = {"marker": "v", "linestyle": "", "markersize": 4.5, "markeredgewidth": 0}


def is_limit(shown: Shown, metric: str | None, x: str) -> bool:
    """Whether a metric is looked up on this axis: the last rate that is followed, where rates are the axis."""
    lookup = shown.results.study.form.metrics.get(metric or "")
    return lookup is not None and lookup.of == x


def limits_of(shown: Shown, chart: ChartForm, metric: str | None, figures: Collection[str], x: str) -> list[Compared]:
    """What was published of a limit on the axis, under the conditions of a chart."""
    if not is_limit(shown, metric, x):
        return []
    rows = []
    for row in shown.rows:
        if row.published.metric != metric or row.published.figure not in figures:
            continue
        lookup, keys = lookup_of(shown.results.study, row.published.metric, row.published.condition)
        conditions = {key: each if isinstance(each, list) else [each] for key, each in chart.where.items()}
        if not lookup.run or chart.run in lookup.run:
            rows += [row] if all(keys.get(key, each[0]) in each for key, each in conditions.items()) else []
    return rows


def draw(axes: Axes, row: Compared, across: short.Scale, colour: str) -> None:
    """A line at the published place, and above the plot a pointer to the simulated one."""
    axes.axvline(float(across(row.published.si())), color=colour, linestyle=":", linewidth=0.9, zorder=1)
    if row.simulated is not None:
        place = across([row.simulated / row.published.from_si(1.0)])
        axes.plot(place, [1.03], **POINTER, color=colour, clip_on=False, transform=axes.get_xaxis_transform())


def keys() -> list[Any]:
    """What lines and pointers mean."""
    return [style.key("limit, published", linestyle=":"), style.key("limit, simulated", **POINTER)]
