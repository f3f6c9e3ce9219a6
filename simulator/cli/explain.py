"""How an explanation looks in a terminal: figure by figure, and the inputs at the end."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from simulator.cli.output import abbreviations, role_text, table_of

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from simulator.report.explain import Line
    from simulator.scenario.batch_detail import BatchDetail


def explanation(estimate: BatchDetail) -> Group:
    """The equations of an estimate, and what they are made from."""
    from rich.console import Group

    from simulator.report.explain import explain

    shown: list[Table | str] = []
    for (_, part), group in groupby(explain(estimate), key=lambda line: (line.figure, line.part)):
        lines = list(group)
        if part == "kernel":
            shown += ["", _kernels(lines, estimate)]
        elif part == "input":
            shown += ["", _inputs(lines), "", abbreviations(estimate.engine.system.config)]
        else:
            if part == "resource" and lines[0].figure in ("ttft", "tbt"):
                shown.append("  busy, side by side:")
            shown += [""] * (part == "total") + [_equations(lines, heading=part == "total")]
    return Group(*shown)


def _equations(lines: list[Line], heading: bool) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold" if heading else "", no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row(line.name if heading else f"  {line.name}", line.equation)
    return table


def _kernels(lines: list[Line], estimate: BatchDetail) -> Table:
    from simulator.report.names import kernel
    from simulator.units import show

    of = f", each of {estimate.engine.ways} {estimate.engine.device}" if estimate.engine.ways > 1 else ""
    columns = ["kernel", "times", f"once{of}", "together", "bound by"]
    table = table_of(columns, numbers=["times", "together"])
    for line in lines:
        together = show(line.times * (line.value or 0.0), "s")
        table.add_row(kernel(line.name), str(line.times), line.equation, together, line.bound_by or "")
    return table


def _inputs(lines: list[Line]) -> Table:
    table = table_of(["input", "value", "role", "source"])
    for line in lines:
        table.add_row(line.name, line.equation, role_text(line.role or ""), line.source or "none")
    return table
