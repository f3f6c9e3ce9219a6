"""`tiersim reproduce`: an experiment beside what was published of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import Folder, Json, Overrides
from simulator.cli.output import console, in_turn, print_json, progress, role_text, table_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from simulator.validation.reproduction import Compared, Reproduction

ALL = "all"


def command(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="An experiment, by name or path; or 'all'.", show_default=False)
    ],
    overrides: Overrides = None,
    output: Folder = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute all anew, also what OUTPUT/.points has.")] = False,
    json: Json = False,
) -> None:
    """Set what an experiment gives beside what was published."""
    import simulator
    from simulator import data
    from simulator.validation.experiment import shortest_first

    with progress() as advance:
        takes = shortest_first(data.names("experiments")) if name == ALL else {name: 0.0}
        reproductions = [
            simulator.reproduce(each, overrides or (), output, advance, fresh) for each in in_turn(takes, advance)
        ]
    if name == ALL and output is not None:
        from simulator.report.index import write_index

        write_index(output)
    if json:
        print_json([row for reproduction in reproductions for row in reproduction.as_json()])
        return
    for reproduction in reproductions:
        console().print(*_shown(reproduction), sep="\n")
    if output is not None:
        pages = ["index.md"] if name == ALL else [f"{reproduction.name}/index.md" for reproduction in reproductions]
        console().print(*(f"written: {output / page}" for page in pages), sep="\n")


def _shown(reproduction: Reproduction) -> list[RenderableType]:
    """A table a figure, and how many predictions came true."""
    from simulator.report import names

    experiment = reproduction.experiment
    of = f" ({experiment.paper})" if experiment.paper else ""
    shown: list[RenderableType] = [f"{reproduction.name}: {experiment.title}{of}"]
    figures = dict.fromkeys(row.published.figure for row in reproduction.rows)
    for figure in figures:
        columns = ["metric", "condition", "published", "simulated", "ratio", "role", "agrees"]
        table = table_of(columns, numbers=["published", "simulated", "ratio"], title=f"\n{names.figure(figure)}")
        for row in reproduction.rows:
            if row.published.figure == figure:
                table.add_row(*_cells(row))
        shown.append(table)
    predictions = reproduction.predictions()
    true = sum(row.agrees for row in predictions)
    return [*shown, f"\n{true} of {len(predictions)} predictions within 3 % or their reading error"]


def _cells(row: Compared) -> list[RenderableType]:
    from rich.text import Text

    from simulator.report.table import value

    published = row.published
    simulated = value(row.simulated, published.unit)
    ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
    condition = ", ".join(f"{key} {value}" for key, value in published.condition.items())
    agrees = Text("yes") if row.agrees else Text("no", style="red" if published.role == "prediction" else "")
    paper = value(published.published, published.unit)
    return [published.metric, condition, paper, simulated, ratio, role_text(published.role), agrees]
