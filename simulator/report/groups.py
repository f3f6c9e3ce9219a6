"""Groups of bars along an axis: which there are, in which order, and how they are labelled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from simulator.report import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 0.8
"""Of all bars of a group, where groups are 1 apart."""
MOST_BESIDE = 4
"""Groups in each of some panels that stand beside one another; of more, one stands below the other."""
HATCHES = (None, "/////", ".....", "xxxxx")
Group = tuple[Any, ...]
"""A value of each key."""


def groups_of(frame: pd.DataFrame, keys: Sequence[str]) -> list[Group]:
    """The groups of a table: by each key in turn, numbers as they grow, names as they come."""
    orders = [list(dict.fromkeys(frame[key])) for key in keys]
    orders = [order if any(isinstance(one, str) for one in order) else sorted(order) for order in orders]
    groups = set(zip(*(frame[key] for key in keys), strict=True))
    return sorted(groups, key=lambda group: [order.index(one) for order, one in zip(orders, group, strict=True)])


def places(count: int) -> list[float]:
    """The middles of so many bars beside one another, from the middle of their group."""
    return [(place - (count - 1) / 2) * WIDTH / count for place in range(count)]


def panels_of(count: int, groups: int, alike: bool = True) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, for so many groups each; `alike`: values at the same height are the same."""
    beside = count > 1 and groups <= MOST_BESIDE
    rows, columns = (1, count) if beside else (count, 1)
    figure = style.figure(style.PAGE, 2.6 if beside else 0.95 + 1.4 * count)
    return figure, list(figure.subplots(rows, columns, squeeze=False, sharey=alike).flat)


def lay(axes: Axes, groups: Sequence[Group], keys: Sequence[str], called: Callable[[str, Any], str]) -> None:
    """Label groups by their last key, and below, those that have the others in common by these."""
    axes.set_xticks(range(len(groups)), [called(keys[-1], group[-1]) for group in groups])
    axes.set_xlim(-0.55, len(groups) - 0.45)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y")
    start = 0
    for shared, members in groupby(groups, key=lambda group: group[:-1]):
        stop = start + len(list(members))
        if shared:
            text = " + ".join(called(key, one) for key, one in zip(keys, shared, strict=False))
            middle = ((start + stop - 1) / 2, 0)
            across: dict[str, Any] = {"xycoords": axes.get_xaxis_transform(), "ha": "center", "va": "top"}
            style.say(axes, text, middle, (0, -15), **across)
            if stop < len(groups):
                axes.axvline(stop - 0.5, color="#C8C8C8", linewidth=0.5, zorder=0)
        start = stop


def name_keys(panels: Sequence[Axes], keys: Sequence[str], called: Callable[[str], str]) -> None:
    """Say what the labels of groups are, once below all panels: `batch; below, input tokens`."""
    *shared, last = map(called, keys)
    beside = len({axes.get_position().y0 for axes in panels}) == 1
    axes = panels[len(panels) // 2] if beside else panels[-1]
    axes.set_xlabel(f"{last}; below, {' + '.join(shared)}" if shared else last, labelpad=16 if shared else None)
