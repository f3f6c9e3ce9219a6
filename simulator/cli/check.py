"""`tiersim check`: is this file what it should be?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import Json
from simulator.cli.output import console, count_of, print_error, print_json, warned
from simulator.cli.requests import SkipBad
from simulator.errors import ConfigError, TiersimError, one_of

if TYPE_CHECKING:
    from simulator.study.problem import Problem
    from simulator.study.space.columns import Columns
    from simulator.workload import Model

TRIED = 16  # points of a run, at most, to find one that can be computed


@dataclass(frozen=True)
class Checked:
    """A file, what it is (None where that cannot be told), what is in it, what is wrong with it, and what may be."""

    file: str
    kind: str | None
    summary: str
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems


def command(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files to check.", show_default=False)],
    skip_bad: SkipBad = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 where there are warnings, too.")] = False,
    json: Json = False,
) -> None:
    """Check files: is each what it should be?

    Machines, models (config.json too), scenarios, studies, runtimes, cost tables, traces of experts (CSV), and requests
    (CSV, Parquet, JSON, YAML). All mistakes are told; of a file of requests, the first. The exit code is then 2.
    Warnings are of figures on which nothing depends, and of sizes that none has.
    """
    verdicts = [_checked(file, skip_bad) for file in files]
    if json:
        print_json([{**asdict(checked), "ok": checked.ok} for checked in verdicts])
    else:
        for checked in verdicts:
            if checked.ok:
                console().print(f"{checked.file}: ok, {checked.summary}", soft_wrap=True)
    for checked in verdicts:
        for problem in checked.problems:
            print_error(problem)
    if not all(checked.ok and not (strict and checked.warnings) for checked in verdicts):
        raise typer.Exit(2)


def _checked(file: str, skip_bad: bool) -> Checked:
    from simulator.cli.kind import kind_of

    kind, summary = None, ""
    problems: tuple[str, ...] = ()
    with warned() as warnings:
        try:
            kind = kind_of(file)
            summary = _requests(file, skip_bad) if kind == "requests" else _summary(kind, file)
        except TiersimError as error:
            problems = tuple(str(error).split("\n"))
        return Checked(file, kind, summary, problems, tuple(warnings))


def _summary(kind: str, file: str) -> str:
    """What a good file holds. Raises `ConfigError` for a bad one."""
    summaries = {
        "machine": _machine,
        "part": _part,
        "model": _model,
        "study": _study,
        "cost table": _costs,
        "runtime": _runtime,
        "routing": _routing,
        "eager": _eager,
        "calibration": _calibration,
        "trace": _trace,
        "scenario": _scenario,
        "published values": _published,
    }
    return summaries[kind](file)


def _machine(file: str) -> str:
    """What a machine has; warns of figures further from what its parts give than a data sheet rounds."""
    from simulator import load_system
    from simulator.errors import warn
    from simulator.hardware.limits import disagreements

    system = load_system(file)
    for problem in disagreements(system):
        warn(problem)
    devices = ", ".join(f"{device.count} x {name}" for name, device in system.machine.devices.items())
    return f"machine {system.name}: {devices}"


def _part(file: str) -> str:
    from simulator.hardware.part import load_part

    kinds = load_part(file).data.keys() - {"name", "description"}
    return f"part {Path(file).stem}: {one_of(sorted(kinds))}"


def _model(file: str) -> str:
    """What a model has, and the tower of images beside it; warns of one of a kind that is not known."""
    from simulator import load_model
    from simulator.errors import warn
    from simulator.workload.model.huggingface.silent import TOWER as BESIDE
    from simulator.workload.model.load import TOWER

    model = load_model(file)
    if BESIDE not in model.not_modelled:
        return f"model {model.name}: {_size(model)}"
    try:
        tower = load_model(f"{file}{TOWER}")
    except ConfigError as error:
        if "model_type" not in (error.path or ()):
            raise
        warn(error)
        return f"model {model.name}: {_size(model)}"
    return f"model {model.name}: {_size(model)}; tower of images {TOWER}: {_size(tower)}"


def _size(model: Model) -> str:
    from simulator.workload import parameters

    return f"{count_of(parameters(model).total)} parameters in {model.layers} layers"


def _calibration(file: str) -> str:
    from simulator.mapping.gpu.calibration import load_calibration

    calibration = load_calibration(file)
    kernels = sum(len(variants) for variants in calibration.kernels.values())
    under = f" under {calibration.runtime}" if calibration.runtime else ""
    return f"calibration of {calibration.hardware}{under}: {kernels} kernels"


def _scenario(file: str) -> str:
    """What a scenario asks. Raises `TiersimError` where it cannot be evaluated."""
    from simulator import evaluate

    written = evaluate(file).scenario.written()
    parts = (
        str(part.get("extends", "one inline") if isinstance(part, dict) else part)
        for part in (written[key] for key in ("model", "hardware") if key in written)
    )
    return f"scenario of {written['workload']['kind']}: {' on '.join(parts)}"


def _study(file: str) -> str:
    """What a study asks for. Raises `ConfigError` where none of some points of a run can be computed."""
    from simulator.study.load import load_study
    from simulator.validation.experiment import check_experiment

    check_experiment(file)
    study = load_study(file)
    runs = []
    for name, problem in study.runs.items():
        try:
            _check_points(problem)
        except ConfigError as error:
            error.file = error.file or file
            raise
        run = f"{name}: " if study.form.runs else ""
        runs.append(f"{run}{_points(problem)}")
    return f"study of {'; '.join(runs)}"


def _check_points(problem: Problem) -> None:
    tried = list(_tried(problem))
    errors = [columns["error"][0] for columns in tried]
    if all(errors):
        number = f"{len(errors)} of {problem.points:,}"
        raise ConfigError(f"no point of those tried ({number}) can be computed, the first for: {errors[0]}")
    _check_known(problem, [columns for columns in tried if not columns["error"][0]])


def _points(problem: Problem) -> str:
    sweep = problem.sweep
    axes = (f"{' and '.join(axis.name for axis in group)} ({len(group[0])})" for group in sweep.space.groups)
    parts = [f"{problem.points:,} points over {', '.join(axes)}"]
    if sweep.constraints:
        parts.append(f"constraints {', '.join(each.text for each in sweep.constraints)}")
    if sweep.objectives:
        parts.append(f"objectives {', '.join(f'{name} {sense}' for name, sense in sweep.objectives.items())}")
    return "; ".join(parts)


def _tried(problem: Problem) -> Iterator[Columns]:
    """Axes and metrics of points from the first to the last, up to one that has all that the run asks for."""
    import numpy as np

    for index in np.unique(np.linspace(0, problem.points - 1, min(TRIED, problem.points)).astype(np.int64)):
        columns = problem.sweep.space.at(index)
        known = problem.named(columns, problem(columns))
        yield known
        if not known["error"][0] and not any(_lost(known, names) for names in _wanted(problem).values()):
            return


def _check_known(problem: Problem, points: Sequence[Columns]) -> None:
    """ConfigError for an objective or a constraint of which no such point has all numbers."""
    for path, names in _wanted(problem).items():
        lost = [_lost(known, names) for known in points]
        if all(lost):
            name = "it" if path == f"objectives.{lost[0]}" else f"'{lost[0]}'"
            expected = "what the base gives: by its phase, its costs, and the figures of its machine"
            raise ConfigError(f"no point of those tried has {name}", path=path, expected=expected)


def _wanted(problem: Problem) -> dict[str, Collection[str]]:
    """The metrics and derived values of each objective and constraint, by its path; not where a point says why not."""
    space = set(problem.sweep.space.aliases.values())
    wanted: dict[str, Collection[str]] = {f"objectives.{name}": {name} - space for name in problem.objectives}
    constraints = enumerate(problem.sweep.constraints)
    return wanted | {f"constraints.{i}": each.names - space for i, each in constraints if each not in problem.requires}


def _lost(known: Columns, names: Collection[str]) -> str | None:
    """The first of these that is no number at a point."""
    return next((name for name in sorted(names) if known[name][0] != known[name][0]), None)


def _costs(file: str) -> str:
    from simulator.hardware.cost import load_costs

    table = load_costs(file).table
    name = table.name or Path(file).stem
    return f"cost table {name}: {len(table.processes)} processes, {len(table.technologies)} memories and links"


def _runtime(file: str) -> str:
    from simulator.mapping.runtime.form import load_runtime

    software = load_runtime(file)
    return f"runtime {software.name}: figures of {', '.join(software.runtime.by_device) or 'no device'}"


def _routing(file: str) -> str:
    from simulator.workload.routing.measured import load_measured

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


def _requests(file: str, skip_bad: bool) -> str:
    from simulator.cli.requests import one_line, stream
    from simulator.workload.requests.summary import summary

    requests, form = stream(file, [], skip_bad)
    return one_line(summary(requests), form)


def _published(file: str) -> str:
    from simulator.validation.published import read_published

    return f"{len(read_published(Path(file))):,} published values"
