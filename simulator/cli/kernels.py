"""`tiersim kernels`: what runs as one kernel, what each uses of the chip, and what fusion is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import (
    Batch,
    Context,
    Devices,
    Dtype,
    Fusion,
    Hardware,
    Json,
    Kv,
    MachineOverrides,
    ModelName,
    Phase,
    PhaseName,
)
from simulator.cli.output import console, print_json, table_of

if TYPE_CHECKING:
    from rich.table import Table

    from simulator.scenario.kernels import KernelReport


def command(
    hardware: Hardware,
    model: ModelName,
    phase: PhaseName = Phase.DECODE,
    batch: Batch = 1,
    context: Context = 2048,
    devices: Devices = None,
    dtype: Dtype = None,
    kv: Kv = None,
    fusion: Fusion = None,
    overrides: MachineOverrides = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Draw the pipelines: .png, .svg or .pdf.")
    ] = None,
    json: Json = False,
) -> None:
    """Show a pass's kernels, what each uses of the chip, and the pass under every fusion mode."""
    import simulator

    report = simulator.kernels(
        hardware,
        model,
        phase.value,
        batch,
        context,
        devices=devices,
        dtype=dtype,
        kv=kv,
        fusion=fusion,
        overrides=overrides or (),
    )
    if output is not None:
        from simulator.report.pipeline import draw

        draw(report, output)
    if json:
        print_json(report.as_json())
    else:
        out = console()
        out.print(f"{report.title}; fusion: {report.fusion}\n", style="bold")
        out.print(_kernels(report), "", _modes(report), sep="\n")


def _kernels(report: KernelReport) -> Table:
    from simulator.report.names import kernel
    from simulator.units import show

    grid = {"tiles": "tiles", "PCUs": "pcus", "PMUs": "pmus"} if report.grid else {}
    columns = ["kernel", "times", "FLOP", f"bytes of {report.memory}", "Op/B", "once", *grid, "bound by"]
    table = table_of(columns, numbers=columns[1:-1])
    units = {"flops": "FLOP", "bytes": "B", "op_per_byte": "1", "time_s": "s"}
    for row in report.rows:
        shown = [show(row[column], unit) for column, unit in units.items()]
        laid = [str(row.get(column, "")) for column in grid.values()]
        table.add_row(kernel(row["kernel"], 44), str(row["repeat"]), *shown, *laid, row["bound_by"])
    return table


def _modes(report: KernelReport) -> Table:
    """The whole pass under each fusion mode; the one shown above in bold."""
    from simulator.units import show

    tiers = [column for column in report.totals if column.startswith("bytes_")]
    named = [f"bytes of {column.removeprefix('bytes_')}" for column in tiers]
    columns = ["fusion", "kernels a pass", "launches", "FLOP", *named, f"Op/B of {report.memory}", "time"]
    table = table_of(columns, numbers=columns[1:])
    for row in report.modes:
        sizes = [show(row.get(tier, 0.0), "B") for tier in tiers]
        time = "" if row["time_s"] is None else show(row["time_s"], "s")
        counts = [f"{row['kernels']:,}", f"{row['launches']:,}"]
        intensity = show(row["op_per_byte"], "1")
        style = "bold" if row["fusion"] == report.fusion else ""
        table.add_row(row["fusion"], *counts, show(row["flops"], "FLOP"), *sizes, intensity, time, style=style)
    return table
