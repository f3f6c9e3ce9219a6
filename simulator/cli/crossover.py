"""`tiersim crossover`: where one design stops being better than another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.design import At, Metric, assigned, cell, rows
from simulator.cli.options import Json, Overrides
from simulator.cli.output import console, print_json, table_of
from simulator.cli.sweep import Points, Run
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from simulator.study.questions.crossed import Crossed


def command(
    yaml: Points,
    along: Annotated[str, typer.Option("--along", metavar="NAME", help="The axis to go along.", show_default=False)],
    between: Annotated[
        str,
        typer.Option(
            "--between",
            metavar="NAME=FIRST,SECOND",
            help="The axis in which the two designs differ.",
            show_default=False,
        ),
    ],
    metric: Metric = None,
    at: At = None,
    overrides: Overrides = None,
    run: Run = None,
    json: Json = False,
) -> None:
    """Find where along an axis one of two designs stops being better: at which bandwidth a Logic-PIM stops paying."""
    import simulator

    answer = simulator.crossover(
        yaml, along, _pair(between), metric, assigned(at, "--at"), overrides=overrides or (), run=run
    )
    if json:
        print_json(answer.as_json())
        return
    console().print(*_shown(answer), sep="\n")


def _pair(text: str) -> tuple[str, str, str]:
    name, _, values = text.partition("=")
    match [name.strip(), *(value.strip() for value in values.split(","))]:
        case [name, first, second] if name and first and second:
            return name, first, second
    raise ConfigError(path="--between", found=f"'{text}'", expected="NAME=FIRST,SECOND: an axis and two values of it")


def _shown(answer: Crossed) -> list[RenderableType]:
    problem, axis, (first, second) = answer.problem, answer.along.name, answer.names
    least, most = (cell(problem, axis, getattr(answer.along.values, end)()) for end in ("min", "max"))
    shown: list[RenderableType] = []
    for row in rows(answer.crossings):
        ends = dict.fromkeys(cell(problem, axis, end) for end in (row.low, row.high))
        at = f"at {axis} {next(iter(ends))}" if len(ends) == 1 else f"between {axis} {' and '.join(ends)}"
        shown.append(f"{at}: {row.wins_below} is better below, {row.wins_above} above")
    if not len(answer.crossings):
        better = [name for name in answer.names if name in set(answer.curve["better"])]
        shown = [f"no crossing: {better[0] if better else 'neither'} is better from {axis} {least} to {most}"]
    shown.append(f"\n{answer.metric} ({answer.way} is better)")
    table = table_of([axis, first, second, "better"], [axis, first, second])
    for step, one, two, better, error in rows(answer.curve):
        cells = [cell(problem, answer.metric, each) if each == each else "fails" for each in (one, two)]
        table.add_row(cell(problem, axis, step), *cells, better or error)
    return [*shown, table]
