"""`tiersim roofline`: the kernels of one pass under the roofs of a machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.cli.kernels import MAPPING
from simulator.cli.mapping_options import with_mapping
from simulator.cli.options import (
    Batch,
    Context,
    Fusion,
    Hardware,
    Json,
    MachineOverrides,
    ModelName,
    Phase,
    PhaseName,
    ScenarioOnly,
)
from simulator.cli.output import console, print_json, table_of
from simulator.cli.scenario import print_scenario, with_fusion

if TYPE_CHECKING:
    from rich.table import Table

    from simulator.scenario.roofline import Roofline


@with_mapping(MAPPING)
def command(
    hardware: Hardware,
    model: ModelName,
    phase: PhaseName = Phase.DECODE,
    batch: Batch = 1,
    context: Context = 2048,
    fusion: Fusion = None,
    overrides: MachineOverrides = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Draw it: .png, .svg or .pdf.")
    ] = None,
    scenario: ScenarioOnly = False,
    json: Json = False,
    *,
    mapping: dict[str, Any],
) -> None:
    """Place a model's kernels on a machine's roofline."""
    from simulator.scenario.one_pass import pass_of
    from simulator.scenario.roofline import roofline_of

    form = pass_of(hardware, model, phase.value, batch, context, overrides or (), mapping)
    if scenario:
        print_scenario(with_fusion(form, fusion))
        return
    result = roofline_of(form, fusion)
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
