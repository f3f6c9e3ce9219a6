"""`tiersim optimise`: the cheapest design that meets every constraint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.design import cell, described, records, rows
from simulator.cli.options import Json, Overrides, Seed, at_least_one
from simulator.cli.output import console, print_json, progress, table_of
from simulator.cli.sweep import Points, Run, Workers

if TYPE_CHECKING:
    from rich.console import RenderableType

    from simulator.study.questions.optimised import Optimised


def command(
    yaml: Points,
    cost: Annotated[
        str | None,
        typer.Option(
            "--for", metavar="METRIC", help="What shall be least; the first objective to be small by default."
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="CONSTRAINT",
            help="What must hold too: 'tbt_s <= 0.05'; may be repeated.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", callback=at_least_one, help="Points, at most, that are all computed.")
    ] = 1_000_000,
    evaluations: Annotated[
        int, typer.Option("--evaluations", callback=at_least_one, help="Points of a larger space that are searched.")
    ] = 10_000,
    seed: Seed = 0,
    overrides: Overrides = None,
    run: Run = None,
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Find the cheapest design of a sweep that meets its constraints: area, power, or an SLO such as tbt_s <= 0.05."""
    import simulator

    with progress() as advance:
        answer = simulator.optimise(
            yaml, cost, where=where or (), limit=limit, evaluations=evaluations, seed=seed, overrides=overrides or (),
            run=run, workers=workers, progress=lambda done, total: advance(yaml, done, total),
        )  # fmt: skip
    if json:
        print_json(answer.as_json())
    else:
        console().print(*_shown(answer), sep="\n")


def _shown(answer: Optimised) -> list[RenderableType]:
    tally, points = answer.tally, answer.problem.points
    how = "all computed" if answer.enumerated else f"{tally.points:,} of them searched: there may be a better one"
    much = "least" if answer.way == "min" else "most"
    shown: list[RenderableType] = [
        f"the {much} {answer.cost} of {tally.feasible:,} feasible designs ({points:,} points, {how})\n",
        described(answer.problem, records(answer.best)[0]),
    ]
    if len(answer.slack):
        table = table_of(
            ["constraint", "value", "slack", "of the limit"], ["value", "slack", "of the limit"], "\nslack"
        )
        for row in rows(answer.slack):
            cells = (
                ("holds", "", "")
                if row.value != row.value
                else (f"{row.value:.4g}", f"{row.slack:.4g}", f"{row.slack_percent:.3g} %")
            )
            table.add_row(row.constraint, *cells)
        shown.append(table)
    return [*shown, *_next(answer)]


def _next(answer: Optimised) -> list[RenderableType]:
    """The designs behind it: what they cost, and where they differ from it."""
    best, *rest = records(answer.best)
    if not rest:
        return []
    table = table_of([answer.cost, "more", "with"], [answer.cost, "more"], "\nnext")
    axes = answer.problem.sweep.space.aliases.values()
    for row in rest:
        more = 100 * (row[answer.cost] / best[answer.cost] - 1) if best[answer.cost] else 0.0
        other = [name for name in axes if row[name] != best[name] and row[name] == row[name]]
        cost = cell(answer.problem, answer.cost, row[answer.cost])
        excess = "the same" if abs(more) < 5e-7 else f"{more:+.3g} %"
        table.add_row(cost, excess, ", ".join(f"{name} {cell(answer.problem, name, row[name])}" for name in other))
    return [table]
