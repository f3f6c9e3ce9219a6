"""What `tiersim simulate` shows of requests that were served: waits by percentile, then the rest of what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.cli.metric_tables import bar, grid, metric_tables, spaced
from simulator.scenario.evaluators.requests import RequestsEvaluator
from simulator.scenario.requests.form import Requests, requests_of
from simulator.units import show

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from simulator.scenario.form import Scenario
    from simulator.scenario.requests.serve import Serving

MOST = 3
"""Figures that are named of those that a machine lacks."""


def view(scenario: Scenario, serving: Serving) -> RenderableType:
    """The tables of a run, under a line that says what was served."""
    from rich.text import Text

    title = Text(_title(scenario, serving), style="bold")
    metrics = metric_tables(RequestsEvaluator.metrics, serving.metrics, *_energy_unknown(serving))
    return spaced([title, *metrics, _used(serving), *_further(serving)])


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


def _energy_unknown(serving: Serving) -> list[tuple[str, ...]]:
    """The row of an energy that the machine lacks figures for; none where it has them."""
    if not serving.lacks:
        return []
    more = len(serving.lacks) - MOST
    lacks = ", ".join(serving.lacks[:MOST]) + f" and {more} more" * (more > 0)
    return [("energy", "unknown", f"the machine lacks {lacks}")]


def _used(serving: Serving) -> Table:
    """How busy each resource was, in a bar."""
    table = grid("", "utilisation")
    table.add_column()
    for name, share in serving.utilisation.items():
        table.add_row(name, f"{share:.1%}", bar(share))
    return table


def _further(serving: Serving) -> list[Table]:
    """Tiers of keys and values, and rows of the trace that were left out, where there are some."""
    shown = []
    if serving.tiers:
        tiers = grid(*serving.tiers[0])
        for row in serving.tiers:
            tiers.add_row(*(_cell(key, value) for key, value in row.items()))
        shown.append(tiers)
    if serving.left_out:
        table = grid("left out, as", "rows")
        for reason, rows in serving.left_out.items():
            table.add_row(reason, f"{rows:,}")
        shown.append(table)
    return shown


def _cell(key: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    return show(value, "B") if key.endswith("bytes") else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
