"""`tiersim search`: the best trade-offs of a space too large to enumerate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.design import front_table
from simulator.cli.options import Folder, Json, Overrides, Seed, at_least_one
from simulator.cli.output import console, print_json, progress, shown_path, table_of
from simulator.cli.sweep import SHOWN, Run, Yaml

if TYPE_CHECKING:
    from rich.table import Table

    from simulator.study.questions.searched import Searched

PLACES = 8  # of the evaluations, at which the hypervolume is printed


def command(
    yaml: Yaml,
    output: Folder = None,
    overrides: Overrides = None,
    run: Run = None,
    method: Annotated[
        str, typer.Option("--method", help="local, tpe, nsga2, nsga3, gp, random, sobol, latin, or a plugin's.")
    ] = "local",
    evaluations: Annotated[
        int, typer.Option("--evaluations", callback=at_least_one, help="Points that are evaluated, at most.")
    ] = 1000,
    batch: Annotated[int, typer.Option("--batch", callback=at_least_one, help="Points evaluated in one call.")] = 32,
    seed: Seed = 0,
    alone: Annotated[
        bool, typer.Option("--alone", help="Without a random search of as many points beside it.")
    ] = False,
    json: Json = False,
) -> None:
    """Search a sweep for the best trade-offs; --output keeps what was evaluated, and goes on where it ended."""
    import simulator

    with progress() as advance:
        searched = simulator.search(
            yaml, output, method=method, evaluations=evaluations, batch=batch, seed=seed, overrides=overrides or (),
            run=run, against=None if alone else "random", progress=lambda done, total: advance(yaml, done, total),
        )  # fmt: skip
    tally = searched.tally
    if output is not None and len(searched.best):
        _drawn(searched, output)
    if json:
        print_json(searched.as_json())
    else:
        out = console()
        points = f"{tally.points:,} of {searched.problem.points:,} points evaluated ({method})"
        out.print(f"{points}, {tally.feasible:,} feasible, {len(searched.best):,} on the front")
        if len(searched.best):
            out.print(front_table(searched.problem, searched.best, SHOWN))
            out.print(_hypervolumes(searched))
        if output is not None:
            out.print(f"written: {shown_path(output)}")
    if not tally.feasible:
        raise tally.none_feasible()
    if not len(searched.best):
        from simulator.study.questions.tally import none_has

        raise none_has(tally.lacking, tally.feasible)


def _hypervolumes(searched: Searched) -> Table:
    """The hypervolume at a few places on the way, of the method and of the one beside it."""
    wide = searched.progress.pivot(index="evaluations", columns="method", values="hypervolume")
    methods = searched.progress["method"].unique().tolist()
    table = table_of(["evaluations", *methods], ["evaluations", *methods], "\nhypervolume")
    for place in sorted({max(1, round(len(wide) * part / PLACES)) for part in range(1, PLACES + 1)}):
        table.add_row(f"{place:,}", *(f"{wide[method].iloc[place - 1]:.3f}" for method in methods))
    return table


def _drawn(searched: Searched, folder: Path) -> None:
    """The hypervolume over evaluations, as a figure."""
    from simulator.report import style
    from simulator.report.charts.convergence import convergence

    style.save(convergence(searched.progress), folder / "convergence.svg")
