"""What a design is judged by: a metric, a derived value or an axis that is a number."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, one_of, unknown
from simulator.study.problem import Problem
from simulator.study.questions.design import is_number
from simulator.study.space.columns import Columns, Evaluate

Sense = Literal["max", "min"]


def metric_named(problem: Problem, name: str | None, option: str = "metric") -> str:
    """A name that has numbers; the first objective, unless given.

    Raises:
        ConfigError: no such name, with the nearest; none is given, and there is no objective.
    """
    axes = [axis.name for axis in problem.sweep.axes.values() if is_number(axis)]
    known = [*(metric for metric, unit in problem.metrics.items() if unit), *problem.sweep.derived, *axes]
    chosen = next(iter(problem.objectives), None) if name is None else name
    if chosen is None:
        raise ConfigError("the sweep has no objective", path=option, found="none", expected=one_of(known))
    if chosen not in known:
        raise unknown(chosen, known, "no such metric", path=option)
    return chosen


def sense(problem: Problem, metric: str) -> Sense:
    """As the objectives have it; else more is better of what is so many a second or a joule, and less of all else."""
    return problem.objectives.get(metric) or ("max" if re.search(r"_per_(s|j)(_|$)", metric) else "min")


def unit_of(problem: Problem, name: str) -> str:
    """The SI unit of a metric or of an axis by its name; empty where none is known."""
    paths = {axis.name: path for path, axis in problem.sweep.axes.items()}
    return problem.units.get(paths.get(name, name), "")


def numbers(known: Columns, metric: str) -> NDArray[np.float64]:
    """The values of a metric.

    Raises:
        ConfigError: it is a text.
    """
    try:
        return np.asarray(known[metric], dtype=np.float64)
    except ValueError:
        raise ConfigError(path=metric, found="a text", expected="a metric that is a number") from None


def with_axes(problem: Problem, names: Iterable[str]) -> Evaluate:
    """Gives the metrics of points, and those of `names` that are axes."""
    wanted = tuple(names)

    def evaluate(columns: Columns) -> Columns:
        metrics = problem(columns)
        known = problem.named(columns, metrics)
        return {**metrics, **{name: known[name] for name in wanted}}

    return evaluate
