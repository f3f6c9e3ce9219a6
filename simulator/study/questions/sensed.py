"""What matters around one design: each resource by one percent, each axis from end to end, and all axes together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import ConfigError
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.scenario.cases import with_values
from simulator.scenario.evaluate import detailed
from simulator.scenario.form import Scenario
from simulator.study.problem import Problem, read_problem
from simulator.study.questions.design import check_used, column, completed, is_number, named, point_values, varying
from simulator.study.questions.elasticity import elasticities
from simulator.study.questions.metric import metric_named, numbers
from simulator.study.questions.sensitivity import sobol, tornado
from simulator.study.space.axis import Axis
from simulator.study.space.columns import Columns, Evaluate

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity(Result):
    """What matters around one design of a sweep.

    Attributes:
        metric: what the axes change.
        design: the design, a row: the axes that vary in it by their short names, and all metrics.
        elasticity: percent of the time of a pass for one percent of each resource (`resource`), as it falls (`below`)
            and as it rises (`above`); None for a kind of sweep that has no plan.
        tornado: for each axis, what the metric is at the ends of its steps and all else as in the design (`axis`,
            `path`, `low`, `high`, `at_low`, `at_base`, `at_high`, `swing`, `error`). Of an axis of texts, the ends are
            those of its values at which the metric is least and most.
        sobol: for each axis, the share of the variance over the sweep that it explains (`axis`, `path`, `first`,
            `total`, and half-widths of their 95 % confidence intervals); None where left out.
        notes: what is left out, and why.
    """

    problem: Problem
    metric: str
    design: pd.DataFrame
    elasticity: pd.DataFrame | None
    tornado: pd.DataFrame
    sobol: pd.DataFrame | None
    notes: Sequence[str]
    provenance: Provenance

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        frames = {"design": self.design, "elasticity": self.elasticity, "tornado": self.tornado, "sobol": self.sobol}
        notes = pd.DataFrame({"note": self.notes}) if self.notes else None
        return {name: frame for name, frame in {**frames, "notes": notes}.items() if frame is not None}


def sensitivity(
    name_or_path: str | Path,
    metric: str | None = None,
    at: Mapping[str, Any] | None = None,
    *,
    samples: int = 256,
    seed: int = 0,
    overrides: Sequence[str] = (),
    run: str | None = None,
) -> Sensitivity:
    """How much a metric changes with each axis of a sweep around one design, and its time with each resource.

    The `metric` is the first objective unless given. `at` gives values of axes by their names; each other axis is at
    its middle step (the lower of two), where its condition holds.

    Elasticities are `d ln(time) / d ln(capacity)`, exact from the closed form of the phase that the sweep times, with
    the plan as it is (an engine that plans by times may plan otherwise). A kind of workload without plans has none.

    Sobol' indices are over the designs of the sweep that are as `at` says: each other axis that varies in the design
    takes each of its steps as often as any other, independently. So a number is drawn as its steps are laid (those of
    a geomspace uniformly in the logarithm), a text or a count takes no value between, and what an index is a share of
    is the variance of designs that the sweep has. `samples` is a power of two, and `samples (axes + 2)` designs are
    drawn, of which those that are alike are computed once; 0: none.

    Raises:
        ConfigError: what is wrong with the YAML; no such axis, value or metric; a design that does not work.
    """
    problem = read_problem(name_or_path, overrides, run)
    metric = metric_named(problem, metric, "--metric")
    chosen, space = named(problem, at, "--at"), problem.sweep.space
    design = completed(space, {path: column([value]) for path, value in chosen.items()}, 1)
    check_used(problem, chosen, design, "--at")
    metrics = _metrics(problem, design, metric)
    base, axes = point_values(design), _leading(space.groups, varying(space, design))
    if not axes:
        raise ConfigError("nothing varies in this design", path="axes", found="one step each", expected="two or more")
    evaluate = _completing(problem, chosen)
    notes = [
        f"this design is not one to compare: {why}" for why in problem.unfit(problem.named(design, metrics)) if why
    ]
    resources = None
    try:
        resources = _resources(with_values(problem.sweep.base, point_values(problem.sweep.scenarios(design))))
    except ConfigError as error:
        notes.append(f"elasticities are left out: {error}")
    table = _tornado(evaluate, problem, axes, base, metric)
    free = [axis for axis in axes if axis.path not in chosen]
    shares = _shares(evaluate, free, metric, samples, seed, notes) if samples and free else None
    names = space.aliases
    row = {names[axis.path]: design[axis.path] for axis in varying(space, design)} | {**metrics}
    import pandas as pd

    frame = pd.DataFrame({name: values for name, values in row.items() if name not in ("error", "feasible")})
    made_from = Provenance({**problem.provenance.config, "at": chosen, "metric": metric, "samples": samples}, seed)
    return Sensitivity(problem, metric, frame, resources, table, shares, notes, made_from)


def _metrics(problem: Problem, design: Columns, metric: str) -> Columns:
    """The metrics of one design, which must have the metric in question."""
    metrics = problem(design)
    failure = metrics["error"][0]
    if failure or not np.isfinite(numbers(problem.named(design, metrics), metric)[0]):
        why = failure or f"it has no {metric}"
        raise ConfigError("the design does not work", path="--at", found=why, expected="another design")
    return metrics


def _leading(groups: Sequence[Sequence[Axis]], axes: Sequence[Axis]) -> list[Axis]:
    """Of axes that move together, the first."""
    first = {group[0].path for group in groups}
    return [axis for axis in axes if axis.path in first]


def _completing(problem: Problem, chosen: Mapping[str, Any]) -> Evaluate:
    """The metrics, and axes by name, of points of which some axes are given; others are as chosen, or in the middle."""

    def evaluate(columns: Columns) -> Columns:
        points = len(next(iter(columns.values())))
        fixed = {path: np.repeat(column([value]), points) for path, value in chosen.items()}
        design = completed(problem.sweep.space, {**fixed, **columns}, points)
        return problem.named(design, problem(design))

    return evaluate


def _resources(scenario: Scenario) -> pd.DataFrame:
    import pandas as pd

    rows = [(name, *each) for name, each in elasticities(detailed(scenario).plan).items()]
    return pd.DataFrame(rows, columns=["resource", "below", "above"])


def _tornado(
    evaluate: Evaluate, problem: Problem, axes: Sequence[Axis], base: Mapping[str, Any], metric: str
) -> pd.DataFrame:
    at = {axis.path: base[axis.path] for axis in axes}
    ranges = {axis.path: _ends(evaluate, axis, at, metric) for axis in axes}
    swings = tornado(evaluate, at, ranges, metric)
    swings.insert(0, "axis", swings["path"].map(problem.sweep.space.aliases))
    return swings


def _ends(evaluate: Evaluate, axis: Axis, at: Mapping[str, Any], metric: str) -> tuple[Any, Any]:
    """The least and the largest step; of an axis without numbers, those where the metric is least and most."""
    if is_number(axis):
        return axis.values.min().item(), axis.values.max().item()
    steps = axis.values.tolist()
    columns = {path: np.repeat(column([value]), len(steps)) for path, value in at.items()}
    values = numbers(evaluate({**columns, axis.path: axis.values}), metric)
    if np.isnan(values).all():
        return steps[0], steps[-1]
    return steps[int(np.nanargmin(values))], steps[int(np.nanargmax(values))]


def _shares(
    evaluate: Evaluate, axes: Sequence[Axis], metric: str, samples: int, seed: int, notes: list[str]
) -> pd.DataFrame | None:
    """Sobol' indices over steps: a number drawn from 0 to the number of steps says which. None where a design fails.

    Why it failed is added to the notes.
    """
    steps = {axis.name: (axis, 0.0, float(len(axis))) for axis in axes}

    def at_steps(columns: Columns) -> Columns:
        places = {name: np.minimum(columns[name].astype(int), len(axis) - 1) for name, (axis, *_) in steps.items()}
        return evaluate({axis.path: axis.values[places[name]] for name, (axis, *_) in steps.items()})

    ranges = {name: (low, high) for name, (_, low, high) in steps.items()}
    try:
        return sobol(at_steps, ranges, metric, samples, seed, log=()).rename(columns={"path": "axis"})
    except ConfigError as error:
        if error.path == "samples":
            raise
        error.expected = "--at with more axes, so that every design works"
        notes.append(f"Sobol' indices are left out: {error}")
        return None
