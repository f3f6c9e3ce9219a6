"""`tiersim measure`: times of the machine at hand, and how true the machine made of them is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.cli.options import Json
from simulator.cli.output import console, print_json, progress, table_of
from simulator.errors import ConfigError, UnitError

if TYPE_CHECKING:
    from simulator.validation.fitted.check import Check

app = typer.Typer(
    name="measure",
    no_args_is_help=True,
    add_completion=False,
    help="Measure the machine at hand, into a CSV that can be gone on with.",
)

Rows = Annotated[
    Path, typer.Argument(metavar="ROWS", help="The CSV to append to; made if there is none.", show_default=False)
]
Budget = Annotated[
    float | None, typer.Option("--budget", min=0.0, metavar="SECONDS", help="Begin no further row after so long.")
]
Threads = Annotated[
    list[int] | None, typer.Option("--threads", metavar="N", help="That compute, or reads in flight; repeatable.")
]
Dtypes = Annotated[list[str] | None, typer.Option("--dtype", metavar="DTYPE", help="Of products; repeatable.")]
File = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="An existing file to read.")]
Size = Annotated[
    str | None, typer.Option("--size", metavar="SIZE", help="Make a file of so much, '4 GiB', to read and delete.")
]


@app.command("cpu")
def cpu(rows: Rows, threads: Threads = None, dtype: Dtypes = None, budget: Budget = None) -> None:
    """Matrix products by shape and threads, and memories by working set; needs the extra 'measure'."""
    _measure("cpu", rows, threads=threads or (), dtypes=dtype or (), budget=budget)


@app.command("disk")
def disk(rows: Rows, file: File = None, size: Size = None, threads: Threads = None, budget: Budget = None) -> None:
    """Direct reads of a file at random places, by chunk and reads in flight."""
    _measure("disk", rows, file=file, size=_bytes(size), threads=threads or (), budget=budget)


@app.command("gpu")
def gpu(rows: Rows, dtype: Dtypes = None, budget: Budget = None) -> None:
    """Products, attention, norms and copies by shape, through PyTorch; needs the extra 'measure-gpu'."""
    _measure("gpu", rows, dtypes=dtype or (), budget=budget)


@app.command("check")
def check(
    machine: Annotated[
        str, typer.Argument(metavar="MACHINE", help="One that fit-machine made here.", show_default=False)
    ],
    file: File = None,
    size: Size = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="That compute, as it was made for; all cores by default.")
    ] = None,
    median: Annotated[
        bool,
        typer.Option("--median", help="Compare the median of the repeats, not the least; as it was made of."),
    ] = False,
    within: Annotated[float, typer.Option("--within", min=0.0, help="Exit with 1 where an error is larger.")] = 0.15,
    json: Json = False,
) -> None:
    """Predict a chain of products and reads of a file that were not measured, and measure them."""
    import simulator

    with progress() as advance:
        checks = simulator.check_machine(
            machine, file=file, size=_bytes(size), threads=threads, of="median" if median else "least", progress=advance
        )
    if json:
        print_json({"checks": [_document(each) for each in checks], "within": within})
    else:
        console().print(_table(checks))
    if any(abs(each.error) > within for each in checks if not each.part):
        raise typer.Exit(1)


def _measure(what: Any, rows: Path, **options: Any) -> None:
    import simulator

    with progress() as advance:
        done = simulator.measure(what, rows, progress=advance, **options)
    left = f", {done.left} left; the same command goes on" if done.left else ""
    console().print(f"{rows}: {done.measured} measured, {done.before} had been{left}")


def _bytes(size: str | None) -> int | None:
    """A size that an option gives. Raises `UnitError` that names the option."""
    from simulator.units import parse

    if size is None:
        return None
    try:
        return int(parse(size, "B"))
    except (UnitError, ConfigError) as error:
        error.path = "--size"
        raise


def _document(each: Check) -> dict[str, Any]:
    return {
        "workload": each.workload, "part": each.part, "predicted_s": each.predicted, "measured_s": each.measured,
        "least_s": each.least, "median_s": each.median, "spread": each.spread, "error": each.error,
    }  # fmt: skip


def _table(checks: list[Check]) -> Any:
    from simulator.units import show

    columns = ["predicted", "least", "median", "spread", "error"]
    table = table_of(["workload", *columns], numbers=columns)
    for each in checks:
        times = (show(time, "s") for time in (each.predicted, each.least, each.median))
        name = f"  {each.workload}" if each.part else each.workload
        table.add_row(name, *times, f"{each.spread:.0%}", f"{each.error:+.1%}")
    return table
