"""`tiersim fit-machine`: a machine of what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.cli.options import at_least_one
from simulator.cli.output import console


def command(
    rows: Annotated[Path, typer.Argument(metavar="ROWS", help="What 'tiersim measure' wrote.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The YAML to write.", show_default=False)
    ],
    threads: Annotated[
        int | None,
        typer.Option("--threads", callback=at_least_one, help="That compute; the most that were measured by default."),
    ] = None,
    median: Annotated[
        bool, typer.Option("--median", help="Of the median of the repeats; by default of the least.")
    ] = False,
) -> None:
    """Make a machine of the measurements of a CPU, and of a disk: each figure with where it comes from."""
    import simulator
    from simulator.units import show

    system = simulator.fit_machine(rows, output, threads, "median" if median else "least")
    engine = system.engines["host.cpu"]
    peaks = ", ".join(f"{show(float(rate), 'FLOP/s')} {dtype}" for dtype, rate in engine.peak.items())
    memories = ", ".join(
        f"{name.partition('.')[2]} {show(float(tier.bandwidth), 'B/s')}" for name, tier in system.tiers.items()
    )
    console().print(f"{output}: {peaks}; {memories}")
