"""`tiersim check`: is this file what it should be?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import Json
from simulator.cli.output import console, count_of, print_error, print_json
from simulator.errors import ConfigError, TiersimError

if TYPE_CHECKING:
    from simulator.explore.sweep.problem import Problem

TRIED = 16  # points of a sweep, at most, to find one that can be computed


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

    Machines, models (config.json too), experiments, sweeps, cost tables, and traces (CSV). All mistakes are told; the
    exit code is then 2.
    """
    found = [_checked(file) for file in files]
    if json:
        print_json([{**asdict(checked), "ok": checked.ok} for checked in found])
    else:
        for checked in found:
            if checked.ok:
                console().print(f"{checked.file}: ok, {checked.summary}", soft_wrap=True)
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
        return Checked(file, kind, "", tuple(str(error).split("\n")))


def _summary(kind: str, file: str) -> str:
    """What a good file holds. Raises `ConfigError` for a bad one."""
    summaries = {
        "machine": _machine,
        "model": _model,
        "experiment": _experiment,
        "sweep": _sweep,
        "cost table": _costs,
        "routing": _routing,
        "eager": _eager,
        "trace": _trace,
        "published values": _published,
    }
    return summaries[kind](file)


def _machine(file: str) -> str:
    from simulator import load_system

    system = load_system(file)
    devices = ", ".join(f"{device.count} x {name}" for name, device in system.machine.devices.items())
    return f"machine {system.name}: {devices}"


def _model(file: str) -> str:
    from simulator import load_model
    from simulator.workload import parameters

    model = load_model(file)
    return f"model {model.name}: {count_of(parameters(model).total)} parameters in {model.layers} layers"


def _experiment(file: str) -> str:
    """Of a study, its sweep too."""
    from simulator.baselines.experiment import load_experiment
    from simulator.baselines.study import StudyExperiment

    form, _ = load_experiment(file)
    said = f"experiment of kind {form.kind}: {form.title}"
    return f"{said}; {_sweep(form.sweep, form.set)}" if isinstance(form, StudyExperiment) else said


def _sweep(file: str, overrides: Sequence[str] = ()) -> str:
    """What a sweep asks for. Raises `ConfigError` where none of some points can be computed."""
    from simulator.explore.sweep.problem import problem

    asked = problem(file, overrides)
    try:
        errors = list(_errors(asked))
    except ConfigError as error:
        error.file = error.file or file
        raise
    if all(errors):
        tried = f"{len(errors)} of {asked.points:,}"
        raise ConfigError(f"no point of those tried ({tried}) can be computed, the first for: {errors[0]}", file=file)
    sweep = asked.sweep
    axes = (f"{' and '.join(axis.name for axis in group)} ({len(group[0])})" for group in sweep.space.groups)
    said = [f"sweep of {asked.points:,} points over {', '.join(axes)}"]
    if sweep.constraints:
        said.append(f"constraints {', '.join(each.text for each in sweep.constraints)}")
    if sweep.objectives:
        said.append(f"objectives {', '.join(f'{name} {sense}' for name, sense in sweep.objectives.items())}")
    return "; ".join(said)


def _errors(asked: Problem) -> Iterator[str]:
    """Of points from the first to the last, up to one that has none."""
    import numpy as np

    for index in np.unique(np.linspace(0, asked.points - 1, min(TRIED, asked.points)).astype(np.int64)):
        error = asked(asked.sweep.space.at(index))["error"][0]
        yield error
        if not error:
            return


def _costs(file: str) -> str:
    from simulator.hardware.cost import load_costs

    table = load_costs(file).table
    name = table.name or Path(file).stem
    return f"cost table {name}: {len(table.processes)} processes, {len(table.technologies)} memories and links"


def _routing(file: str) -> str:
    from simulator.workload.measured import load_measured

    routing = load_measured(file)
    return f"routing {routing.name}: {routing.experts:,} experts in {len(routing.layers)} layers"


def _eager(file: str) -> str:
    from simulator.workload.eager import eager_family

    family = eager_family(file)
    return f"what is dispatched for {len(family.operators)} operators of {family.family}"


def _trace(file: str) -> str:
    from simulator import load_trace

    trace = load_trace(file)
    return f"trace of {len(trace):,} prompts over {trace.experts:,} experts"


def _published(file: str) -> str:
    from simulator.baselines.published import read_published

    return f"{len(read_published(Path(file))):,} published values"
