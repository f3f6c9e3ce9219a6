"""`tiersim diff`: what two machines or two models differ in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.cli.kind import kind_of
from simulator.cli.options import Json
from simulator.cli.output import console, print_json, table_of

if TYPE_CHECKING:
    from rich.table import Table

    from simulator.report.differences import Difference

Name = Annotated[str, typer.Argument(metavar="NAME", help="A machine or a model.", show_default=False)]


def command(
    first: Name,
    second: Name,
    everything: Annotated[bool, typer.Option("--all", help="Show what is alike, too.")] = False,
    json: Json = False,
) -> None:
    """Show two machines or two models side by side: what they differ in, and by how much."""
    side_by_side(first, second, everything, json)


def side_by_side(first: str, second: str, everything: bool, json: bool) -> None:
    """Print two machines or two models: what they differ in, or all that they have.

    Raises:
        ConfigError: two things of different kinds, or of a kind that nothing compares.
    """
    kind, rows = _compared(first, second)
    shown = [row for row in rows if everything or not row.alike]
    alike = sum(row.alike for row in rows)
    if json:
        figures = [
            {"path": row.path, "first": row.values[0], "second": row.values[1], "unit": row.unit, "ratio": row.ratio}
            for row in shown
        ]
        print_json({"kind": kind, "first": first, "second": second, "alike": alike, "figures": figures})
        return
    out = console()
    if shown:
        out.print(_table(first, second, shown), "")
    if not everything:
        alike_in = f"all {alike:,}" if alike == len(rows) else f"{alike:,} of {len(rows):,}"
        out.print(f"They are alike in {alike_in} figures; --all shows them.")


def _compared(first: str, second: str) -> tuple[str, list[Difference]]:
    from simulator import load_model, load_system
    from simulator.errors import ConfigError
    from simulator.report.differences import machine_differences, model_differences

    kinds = kind_of(first), kind_of(second)
    if kinds == ("machine", "machine"):
        return "machine", machine_differences(load_system(first), load_system(second))
    if kinds == ("model", "model"):
        return "model", model_differences(load_model(first), load_model(second))
    found = f"a {kinds[0]} ({first}) and a {kinds[1]} ({second})"
    raise ConfigError("there is nothing to set side by side", found=found, expected="two machines or two models")


def _table(first: str, second: str, rows: list[Difference]) -> Table:
    """A property a row; what one of them lacks is empty, and the ratio is that of the second to the first."""
    table = table_of(["", first, second, "ratio"], numbers=["ratio"])
    for row in rows:
        ratio: Any = row.ratio
        ratio_text = "" if ratio is None else "1" if row.alike else f"{ratio:.4g}"
        table.add_row(row.path, *row.shown(), ratio_text)
    return table
