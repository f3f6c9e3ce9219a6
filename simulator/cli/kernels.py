"""`tiersim kernels`: what runs as one kernel, what each uses of the chip, and what fusion is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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

    from simulator.scenario.kernels import KernelReport


MAPPING = ("devices", "engines", "memory", "dtype", "kv", "activations", "compute", "runtime", "kernels", "calibration")


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
        Path | None, typer.Option("--output", metavar="FILE", help="Draw the pipelines: .png, .svg or .pdf.")
    ] = None,
    scenario: ScenarioOnly = False,
    json: Json = False,
    *,
    mapping: dict[str, Any],
) -> None:
    """Show a pass's kernels, what each uses of the chip, and the pass under every fusion mode."""
    from simulator.scenario.kernels import kernels_of
    from simulator.scenario.one_pass import pass_of

    form = pass_of(hardware, model, phase.value, batch, context, overrides or (), mapping)
    if scenario:
        print_scenario(with_fusion(form, fusion))
        return
    report = kernels_of(form, fusion)
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
    modelled = {"roofline": "roofline_s"} if "roofline_s" in report.rows[0] else {}
    columns = ["kernel", "times", "FLOP", f"bytes of {report.memory}", "Op/B", "once", *modelled, *grid, "bound by"]
    table = table_of(columns, numbers=columns[1:-1])
    units = {"flops": "FLOP", "bytes": "B", "op_per_byte": "1", "time_s": "s"} | dict.fromkeys(modelled.values(), "s")
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
