"""A sweep that can be computed: the metrics of its points, what is derived from them, and what must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from simulator.config import Config
from simulator.config.resolve import Override
from simulator.errors import ConfigError
from simulator.provenance import Provenance
from simulator.scenario.evaluator import evaluated, evaluator
from simulator.scenario.kept import Kept
from simulator.scenario.metric import ERROR
from simulator.study.checked import load_sweep
from simulator.study.space.columns import Columns, Evaluate
from simulator.study.space.expression import Expression, parse
from simulator.study.store import CHUNK, MANIFEST, Manifest, check_same, load_store
from simulator.study.stored import Stored
from simulator.study.sweep import Sweep

FEASIBLE = "feasible"
"""The column that says whether a point did not fail and all constraints hold."""
FILES = 1000  # of a sweep whose points are slow


@dataclass(frozen=True, eq=False)
class Problem:
    """A sweep and what evaluates it: a `Job` for `execute`, and an `Evaluate` by itself."""

    sweep: Sweep
    metrics: Mapping[str, str]
    provenance: Provenance
    requires: Mapping[Expression, str] = field(default_factory=dict)
    """The constraints that the evaluator requires, or the sweep in their stead, and the metrics that say why one is not
    known to hold."""
    stored: Stored | None = None
    """Points that are computed already."""
    shown: frozenset[str] | None = None
    """The columns that are looked at, beside what the run itself reads: others are not computed. None: all are."""
    kept: Kept | None = None
    """Where points are kept from run to run."""

    @property
    def points(self) -> int:
        return len(self.sweep.space)

    @property
    def chunk(self) -> int:
        """Points a file, and the least that is computed again: of slow ones a thousandth of all."""
        return CHUNK if evaluator(self.sweep.base).vectorised else min(max(1, self.points // FILES), CHUNK)

    @property
    def objectives(self) -> Mapping[str, Literal["max", "min"]]:
        return self.sweep.objectives

    @cached_property
    def units(self) -> Mapping[str, str]:
        """Of axes, by path, and of metrics; what is derived has none that is known."""
        axes = {path: axis.unit for path, axis in self.sweep.axes.items() if axis.unit}
        return {**axes, **{name: unit for name, unit in self.metrics.items() if unit}}

    @property
    def evaluate(self) -> Evaluate:
        return self

    def columns(self, start: int, stop: int) -> Columns:
        return self.sweep.space.columns(start, stop)

    def __call__(self, columns: Columns) -> Columns:
        """Metrics, derived values and `feasible` of points."""
        metrics = self.stored.metrics(columns, self._computed) if self.stored else self._computed(columns)
        points = len(metrics["error"])
        known = self.named(columns, metrics)
        for name, expression in self.sweep.derived.items():
            value = np.broadcast_to(expression.at(known), points)
            known[name] = metrics[name] = value if value.dtype == object else value.astype(float)
        holds = metrics["error"] == ""
        for mask in self.constraints(columns, metrics).values():
            holds = holds & mask
        return {**metrics, FEASIBLE: np.asarray(holds, dtype=bool)}

    def _computed(self, columns: Columns) -> dict[str, Any]:
        return evaluated(self.sweep.base, self.sweep.scenarios(columns), self._read, self.kept)

    @cached_property
    def _read(self) -> frozenset[str] | None:
        """The names that are looked at, or read by what is derived, must hold, or is to be large or small."""
        if self.shown is None:
            return None
        expressions = (*self.sweep.derived.values(), *self.sweep.constraints)
        return self.shown.union(self.objectives, self.requires.values(), *(each.names for each in expressions))

    def named(self, columns: Columns, metrics: Columns) -> dict[str, Any]:
        """Axes and metrics of points by the names that expressions use."""
        names = self.sweep.space.aliases
        return {**{names[path]: values for path, values in columns.items() if path in names}, **metrics}

    def constraints(self, columns: Columns, metrics: Columns) -> dict[str, NDArray[np.bool_]]:
        """Where each constraint holds, by its text; a point without a number for it does not meet it."""
        known, points = self.named(columns, metrics), len(metrics["error"])
        return {each.text: np.broadcast_to(each.holds(known), points) for each in self.sweep.constraints}

    def unfit(self, known: Columns) -> NDArray[np.object_]:
        """Why each point is not to be compared with others: its error, or what its evaluator requires and it lacks.

        `known` are its axes and metrics by the names that expressions use.
        """
        why = np.array(known["error"], dtype=object)
        for each, column in self.requires.items():
            lacks = (why == "") & ~each.holds(known)
            reasons = known[column][lacks]
            why[lacks] = [f"'{each.text}' {f'is not known: {text}' if text else 'does not hold'}" for text in reasons]
        return why

    def objective_values(self, columns: Columns, metrics: Columns) -> NDArray[np.float64]:
        """The objectives of points, shape (points, objectives)."""
        known = self.named(columns, metrics)
        values = [np.asarray(known[name], dtype=float) for name in self.objectives]
        return np.stack(values, axis=1) if values else np.empty((len(metrics["error"]), 0))


def read_problem(name_or_path: str | Path, overrides: Sequence[Override] = (), run: str | None = None) -> Problem:
    """A run of a study, ready to be computed; `overrides` are `path.to.key=value`, of its YAML or of all scenarios.

    Of a folder of its results, with all points that this has: they are not computed again.

    Raises:
        ConfigError: what is wrong with the file, with its line and key path.
    """
    folder = Path(name_or_path)
    if (folder / MANIFEST).is_file():
        return _of_results(folder, overrides, run)
    return problem_of(*load_sweep(name_or_path, overrides, run))


def _of_results(folder: Path, overrides: Sequence[Override], run: str | None) -> Problem:
    """The problem whose points are in a folder.

    Raises:
        ConfigError: they are of another release, or of a search; overrides, which they do not have.
    """
    store = load_store(folder)
    if overrides or run is not None:
        found = "settings" if overrides else f"the run '{run}'"
        raise ConfigError(file=folder, found=found, expected="none: results are of what they were computed with")
    made_from = store.manifest.config
    if "search" in made_from:
        raise ConfigError("it holds points of a search", file=folder, expected="the results of `tiersim sweep`")
    problem = problem_of(*load_sweep(made_from["sweep"], [*made_from.get("set", {}).items()], made_from.get("run")))
    check_same(store.manifest, Manifest.of(problem.provenance, problem.points, problem.chunk), folder / MANIFEST)
    raw = [metric.name for metric in (*evaluator(problem.sweep.base).metrics, ERROR)]
    frame = store.frame(columns=["point", *raw])
    return replace(problem, stored=Stored(problem.sweep.space, frame) if len(frame) else None)


def problem_of(sweep: Sweep, config: Config) -> Problem:
    """What evaluates a run."""
    kind = evaluator(sweep.base)
    requires: dict[Expression, str] = {}
    for text, why in kind.requires.items():
        own = [each for each in sweep.constraints if each.names & parse(text).names]
        requires |= dict.fromkeys(own or [parse(text)], why)
    sweep = replace(sweep, constraints=tuple(dict.fromkeys([*sweep.constraints, *requires])))
    metrics = {metric.name: metric.unit for metric in (*kind.metrics, ERROR)} | {FEASIBLE: ""}
    set_to = {"set": dict(sweep.settings)} if sweep.settings else {}
    of_run = {"run": sweep.run} if sweep.run else {}
    made_from = Provenance({"sweep": config.data, "names": dict(sweep.space.aliases), **set_to, **of_run})
    return Problem(sweep, metrics, made_from, requires)
