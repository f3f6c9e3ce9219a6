"""`tiersim simulate`: run an experiment."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import Folder, Json, Overrides
from simulator.cli.output import console, print_json, progress
from simulator.files import whole

if TYPE_CHECKING:
    from simulator.result import Result


def command(
    experiment: Annotated[
        str, typer.Argument(metavar="EXPERIMENT", help="An experiment, by name or path.", show_default=False)
    ],
    overrides: Overrides = None,
    output: Folder = None,
    json: Json = False,
) -> None:
    """Run an experiment, and print its tables."""
    import simulator

    with progress() as advance:
        result = simulator.simulate(experiment, overrides or (), lambda done, total: advance(experiment, done, total))
    if output is not None:
        _write(result, output)
    if json:
        print_json(result.as_json())
    else:
        console().print(result)


def _write(result: Result, folder: Path) -> None:
    """Each table as a CSV, and what they were made from: all of them under other names first."""
    from json import dumps

    provenance = {**result.provenance.as_dict(), "config": result.provenance.config}
    texts = {f"{name}.csv": frame.to_csv(index=False) for name, frame in result.frames().items()}
    texts["provenance.json"] = dumps(provenance, indent=2) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for name, text in texts.items():
            stack.enter_context(whole(folder / name)).write_text(text, encoding="utf-8")
