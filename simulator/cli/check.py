"""`tiersim check`: is this file what it should be?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from simulator.cli.options import Json
from simulator.cli.output import console, count_of, print_error, print_json
from simulator.errors import TiersimError


@dataclass(frozen=True)
class Checked:
    """A file, what it is (None where that cannot be told), what is in it, and what is wrong with it."""

    file: str
    kind: str | None
    summary: str
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems


def command(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files to check.", show_default=False)],
    json: Json = False,
) -> None:
    """Check files: is each what it should be?

    Machines, models (config.json too), experiments, and traces (CSV). All mistakes are told; the exit code is then 2.
    """
    found = [_checked(file) for file in files]
    if json:
        print_json([{**asdict(checked), "ok": checked.ok} for checked in found])
    else:
        for checked in found:
            if checked.ok:
                console().print(f"{checked.file}: ok, {checked.summary}")
    for checked in found:
        for problem in checked.problems:
            print_error(problem)
    if not all(checked.ok for checked in found):
        raise typer.Exit(2)


def _checked(file: str) -> Checked:
    from simulator.cli.kind import kind_of

    kind = None
    try:
        kind = kind_of(file)
        return Checked(file, kind, _summary(kind, file))
    except TiersimError as error:
        return Checked(file, kind, "", tuple(str(error).splitlines()))


def _summary(kind: str, file: str) -> str:
    """What a good file holds. Raises `ConfigError` for a bad one."""
    import simulator
    from simulator.workload import parameters

    if kind == "machine":
        system = simulator.load_system(file)
        devices = ", ".join(f"{device.count} x {name}" for name, device in system.machine.devices.items())
        return f"machine {system.name}: {devices}"
    if kind == "model":
        model = simulator.load_model(file)
        return f"model {model.name}: {count_of(parameters(model).total)} parameters in {model.layers} layers"
    if kind == "trace":
        trace = simulator.load_trace(file)
        return f"trace of {len(trace):,} prompts over {trace.experts:,} experts"
    if kind == "published values":
        from simulator.baselines.published import read_published

        return f"{len(read_published(Path(file))):,} published values"
    from simulator.baselines.experiment import load_experiment

    form, _ = load_experiment(file)
    return f"experiment of kind {form.kind}: {form.title}"
