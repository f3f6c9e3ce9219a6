"""`tiersim calibrate`: constants of a GPU's kernels from what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.cli.options import Hardware, Json, Seed
from simulator.cli.output import console, print_json, shown_path, table_of

if TYPE_CHECKING:
    from rich.table import Table

    from simulator.validation.calibration.calibrated import Calibrated

Data = Annotated[
    list[Path], typer.Option("--data", metavar="FILE", help="Measured operators; may be repeated.", show_default=False)
]


def _option(name: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(f"--{name}", help=text, metavar=metavar, show_default=False)


def command(
    hardware: Hardware,
    data: Data,
    runtime: Annotated[str | None, _option("runtime", "The program that ran them.")] = None,
    output: Annotated[Path | None, _option("output", "Write the calibration as YAML.", "FILE")] = None,
    rows: Annotated[int, typer.Option(min=1, help="The most rows that a kernel is fitted to.")] = 2000,
    residuals: Annotated[int, typer.Option(min=0, help="Rows of a table of what the model misses; 0: none.")] = 0,
    share: Annotated[
        float, typer.Option("--held-out", min=0, max=0.9, help="The share of the groups of shapes that is held out.")
    ] = 0.5,
    start: Annotated[str | None, _option("start", "A calibration to start from, by name or path.")] = None,
    free: Annotated[str | None, _option("free", "Constants to fit; all by default.", "A,B")] = None,
    only: Annotated[str | None, _option("only", "Classes of kernels, or operators, to fit.", "A,B")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out rows with a bad cell.")] = False,
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
    console().print(_table(result))
    for reason, count in result.skipped.items():
        typer.echo(f"{count:,} rows not used: {reason}", err=True)
    if output is not None:
        console().print(shown_path(output), soft_wrap=True)


def _table(result: Calibrated) -> Table:
    """A row a kernel: what it was fitted to, and its errors on what was held out."""
    columns = ["kernel", "variant", "rows", "median error", "mean error", "with residuals", "at a bound"]
    table = table_of(columns, numbers=columns[2:6])
    for name, variants in result.calibration.kernels.items():
        for variant, fitted in variants.items():
            errors = [fitted.held_out and fitted.held_out.median, fitted.held_out and fitted.held_out.mean]
            errors += [fitted.with_residuals and fitted.with_residuals.mean]
            shown = ["" if each is None else f"{each:.1%}" for each in errors]
            table.add_row(name, variant, f"{fitted.rows:,}", *shown, " ".join(fitted.at_bounds))
    return table
