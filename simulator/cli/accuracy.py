"""`tiersim accuracy`: the page that says how far the program lies from measured GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the page there.", show_default=False)
    ] = None,
) -> None:
    """Write the page of accuracy: errors of kernels on shapes held out, and of the measured figures that ship."""
    import simulator
    from simulator.files import replacement

    page = simulator.accuracy()
    if output is None:
        typer.echo(page, nl=False)
        return
    with replacement(output) as unfinished:
        unfinished.write_text(page, encoding="utf-8")
    typer.echo(f"written: {output}")
