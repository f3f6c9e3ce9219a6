"""`tiersim calibrate`: constants of a GPU's kernels from what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.cli.options import Hardware, Json, Seed
from simulator.cli.output import console, print_json, shown_path, table_of


def command(
    hardware: Hardware,
    data: Annotated[
        list[Path],
        typer.Option("--data", metavar="FILE", help="Measured operators; may be repeated.", show_default=False),
    ],
    runtime: Annotated[
        str | None, typer.Option("--runtime", help="The program that ran them.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the calibration as YAML.", show_default=False)
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="The most rows that a kernel is fitted to.")] = 2000,
    residuals: Annotated[
        int, typer.Option("--residuals", min=0, help="Rows of a table of what the model misses; 0: none.")
    ] = 0,
    share: Annotated[
        float, typer.Option("--held-out", min=0, max=0.9, help="The share of the groups of shapes that is held out.")
    ] = 0.5,
    start: Annotated[
        str | None, typer.Option("--start", help="A calibration to start from, by name or path.", show_default=False)
    ] = None,
    free: Annotated[
        str | None,
        typer.Option("--free", metavar="A,B", help="Constants to fit; all by default.", show_default=False),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="A,B", help="Classes of kernels, or operators, to fit.", show_default=False),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out rows with cells that cannot be used.")
    ] = False,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Fit the constants of a GPU's kernels to measured operators, and tell the errors on what is held out."""
    import simulator

    result = simulator.calibrate(
        hardware,
        data,
        runtime=runtime,
        rows=rows,
        residuals=residuals,
        share=share,
        seed=seed,
        start=start,
        free=free.split(",") if free else None,
        only=only.split(",") if only else None,
        skip_bad=skip_bad,
        progress=lambda name: typer.echo(f"fitting {name}", err=True),
    )
    if output is not None:
        result.write(output)
    if json:
        print_json(result.as_json())
        return
    columns = ["kernel", "variant", "rows", "median error", "mean error", "with residuals", "at a bound"]
    table = table_of(columns, numbers=columns[2:6])
    for name, variants in result.calibration.kernels.items():
        for variant, fitted in variants.items():
            errors = [fitted.held_out and fitted.held_out.median, fitted.held_out and fitted.held_out.mean]
            errors += [fitted.with_residuals and fitted.with_residuals.mean]
            shown = ["" if each is None else f"{each:.1%}" for each in errors]
            table.add_row(name, variant, f"{fitted.rows:,}", *shown, " ".join(fitted.at_bounds))
    console().print(table)
    for reason, count in result.skipped.items():
        typer.echo(f"{count:,} rows not used: {reason}", err=True)
    if output is not None:
        console().print(shown_path(output), soft_wrap=True)
