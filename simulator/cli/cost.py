"""`tiersim cost`: what a machine takes of silicon, money and power."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.cli.options import Json, Overrides, known_number
from simulator.cli.output import abbreviations, console, print_json, table_of
from simulator.cli.show import documents, figure_table, figures

if TYPE_CHECKING:
    from rich.table import Table

    from simulator.cli.show import Figure
    from simulator.study.cost import Cost


def command(
    hardware: Annotated[
        str, typer.Argument(metavar="HARDWARE", help="A machine, by name or path.", show_default=False)
    ],
    costs: Annotated[str, typer.Option("--costs", metavar="TABLE", help="A cost table, by name or path.")] = "silicon",
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", callback=known_number, help="Count what computes this number format, and no other."),
    ] = None,
    overrides: Overrides = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print what of the cost table is used, and where it comes from.")
    ] = False,
    json: Json = False,
) -> None:
    """Price a machine: area of its dies, price and peak power, part by part.

    Bounds for comparing designs, not quotations: docs/model.md says how far off.
    """
    import simulator

    answer = simulator.cost(hardware, costs, dtype=dtype, overrides=overrides or ())
    if json:
        print_json(answer.as_json() | ({"explain": documents(_used(answer))} if explain else {}))
        return
    out = console()
    description = answer.system.machine.description
    out.print(f"{answer.system.name}: {description}; costs: {answer.costs.table.name}\n", style="bold")
    out.print(_table(answer))
    if answer.missing:
        out.print("", *(f"missing: {each}" for each in answer.missing), sep="\n")
    if explain:
        out.print("", figure_table(_used(answer)), "", abbreviations(answer.costs.config), sep="\n")


def _used(answer: Cost) -> list[Figure]:
    """The figures of the cost table that the answer is made from."""
    used = figures(answer.costs.config, answer.costs.table.model_dump())
    sections = answer.sections()
    return [figure for figure in used if sections & {figure.path[:1], figure.path[:2]}]


def _table(answer: Cost) -> Table:
    """A row a part of one device, and below them what one takes, and all of its kind."""
    from simulator.study.cost import ALL

    shown = {
        "area_m2": ("die", "m^2"),
        "in_memory_m2": ("in memory", "m^2"),
        "price_usd": ("price", "USD"),
        "peak_power_w": ("peak power", "W"),
    }
    columns = [figure for figure in shown if answer.parts[figure].notna().any()]
    names = [shown[figure][0] for figure in columns]
    table = table_of(["part of one", *names], numbers=names)
    for total in answer.total.to_dict("records"):
        device, count = total["device"], total["count"]
        for row in answer.parts[answer.parts["device"] == device].to_dict("records"):
            table.add_row(row["part"], *(_cell(row[figure], shown[figure][1]) for figure in columns))
        for copies in (1, count) if count > 1 else (1,):
            label = device if device == ALL else f"{copies} x {device}"
            sums = (_cell(total[figure] * copies / count, shown[figure][1]) for figure in columns)
            table.add_row(label, *sums, style="bold", end_section=copies == count)
    return table


def _cell(value: Any, unit: str) -> str:
    """A figure for a reader; nothing where there is none."""
    from simulator.units import show

    if value != value:
        return ""
    return f"{value:,.2f} USD" if unit == "USD" else show(value, unit)
