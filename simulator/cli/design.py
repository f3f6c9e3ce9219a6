"""The options that name a design of a sweep by its axes, and how one is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.cli.output import table_of
from simulator.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from simulator.study.problem import Problem

COLUMNS = 6  # axes, at most, that a table has a column of each

At = Annotated[
    list[str] | None,
    typer.Option(
        "--at", metavar="NAME=VALUE", help="The value of an axis in the design; may be repeated.", show_default=False
    ),
]
Metric = Annotated[
    str | None,
    typer.Option("--metric", help="A metric, derived value or axis; the first objective by default."),
]


def assigned(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    """Values by name from `name=value`. Raises `ConfigError` that names the option."""
    values: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise ConfigError(path=option, found=f"'{text}'", expected="NAME=VALUE, such as batch=8")
        if name in values:
            raise ConfigError("a name that is there already", path=option, found=f"'{text}'")
        values[name] = value
    return values


def described(problem: Problem, row: dict[str, Any]) -> Table:
    """A design for a reader: its axes that have a value, then its metrics."""
    from rich.table import Table

    axes = problem.sweep.space.aliases.values()
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name in [*(name for name in row if name in axes), *(name for name in row if name not in axes)]:
        if row[name] not in (None, "") and row[name] == row[name]:
            table.add_row(name, cell(problem, name, row[name]))
    return table


def front_table(problem: Problem, best: pd.DataFrame, most: int) -> Table:
    """The first `most` of the best designs: axes, in a cell if many; objectives, what constraints name, what binds."""
    axes = problem.sweep.space.aliases
    frame = best.rename(columns=axes)
    known = [str(name) for name in frame if frame[name].notna().any()]
    named = {*problem.objectives, "bound_by"}.union(*(each.names for each in problem.sweep.constraints))
    varied = {axes[path] for path, steps in problem.sweep.space.sizes.items() if steps > 1}
    chosen = [name for name in known if name in varied]
    objectives = [name for name in known if name in named and name not in chosen]
    more = f", the first {most}" if len(frame) > most else ""
    columns = [*chosen, *objectives] if len(chosen) <= COLUMNS else [*objectives, "design"]
    numbers = [name for name in columns if name in known and frame[name].dtype.kind in "if"]
    table = table_of(columns, numbers, f"\nbest ({len(frame):,}{more})")
    for row in records(frame[[*chosen, *objectives]].head(most)):
        cells = {n: cell(problem, n, value) for n, value in row.items() if value is not None and value == value}
        cells["design"] = ", ".join(f"{name} {cells[name]}" for name in chosen if name in cells)
        table.add_row(*(cells.get(name, "") for name in columns))
    return table


def cell(problem: Problem, name: str, value: Any) -> str:
    """A value of an axis or a metric in its unit, for a reader."""
    from simulator.study.questions.design import shown_value
    from simulator.study.questions.metric import unit_of

    shown = shown_value(value, unit_of(problem, name))
    return shown.replace(" 1/s", f" {name.removesuffix('_per_s')}/s") if name.endswith("_per_s") else shown


def rows(frame: pd.DataFrame) -> list[Any]:
    """The rows of a table, each with its values as attributes."""
    return list(frame.itertuples(index=False))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, each with its values by name."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
