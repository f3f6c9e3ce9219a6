"""`tiersim query`: SQL over the points of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from simulator.cli.options import Json
from simulator.cli.output import console, print_json, table_of


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a sweep.", show_default=False)],
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT over the table 'points'.", show_default=False)],
    json: Json = False,
) -> None:
    """Ask the points of a sweep: 'select model, max(tokens_per_s) from points group by model'."""
    import simulator
    from simulator.study.store import load_store

    frame = simulator.query(folder, sql)
    store = load_store(folder)
    points = sum(stop - start for start, stop in store.present())
    if points < store.manifest.points:
        typer.echo(
            f"note: of {points:,} of {store.manifest.points:,} points; the others are not computed yet", err=True
        )
    if json:
        print_json(frame.to_dict("records"))
        return
    columns = [str(name) for name in frame]
    numbers = [name for name, dtype in zip(columns, frame.dtypes, strict=True) if dtype.kind in "fi"]
    table = table_of(columns, numbers)
    for row in frame.itertuples(index=False):
        table.add_row(*(_shown(cell) for cell in row))
    console().print(table)


def _shown(cell: Any) -> str:
    """A value in six digits; what a failed point lacks is nothing."""
    if isinstance(cell, float):
        return "" if cell != cell else f"{cell:.6g}"
    return str(cell)
