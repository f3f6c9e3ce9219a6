"""`tiersim sensitivity`: what matters around one design."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.design import At, Metric, assigned, cell, described, records, rows
from simulator.cli.options import Folder, Json, Overrides, Seed
from simulator.cli.output import console, print_json, shown_path, table_of
from simulator.cli.sweep import Points, Run

if TYPE_CHECKING:
    from rich.console import RenderableType

    from simulator.study.questions.sensed import Sensitivity

SMALL = 5e-4  # elasticities below are not listed


def command(
    yaml: Points,
    metric: Metric = None,
    at: At = None,
    samples: Annotated[
        int,
        typer.Option("--samples", min=0, help="Of each axis, for Sobol' indices: a power of two; 0: leave them out."),
    ] = 256,
    seed: Seed = 0,
    output: Folder = None,
    overrides: Overrides = None,
    run: Run = None,
    json: Json = False,
) -> None:
    """Tell what a metric hangs on around one design: resources by one percent, axes from end to end, all together."""
    import simulator

    answer = simulator.sensitivity(
        yaml, metric, assigned(at, "--at"), samples=samples, seed=seed, overrides=overrides or (), run=run
    )
    written = _written(answer, output) if output is not None else []
    if json:
        print_json(answer.as_json())
        return
    console().print(*_shown(answer), *(f"written: {shown_path(file)}" for file in written), sep="\n")


def _shown(answer: Sensitivity) -> list[RenderableType]:
    problem, metric = answer.problem, answer.metric
    shown: list[RenderableType] = [described(problem, records(answer.design)[0])]
    if answer.elasticity is not None:
        table = table_of(["resource", "less of it", "more of it"], ["less of it", "more of it"])
        resources = rows(answer.elasticity)
        for row in resources:
            if max(abs(row.below), abs(row.above)) >= SMALL:
                table.add_row(row.resource, f"{row.below:+.3f}", f"{row.above:+.3f}")
        none = [row.resource for row in resources if max(abs(row.below), abs(row.above)) < SMALL]
        shown += [
            "\npercent of the time for one percent of a resource",
            table,
            *([f"none: {', '.join(none)}"] if none else []),
        ]
    names = ["axis", "from", "to", "at the first", "at the second", "swing"]
    shown.append(f"\n{metric} as one axis moves, from {cell(problem, metric, answer.design[metric][0])}")
    table = table_of(names, names[1:])
    for row in rows(answer.tornado):
        ends = (cell(problem, row.axis, row.low), cell(problem, row.axis, row.high))
        values = [cell(problem, metric, each) if each == each else "fails" for each in (row.at_low, row.at_high)]
        swing = cell(problem, metric, row.swing) if row.swing == row.swing else row.error
        table.add_row(row.axis, *ends, *values, swing)
    shown.append(table)
    if answer.sobol is not None:
        names = ["axis", "alone", "with others"]
        shown.append(f"\nshare of the variance of {metric} over the sweep (Sobol', 95 %)")
        table = table_of(names, names[1:])
        for row in rows(answer.sobol):
            alone, total = ((row.first, row.first_confidence), (row.total, row.total_confidence))
            table.add_row(row.axis, *(f"{100 * share:.1f} % ± {100 * half:.1f}" for share, half in (alone, total)))
        shown.append(table)
    return [*shown, *(f"\n{note}" for note in answer.notes)]


def _written(answer: Sensitivity, folder: Path) -> list[Path]:
    """Each table as CSV, and elasticities and tornado as figures."""
    from simulator.files import replacement
    from simulator.report import style
    from simulator.report.plots.elasticity import elasticity
    from simulator.report.plots.tornado import tornado

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, frame in answer.frames().items():
        files.append(folder / f"{name}.csv")
        with replacement(files[-1]) as unfinished:
            frame.to_csv(unfinished, index=False)
    figures = {}
    if answer.elasticity is not None:
        figures["elasticity"] = elasticity(answer.elasticity, "time")
    ends = answer.tornado.rename(columns={"at_low": "metric_low", "at_high": "metric_high"})
    figures["tornado"] = tornado(ends, float(answer.design[answer.metric][0]), answer.metric, answer.problem.units)
    for name, figure in figures.items():
        files.append(folder / f"{name}.svg")
        style.save(figure, files[-1])
    return files
