"""What `tiersim simulate` shows of requests that were served: waits by percentile, then the rest of what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.scenario.evaluators.requests import RequestsEvaluator
from simulator.scenario.requests.form import Requests, requests_of
from simulator.units import show

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from simulator.scenario.form import Scenario
    from simulator.scenario.metric import Metric
    from simulator.scenario.requests.serve import Serving

PERCENTILES = ("p50", "p90", "p99")
MOST = 3
"""Figures that are named of those that a machine lacks."""


def view(scenario: Scenario, serving: Serving) -> RenderableType:
    """The tables of a run, under a line that says what was served."""
    from rich.console import Group
    from rich.text import Text

    declared = [metric for metric in RequestsEvaluator.metrics if metric.name in serving.metrics]
    waits = [metric for metric in declared if metric.label.endswith(PERCENTILES)]
    others = [metric for metric in declared if metric not in waits]
    parts = [_waits(waits, serving), _others(others, serving), _used(serving), *_further(serving)]
    spaced = [part for each in parts for part in (Text(""), each)]
    return Group(Text(_title(scenario, serving), style="bold"), *spaced)


def _title(scenario: Scenario, serving: Serving) -> str:
    machine, model = (getattr(each, "name", each) for each in (scenario.hardware, scenario.model))
    ended = f"the {serving.metrics['ended']:,.0f} that ended before it was broken off" if serving.partial else ""
    return f"{model} on {machine}: {_requests(requests_of(scenario))}{ended and f'; {ended}'}"


def _requests(work: Requests) -> str:
    """What was served, in words."""
    if work.trace is not None:
        return f"requests of {work.trace}" if isinstance(work.trace, str) else "requests drawn by the laws of the trace"
    spread = f", spread {work.spread:g}" if work.spread else ""
    lengths = f"{work.input:,} tokens in, {work.output:,} out{spread}"
    if work.loop == "closed":
        return f"{work.batch:,} in flight, {lengths}"
    return f"{work.requests:,} requests, {work.rate:g} a second ({work.process}), {lengths}"


def _waits(waits: list[Metric], serving: Serving) -> Table:
    """A row for each wait, a column for each percentile."""
    table = _grid("", *PERCENTILES)
    rows: dict[str, dict[str, str]] = {}
    for metric in waits:
        label, _, percentile = metric.label.rpartition(", ")
        rows.setdefault(label, {})[percentile] = show(serving.metrics[metric.name], metric.unit)
    for label, values in rows.items():
        table.add_row(label, *(values.get(percentile, "") for percentile in PERCENTILES))
    return table


def _others(others: list[Metric], serving: Serving) -> Table:
    table = _grid("", "")
    table.add_column(style="dim")
    for metric in others:
        value: Any = serving.metrics[metric.name]
        if value != "":
            text = value if isinstance(value, str) else _yes(value) if metric.is_flag else _shown(value, metric.unit)
            table.add_row(metric.label, text, f"of a {metric.per}" if metric.per else "")
    if serving.lacks:
        first, *more = serving.lacks
        named = ", ".join([first, *more][:MOST]) + (f" and {len(more) + 1 - MOST} more" if len(more) >= MOST else "")
        table.add_row("energy", "unknown", f"the machine lacks {named}")
    return table


def _used(serving: Serving) -> Table:
    """How busy each resource was, in a bar."""
    from rich.progress_bar import ProgressBar

    table = _grid("", "utilisation")
    table.add_column()
    for name, share in serving.utilisation.items():
        table.add_row(name, f"{share:.1%}", ProgressBar(total=1.0, completed=share, width=20, complete_style="green"))
    return table


def _further(serving: Serving) -> list[Table]:
    """Tiers of keys and values, and rows of the trace that were left out, where there are some."""
    shown = []
    if serving.tiers:
        tiers = _grid(*serving.tiers[0])
        for row in serving.tiers:
            tiers.add_row(*(_cell(key, value) for key, value in row.items()))
        shown.append(tiers)
    if serving.left_out:
        table = _grid("left out, as", "rows")
        for reason, rows in serving.left_out.items():
            table.add_row(reason, f"{rows:,}")
        shown.append(table)
    return shown


def _grid(first: str, *numbers: str) -> Table:
    from rich.table import Table

    headed = any((first, *numbers))
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, show_header=headed, header_style="dim")
    table.add_column(first)
    for name in numbers:
        table.add_column(name.replace("_", " "), justify="right", style="bold")
    return table


def _yes(value: float) -> str:
    return "yes" if value else "no"


def _shown(value: float, unit: str) -> str:
    """A whole count with commas; else a quantity with its unit."""
    return f"{value:,.0f}" if unit == "1" and value == int(value) else show(value, unit)


def _cell(key: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    return show(value, "B") if key.endswith("bytes") else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
