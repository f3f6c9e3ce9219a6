"""Where one design stops being better than another, along one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.study.problem import Problem, read_problem
from simulator.study.questions.crossover import crossover as crossings
from simulator.study.questions.design import (
    axis_named,
    check_used,
    column,
    completed,
    is_number,
    named,
    shown_value,
    value_of,
)
from simulator.study.questions.metric import Sense, metric_named, numbers, sense
from simulator.study.questions.sensitivity import DECADE
from simulator.study.space.axis import Axis
from simulator.study.space.columns import Columns

if TYPE_CHECKING:
    import pandas as pd

TIE = "neither"
BESIDE = 1e-4  # of a crossing: where it is seen who is better on either side


@dataclass(frozen=True, eq=False, repr=False)
class Crossed(Result):
    """Two designs along an axis.

    Attributes:
        along: the axis; SI units.
        names: what the two designs are called: `dispatch xpu_only`.
        way: which of the metric is better.
        crossings: where the better of the two changes: from one value to the other (`low`, `high`; the same where it is
            known as a point, two neighbouring steps where the axis counts), `wins_below` and `wins_above`. Empty where
            one wins, or neither, all along.
        curve: the metric of both designs at each step of the axis (`first`, `second`), and who is `better`.
    """

    problem: Problem
    along: Axis
    names: tuple[str, str]
    metric: str
    way: Sense
    crossings: pd.DataFrame
    curve: pd.DataFrame
    provenance: Provenance

    def frames(self) -> dict[str, pd.DataFrame]:
        return {"crossings": self.crossings, "curve": self.curve}


def crossover(
    name_or_path: str | Path,
    along: str,
    between: tuple[str, Any, Any],
    metric: str | None = None,
    at: Mapping[str, Any] | None = None,
    *,
    overrides: Sequence[str] = (),
    run: str | None = None,
) -> Crossed:
    """At which values of the axis `along` the better of two designs changes.

    `between` is an axis and two values of it: all else is alike in both designs, as `at` says, or at its middle step
    where its condition holds. The better has more of the `metric`, or less: as the objectives have it, else more where
    it is so many a second or a joule. Values are looked for all along the axis, from its least to its largest step (in
    the logarithm where they span a decade), to a relative 1e-6; those of an axis that counts in whole numbers, step by
    step, and so where one moves along that has no values between its steps.

    Raises:
        ConfigError: what is wrong with the YAML; no such axis, value or metric; no numbers along the axis; designs that
            do not work anywhere along it.
    """
    problem = read_problem(name_or_path, overrides, run)
    axis, (name, *values) = axis_named(problem, along, "--along"), between
    if not is_number(axis) or len(axis) < 2:
        found = "one step" if is_number(axis) else "texts"
        raise ConfigError(path=("--along", axis.name), found=found, expected="an axis of two numbers or more")
    other = axis_named(problem, name, "--between")
    first, second = (value_of(other, value, "--between") for value in values)
    if other is axis or first == second:
        found, expected = f"{first} and {second}", "two values of an axis other than --along"
        raise ConfigError(path=("--between", other.name), found=found, expected=expected)
    chosen = named(problem, at, "--at")
    for each in (axis, other):
        if each.path in chosen:
            raise ConfigError("this axis is not of both designs", path=("--at", each.name), expected="another axis")
    two = _Two(problem, axis, other, (first, second), chosen, metric_named(problem, metric, "--metric"))
    steps = np.sort(axis.values)
    two.check(steps)
    curve = two.curve(steps)
    if np.isnan(curve["lead"]).all():
        found = next(filter(None, curve["error"]), f"no {two.metric}")
        expected = "designs that both work somewhere along it"
        raise ConfigError(path=("--along", axis.name), found=found, expected=expected)
    rows = _between_steps(steps, curve["lead"])
    if _is_continuous(problem, axis):
        low, high = float(steps[0]), float(steps[-1])
        log = low > 0 and high >= DECADE * low
        try:
            roots = np.array(crossings(two.along, axis.path, low, high, lambda curve: curve["lead"], log))
            around = [two.curve(np.clip(roots * (1 + side), low, high))["lead"] for side in (-BESIDE, BESIDE)]
            rows = list(zip(roots, roots, *around, strict=True))
        except ConfigError:
            pass  # none, or across designs that fail: between the steps beside them
    arguments = {"along": along, "between": list(between), "metric": two.metric, "at": chosen}
    made_from = Provenance({**problem.provenance.config, "crossover": arguments})
    return Crossed(problem, axis, two.names, two.metric, two.way, two.rows(rows), two.table(steps, curve), made_from)


@dataclass(frozen=True, eq=False)
class _Two:
    """The designs with either of two values of `other`, anywhere along `axis`."""

    problem: Problem
    axis: Axis
    other: Axis
    values: tuple[Any, Any]
    chosen: Mapping[str, Any]
    metric: str

    @property
    def names(self) -> tuple[str, str]:
        first, second = (f"{self.other.name} {shown_value(each, self.other.unit or '')}" for each in self.values)
        return first, second

    @property
    def way(self) -> Sense:
        return sense(self.problem, self.metric)

    def designs(self, values: NDArray[Any]) -> Columns:
        """Those of the first value, then those of the second."""
        points = len(values)
        rows = {path: np.repeat(column([value]), 2 * points) for path, value in self.chosen.items()}
        rows |= {self.other.path: np.repeat(column(self.values), points), self.axis.path: np.tile(values, 2)}
        return completed(self.problem.sweep.space, rows, 2 * points)

    def check(self, values: NDArray[Any]) -> None:
        """Nothing, where each axis that is named varies in one of the designs; else a ConfigError."""
        designs = self.designs(values)
        for path, option in {**dict.fromkeys(self.chosen, "--at"), self.axis.path: "--along"}.items():
            check_used(self.problem, [path], designs, option)

    def curve(self, values: NDArray[Any]) -> Columns:
        """The metric of both, by how much the first leads (1, 0 or -1; NaN where one does not work), and why."""
        designs, points = self.designs(values), len(values)
        known = self.problem.named(designs, self.problem(designs))
        error = self.problem.unfit(known)
        metric = np.where(error == "", numbers(known, self.metric), np.nan)
        ahead = metric[:points] - metric[points:] if self.way == "max" else metric[points:] - metric[:points]
        why = np.where(error[:points] == "", error[points:], error[:points])
        return {"first": metric[:points], "second": metric[points:], "lead": np.sign(ahead), "error": why}

    def along(self, columns: Columns) -> Columns:
        return self.curve(columns[self.axis.path])

    def rows(self, crossings: Sequence[tuple[Any, Any, float, float]]) -> pd.DataFrame:
        import pandas as pd

        rows = [(low, high, self._better(below), self._better(above)) for low, high, below, above in crossings]
        return pd.DataFrame(rows, columns=["low", "high", "wins_below", "wins_above"])

    def table(self, steps: NDArray[Any], curve: Columns) -> pd.DataFrame:
        import pandas as pd

        metrics = {name: curve[name] for name in ("first", "second")}
        better = [self._better(lead) for lead in curve["lead"]]
        return pd.DataFrame({self.axis.name: steps, **metrics, "better": better, "error": curve["error"]})

    def _better(self, lead: float) -> str:
        return {1.0: self.names[0], -1.0: self.names[1], 0.0: TIE}.get(float(lead), "")


def _is_continuous(problem: Problem, axis: Axis) -> bool:
    """Whether it has values between its steps, and so have those that move along."""
    group = next(group for group in problem.sweep.space.groups if axis in group)
    return all(each.values.dtype.kind == "f" for each in group)


def _between_steps(steps: NDArray[Any], lead: NDArray[np.float64]) -> list[tuple[Any, Any, float, float]]:
    """From the last step at which one leads to the first at which the other does."""
    seen = np.flatnonzero(np.abs(lead) == 1)
    return [(steps[i].item(), steps[j].item(), lead[i], lead[j]) for i, j in pairwise(seen) if lead[i] != lead[j]]
