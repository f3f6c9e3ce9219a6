"""`tiersim roofline`: the kernels of one pass under the roofs of a machine."""

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

    from simulator.scenario.roofline import Roofline


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
        Path | None, typer.Option("--output", metavar="FILE", help="Draw it: .png, .svg or .pdf.")
    ] = None,
    json: Json = False,
) -> None:
    """Place a model's kernels on a machine's roofline."""
    import simulator

    result = simulator.roofline(
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
        from simulator.report.roofline import draw

        draw(result, output)
    if json:
        print_json(result.as_json())
    else:
        out = console()
        out.print(f"{result.title}\n", style="bold")
        out.print(_kernels(result), "", _roofs(result), sep="\n")


def _kernels(result: Roofline) -> Table:
    from simulator.report.names import kernel
    from simulator.units import show

    columns = ["kernel", "times", "FLOP", f"bytes of {result.memory}", "Op/B", "attainable", "time", "bound by"]
    table = table_of(columns, numbers=columns[1:-1])
    units = {"flops": "FLOP", "bytes": "B", "op_per_byte": "1", "attainable_flops": "FLOP/s", "time_s": "s"}
    for row in result.rows:
        shown = [show(row[column], unit) for column, unit in units.items()]
        table.add_row(kernel(row["op"]), str(row["repeat"]), *shown, row["bound_by"])
    return table


def _roofs(result: Roofline) -> Table:
    """The roofs, and where each meets the peak."""
    from simulator.units import show

    table = table_of(["roof", "achieved", "ridge"], numbers=["achieved", "ridge"])
    for roof in result.roofs:
        ridge = result.peak / roof["bandwidth"]
        table.add_row(roof["tier"], show(roof["bandwidth"], "B/s"), show(ridge, "FLOP/B"))
    table.add_row("engine", show(result.peak, "FLOP/s"), "")
    return table
