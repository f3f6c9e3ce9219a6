"""`tiersim sweep`: every point of a space of designs, into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.cli.design import front_table
from simulator.cli.options import Json, Overrides, at_least_one
from simulator.cli.output import console, print_json, progress, shown_path

SHOWN = 20  # points of the front, and reasons of failures, that are printed

Workers = Annotated[
    int | None,
    typer.Option("--workers", callback=at_least_one, help="Processes, or workers of the cluster; as many as cores."),
]
Yaml = Annotated[str, typer.Argument(metavar="STUDY", help="A study's YAML, by name or path.", show_default=False)]
Points = Annotated[
    str,
    typer.Argument(
        metavar="STUDY", help="A study's YAML, by name or path, or a folder of its results.", show_default=False
    ),
]
Run = Annotated[str | None, typer.Option("--run", metavar="NAME", help="The run, of a study that has several.")]


def command(
    yaml: Yaml,
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="The folder of the points; goes on where it ended.")
    ],
    overrides: Overrides = None,
    run: Run = None,
    workers: Workers = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="A Dask scheduler (tcp://host:8786), local, or slurm.")
    ] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first point that fails.")] = False,
    json: Json = False,
) -> None:
    """Compute every point of a sweep, and print the best."""
    from simulator.study.questions.tally import none_has
    from simulator.study.swept import no_feasible, sweep

    with progress() as advance:
        swept = sweep(
            yaml, output, overrides or (), run=run, workers=workers, cluster=cluster, fail_fast=fail_fast,
            progress=lambda done, total: advance(yaml, done, total),
        )  # fmt: skip
    if json:
        print_json(swept.as_json())
    else:
        out = console()
        out.print(f"{shown_path(swept.folder)}: {swept.counts}, {swept.feasible:,} feasible")
        for title, counted in (("ruled out by", swept.ruled_out), ("lack", swept.lacking), ("failed:", swept.failures)):
            reasons = [(reason, points) for reason, points in counted.items() if points]
            for reason, points in reasons[:SHOWN]:
                out.print(f"{points:,} {title} {reason}")
            if rest := sum(points for _, points in reasons[SHOWN:]):
                out.print(f"{rest:,} {title} {len(reasons) - SHOWN:,} more reasons")
        if len(swept.best):
            out.print(front_table(swept.problem, swept.best, SHOWN))
    if not swept.feasible:
        raise no_feasible(swept)
    if swept.problem.objectives and not len(swept.best):
        raise none_has(swept.lacking, swept.feasible)
