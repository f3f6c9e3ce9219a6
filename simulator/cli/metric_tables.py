"""Metrics in a terminal: percentiles of a quantity side by side, then a row for each other one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from simulator.scenario.metric import Metric
from simulator.units import show

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

PERCENTILES = ("p50", "p90", "p99")
TOKENS = "tokens_per_s"
"""The rate whose label does not say what it counts."""


def metric_tables(declared: Iterable[Metric], values: Mapping[str, Any], *last: tuple[str, ...]) -> list[Table]:
    """The tables of the metrics that are known, in the order in which they are declared; `last`: rows below them."""
    known = [metric for metric in declared if values.get(metric.name) not in (None, "")]
    spread = [metric for metric in known if metric.label.endswith(PERCENTILES)]
    tables = [_percentiles(spread, values)] if spread else []
    return [*tables, _rows([metric for metric in known if metric not in spread], values, last)]


def spaced(parts: Collection[RenderableType]) -> Group:
    """One below another, with a line between."""
    from rich.console import Group

    return Group(*(each for place, part in enumerate(parts) for each in ([""] * (place > 0) + [part])))


def bar(share: float) -> RenderableType:
    """A bar that is full to a share."""
    from rich.progress_bar import ProgressBar

    return ProgressBar(total=1.0, completed=share, width=20, complete_style="green")


def grid(first: str, *numbers: str) -> Table:
    """An empty table without lines: a name, and numbers to the right of it, under headings where some are given."""
    from rich.table import Table

    headed = any((first, *numbers))
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, show_header=headed, header_style="dim")
    table.add_column(first)
    for name in numbers:
        table.add_column(name.replace("_", " "), justify="right", style="bold")
    return table


def _percentiles(metrics: list[Metric], values: Mapping[str, Any]) -> Table:
    table = grid("", *PERCENTILES)
    rows: dict[str, dict[str, str]] = {}
    for metric in metrics:
        label, _, percentile = metric.label.rpartition(", ")
        rows.setdefault(label, {})[percentile] = show(values[metric.name], metric.unit)
    for label, cells in rows.items():
        table.add_row(label, *(cells.get(percentile, "") for percentile in PERCENTILES))
    return table


def _rows(metrics: list[Metric], values: Mapping[str, Any], last: Iterable[tuple[str, ...]]) -> Table:
    table = grid("", "")
    table.add_column(style="dim")
    for metric in metrics:
        table.add_row(
            metric.label or metric.name, _shown(values[metric.name], metric), metric.per and f"of a {metric.per}"
        )
    for row in last:
        table.add_row(*row)
    return table


def _shown(value: Any, metric: Metric) -> str:
    """Yes or no, a whole count or a rate with commas, else a quantity with its unit."""
    if isinstance(value, str):
        return value
    if metric.is_flag and value == value:
        return "yes" if value else "no"
    if metric.unit == "1/s":
        number = f"{value:,.0f}" if value >= 1e3 else f"{value:.4g}"
        return f"{number} {'tok/s' if metric.name == TOKENS else '1/s'}"
    return f"{value:,.0f}" if metric.unit == "1" and value == value // 1 else show(value, metric.unit)
