"""`tiersim compare`: the program beside what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import Folder, Json
from simulator.cli.output import console, print_json, progress, table_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from simulator.validation.compare import Comparison

SHARES = ("mape", "median_ape", "p90_ape", "bias", "plain_median_ape")


def command(
    baseline: Annotated[
        str,
        typer.Option(
            "--baseline", metavar="FILE", help="Measured values: CSV, Parquet, or one of ours.", show_default=False
        ),
    ],
    hardware: Annotated[
        str | None, typer.Option("--hardware", help="One machine for all, by name or path; else by its aliases.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option("--runtime", help="One software for all; else that of each row's engine.")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Count rows that cannot be read, instead of refusing the file.")
    ] = False,
    output: Folder = None,
    json: Json = False,
) -> None:
    """Set measured operators or runs beside simulated ones: errors by group, and the rows furthest off."""
    import simulator

    with progress() as advance:
        comparison = simulator.compare(baseline, hardware, runtime=runtime, skip_bad=skip_bad, progress=advance)
    if output is not None:
        simulator.write_comparison(comparison, output)
    if json:
        print_json(comparison.as_json())
        return
    console().print(*_shown(comparison), sep="\n")
    if output is not None:
        console().print(f"written: {output / 'rows.csv'}")


def _shown(comparison: Comparison) -> list[RenderableType]:
    """What the errors are, by group; the worst rows; what did not count, and why."""
    title = f"{comparison.name}: {_summary(comparison.errors)}"
    notes = [
        *(f"{count:,} rows flagged: {flag}" for flag, count in comparison.flagged.items()),
        *(f"{count:,} rows not simulated: {why}" for why, count in comparison.failed.items()),
        *(f"{count:,} rows of a device that no machine describes: {d}" for d, count in comparison.unmatched.items()),
        *(["a machine has the names of its device in measured data as `aliases`"] if comparison.unmatched else []),
        *([f"{comparison.skipped:,} cells could not be used"] if comparison.skipped else []),
    ]
    lead = [title, _speed(comparison)] if comparison.is_design else [title]
    return [*lead, "", _groups(comparison), "", _worst(comparison), "", *notes]


def _summary(errors: dict[str, float]) -> str:
    if not errors["rows"]:
        return "no row counts"
    median, mean, worst = (f"{errors[name]:.1%}" for name in ("median_ape", "mape", "p90_ape"))
    return f"{errors['rows']:,} rows, {median} off in the median, {mean} on average, {worst} at the 90th percentile"


def _speed(comparison: Comparison) -> str:
    document = comparison.as_json()
    energy = document["energy_ratio"]
    rest = "" if energy is None else f", with {energy:.3g} times the energy"
    return f"{comparison.hardware} is {document['speed_up']:.3g} times as fast{rest} (geometric means)"


def _groups(comparison: Comparison) -> Table:
    table = table_of(["group", "value", "rows", *SHARES], numbers=["rows", *SHARES], title="errors")
    for row in comparison.groups.to_dict("records"):
        cells = [f"{row[name]:.1%}" for name in SHARES]
        table.add_row(row["group"], row["value"], f"{row['rows']:,}", *cells)
    return table


def _worst(comparison: Comparison) -> Table:
    from simulator.units import show

    columns = ["line", "device", "what", "measured", "simulated", "ratio", "bound by"]
    table = table_of(columns, numbers=["line", "measured", "simulated", "ratio"], title="furthest off")
    for row in comparison.worst.to_dict("records"):
        what = f"{row['model']}, {row['metric']}, batch {row['batch']:g}" if "model" in row else row["op"]
        seconds = [show(row[name], "s") for name in ("measured", "simulated")]
        table.add_row(f"{row['line']}", row["device"], what, *seconds, f"{row['ratio']:.3g}", row["bound_by"])
    return table
