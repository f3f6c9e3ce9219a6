"""What a study gave: its points, run by run, and figures looked up in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from simulator.config.choose import check_name
from simulator.errors import ConfigError
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.scenario.evaluator import evaluator
from simulator.scenario.kept import Kept
from simulator.scenario.metric import Metric
from simulator.scenario.table import Table, Take
from simulator.study.form import RUN, Lookup, Sense
from simulator.study.load import Study
from simulator.study.problem import Problem
from simulator.study.run import FRONT, computed
from simulator.study.searches import searched
from simulator.units import parse

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int, int], None]
"""Called with the points done and the points in all."""
Wanted = tuple[str, Mapping[str, Any]]
"""A metric or look-up, and the values of keys under which it is looked up."""


@dataclass(frozen=True, eq=False, repr=False)
class StudyResults(Result):
    """The points of a study.

    Attributes:
        points: of each run, a row a point: axes by path, metrics, derived values, `feasible`, `front`.
        searches: `method`, `seed`, `evaluations`, and the share of the `hypervolume` of all points; None without any.
    """

    study: Study
    points: Mapping[str, pd.DataFrame]
    searches: pd.DataFrame | None
    provenance: Provenance

    def __post_init__(self) -> None:
        """Leave infinite figures: what a study derives may be divided by nothing."""

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        kept = {
            name: each[each[FRONT]] if self.study.form.keep == "front" else each for name, each in self.points.items()
        }
        if self.study.form.runs:
            kept = {name: each.assign(**{RUN: name})[[RUN, *each]] for name, each in kept.items()}
        points = pd.concat(list(kept.values()), ignore_index=True) if len(kept) > 1 else next(iter(kept.values()))
        return {"points": points.dropna(axis=1, how="all")} | (
            {} if self.searches is None else {"searches": self.searches}
        )

    def named(self, run: str | None = None) -> pd.DataFrame:
        """The points of a run, or of all, with axes by their names."""
        import pandas as pd

        parts = []
        for group, names in self.study.groups.items() if run is None else [(run, self.study.groups[run])]:
            for name in names:
                own = self.points[name].rename(columns=dict(self.study.runs[name].sweep.space.aliases))
                parts.append(own.assign(**{RUN: group})[[RUN, *own]] if self.study.form.runs else own)
        return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]

    def units(self, run: str | None = None) -> dict[str, str]:
        """The SI units of the columns of `named` that have one."""
        units: dict[str, str] = {}
        for name in self._runs(run):
            problem = self.study.runs[name]
            names = problem.sweep.space.aliases
            units |= {names.get(path, path): unit for path, unit in problem.units.items()}
        return units

    @cached_property
    def tables(self) -> dict[str | None, Table]:
        """The table of each run by its name, and that of all."""
        return {run: self._table(run) for run in (None, *self.study.groups)}

    def _runs(self, run: str | None) -> list[str]:
        """The runs that are parts of one, or all."""
        return list(self.points) if run is None else self.study.groups[run]

    def _table(self, run: str | None) -> Table:
        frame = self.named(run)
        metrics = {
            metric.name: metric
            for name in self._runs(run)
            for metric in evaluator(self.study.runs[name].sweep.base).metrics
        }
        keys = [key for key in self.study.keys if key in frame]
        others = (str(name) for name in frame if name not in (*keys, *metrics, "error"))
        metrics |= {name: Metric(name, "" if frame[name].dtype == object else "1") for name in others}
        return Table(frame, keys, {name: each for name, each in metrics.items() if name in frame}, self.provenance)

    def senses(self, run: str | None = None) -> dict[str, Sense]:
        """The objectives of a run, or of all."""
        runs = (self.study.runs[name] for name in self._runs(run))
        return {name: sense for each in runs for name, sense in each.objectives.items()}

    @cached_property
    def _looked(self) -> dict[str, tuple[Table, str]]:
        """The tables in which look-ups are made, and the column of each: kept, for many published values are of one."""
        return {}

    def _look(self, lookup: Lookup) -> tuple[Table, str]:
        key, runs = lookup.model_dump_json(), lookup.run
        if key not in self._looked:
            table, column = self.tables[runs[0] if len(runs) == 1 else None], lookup.of
            if len(runs) > 1:
                table = replace(table, frame=table.frame[table.frame[RUN].isin(runs)])
            if isinstance(lookup.over, str):
                table = table.normalise(column, lookup.over, lookup.by or ())
            elif lookup.over and lookup.by is None:
                table, column = table.ratio(column, _typed(self.study, lookup.over), lookup.inverse), "ratio"
            elif lookup.over:
                table = table.normalise(column, _typed(self.study, lookup.over), lookup.by or ())
            self._looked[key] = table, column
        return self._looked[key]

    def looked_up(self, metric: str, run: str | None = None) -> NDArray[Any]:
        """A look-up of each case of `named`."""
        runs = () if run is None else (run,)
        table, column = self._look(_lookup(self.study, metric).model_copy(update={"run": runs}))
        values: NDArray[Any] = table.frame[column].to_numpy()
        return values

    def cases(self, metric: str, condition: Mapping[str, Any]) -> pd.DataFrame:
        """The cases in which a metric or look-up is looked up under a condition.

        Raises:
            ConfigError: no such metric or key, or a value that no case has.
        """
        lookup, keys = lookup_of(self.study, metric, condition)
        return self._chosen(lookup, keys)[0].frame

    def _chosen(self, lookup: Lookup, keys: Mapping[str, Any]) -> tuple[Table, str]:
        """The cases that a look-up and keys leave, by keys before metrics, and the column that is looked up."""
        table, column = self._look(lookup)
        where = _typed(self.study, lookup.where)
        of_keys = {key: value for key, value in where.items() if key not in table.metrics}
        of_metrics = {key: value for key, value in where.items() if key in table.metrics}
        return table.select(**of_keys).select(**_typed(self.study, keys)).select(**of_metrics), column

    def measure(self, metric: str, condition: Mapping[str, Any]) -> float | None:
        """A metric or look-up of the cases that a condition leaves; None where they failed.

        Raises:
            ConfigError: no such metric or key; no case, or several where one is needed.
        """
        lookup, keys = lookup_of(self.study, metric, condition)
        table, column = self._chosen(lookup, keys)
        if lookup.while_ is not None and lookup.along is not None:
            table = table.while_(lookup.while_, lookup.along)
        if lookup.take is not None:
            return table.take(column, lookup.take)
        return _only(table, column, condition)

    def holds(self, metric: str, condition: Mapping[str, Any]) -> bool:
        """Whether a run has cases of a metric or look-up under a condition."""
        lookup, _ = lookup_of(self.study, metric, condition)
        runs = _runs(self.study, lookup)
        return any(len(_rows(self.study, name, [(metric, condition)], divisors=False)) for name in runs)


def _only(table: Table, column: str, condition: Mapping[str, Any]) -> float | None:
    """The metric of the one case of a table; that of equal cases of several runs is one."""
    keys = [key for key in table.keys if key != RUN and key in table.frame]
    frame = table.frame if len(table.frame) == 1 else table.frame.drop_duplicates([*keys, column])
    if len(frame) != 1:
        raise _not_one(len(frame), condition, [key for key in table.keys if frame[key].nunique(dropna=False) > 1])
    value = frame[column].iloc[0]
    if isinstance(value, str):
        raise ConfigError(path=column, found=f"the text '{value}'", expected="a number")
    return None if value != value else float(value)


def _not_one(cases: int, condition: Mapping[str, Any], telling: Iterable[str]) -> ConfigError:
    """The error of a figure that is looked up in no case, or in several that these keys tell apart."""
    if not cases:
        return ConfigError("no such case", found=_written(condition), expected="the values of one case")
    apart = " and ".join(telling)
    return ConfigError(
        "several cases",
        found=f"{cases} with {_written(condition)}",
        expected=f"one: say its {apart}" if apart else "one",
    )


def _written(condition: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in condition.items()) or "no condition"


def _lookup(study: Study, metric: str) -> Lookup:
    lookup = study.form.metrics.get(metric)
    if lookup is None:
        check_name(metric, [*study.form.metrics, *study.columns], message="no such metric")
        lookup = Lookup(of=metric)
    return lookup


def lookup_of(study: Study, metric: str, condition: Mapping[str, Any]) -> tuple[Lookup, dict[str, Any]]:
    """The look-up of a metric as the words of a condition have it, and the keys of cases that the condition gives.

    Raises:
        ConfigError: no such metric; a run, a case or a way to take one of several that there is not.
    """
    lookup, keys = _lookup(study, metric), dict(condition)
    changes: dict[str, Any] = {}
    for word, part in lookup.reads.items():
        if word in keys:
            value = keys.pop(word)
            section, dot, key = part.partition(".")
            if dot:
                own = changes.get(section, getattr(lookup, section))
                changes[section] = {**(own if isinstance(own, dict) else {}), key: value}
            else:
                name = check_name(str(value), study.form.groups if part == RUN else get_args(Take), word)
                changes[part] = (name,) if part == RUN else name
        elif part.startswith("over.") and part.removeprefix("over.") not in lookup.over:
            raise ConfigError("missing key", path=word, expected="a value of the cases to divide by")
    return lookup.model_copy(update=changes), keys


def _typed(study: Study, condition: Mapping[str, Any]) -> dict[str, Any]:
    """A condition with its numbers in SI units, where it has them as texts."""
    typed = {}
    for key, value in condition.items():
        if key not in study.columns:
            check_name(key, study.keys, message="no such key")
        known = study.values(key) or []
        if value not in known and isinstance(value, str) and not any(isinstance(each, str) for each in known):
            value = parse(value, study.unit(key))
        typed[key] = value
    return typed


def check_lookup(study: Study, metric: str, condition: Mapping[str, Any]) -> None:
    """Nothing where a study has a metric or look-up and cases under a condition, one if it takes one; else an error."""
    lookup, keys = lookup_of(study, metric, condition)
    rows = {name: _rows(study, name, [(metric, condition)], divisors=False) for name in _runs(study, lookup)}
    if not any(map(len, rows.values())):
        _typed(study, keys)
        raise _not_one(0, condition, ())
    if lookup.take or lookup.over or lookup.while_ or not set(lookup.where) <= set(study.keys):
        return  # which cases are left, and whether they are one, the results tell
    for name, some in rows.items():
        if len(some) > 1:
            problem = study.runs[name]
            names, columns = problem.sweep.space.aliases, problem.columns(0, problem.points)
            apart = [names[path] for path, each in columns.items() if len({*each[some].tolist()}) > 1]
            raise _not_one(len(some), condition, apart)


def results_of(
    study: Study,
    wanted: Iterable[Wanted] | None = None,
    progress: Progress | None = None,
    *,
    only: bool = False,
    store: Path | None = None,
) -> StudyResults:
    """Compute the points of a study: all, or those that the `wanted` figures need, and then no searches.

    With `only`, no more metrics of a point than the figures need of it. `store`: a folder in which points are kept
    (`scenario/kept.py`), not to be computed again.

    Raises:
        ConfigError: none of all points can be computed: why the first cannot.
    """
    figures = None if wanted is None else list(wanted)
    rows = {name: _shown(study, name, figures, only) for name in study.runs}
    total, done = sum(len(each) for parts in rows.values() for each, _ in parts), 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if progress:
            progress(done, total)

    kept = Kept.of(store, study.inputs) if store else None
    points = {name: _computed(replace(problem, kept=kept), rows[name], advance) for name, problem in study.runs.items()}
    if wanted is None:
        _check_some(points.values())
    searches = searched(study, points, kept) if study.form.search and wanted is None else None
    made_from = {"experiment": study.config.data, "set": dict(study.settings), **study.inputs}
    return StudyResults(study, points, searches, Provenance(made_from))


Shown = tuple[NDArray[np.int64], frozenset[str] | None]
"""Some points of a run, and the columns of these that are looked at; None: all are."""


def _shown(study: Study, run: str, wanted: Sequence[Wanted] | None, only: bool) -> list[Shown]:
    """The points of a run that some figures need, or all; with `only`, by the columns that these need."""
    if not (wanted and only):
        return [(_rows(study, run, wanted), None)]
    shown = np.full(study.runs[run].points, frozenset(), dtype=object)
    for each, needed in zip(wanted, _needed(study, run, wanted), strict=True):
        shown[needed] |= _columns(study, *each)
    several = sorted(set(shown[shown != frozenset()]), key=sorted)
    return [(np.flatnonzero(shown == names), names) for names in several] or [(np.empty(0, dtype=np.int64), None)]


def _columns(study: Study, metric: str, condition: Mapping[str, Any]) -> frozenset[str]:
    """The columns that a look-up reads under a condition."""
    lookup, keys = lookup_of(study, metric, condition)
    return frozenset({lookup.of, lookup.along or "", lookup.while_ or "", *keys, *lookup.where})


def _computed(problem: Problem, parts: Sequence[Shown], advance: Callable[[int], None]) -> pd.DataFrame:
    """The points of a run in their order, some after others by what is looked at of them."""
    import pandas as pd

    frames = [computed(replace(problem, shown=shown), rows, advance).set_index(rows) for rows, shown in parts]
    return frames[0].reset_index(drop=True) if len(frames) == 1 else pd.concat(frames).sort_index(ignore_index=True)


def _check_some(parts: Iterable[pd.DataFrame]) -> None:
    errors = [str(error) for part in parts for error in part["error"]]
    if errors and all(errors):
        raise ConfigError(f"none of {len(errors):,} points can be computed, the first for: {errors[0]}")


def _runs(study: Study, lookup: Lookup) -> list[str]:
    return [name for group, names in study.groups.items() if not lookup.run or group in lookup.run for name in names]


def _rows(study: Study, run: str, wanted: Sequence[Wanted] | None, divisors: bool = True) -> NDArray[np.int64]:
    """The points of a run that some figures are of, with those that these are divided by; all, where nothing says."""
    if wanted is None:
        return np.arange(study.runs[run].points, dtype=np.int64)
    return np.flatnonzero(np.logical_or.reduce([*_needed(study, run, wanted, divisors)]))


def _needed(study: Study, run: str, wanted: Sequence[Wanted], divisors: bool = True) -> Iterator[NDArray[np.bool_]]:
    """Which points of a run each figure is of, with those that it is divided by."""
    problem: Problem = study.runs[run]
    names = problem.sweep.space.aliases
    columns: dict[str, Any] = {names[path]: each for path, each in problem.columns(0, problem.points).items()}
    group = next(group for group, names in study.groups.items() if run in names)
    columns[RUN] = np.full(problem.points, group, dtype=object)
    for metric, words in wanted:
        needed = np.zeros(problem.points, dtype=np.bool_)
        lookup, condition = lookup_of(study, metric, words)
        if run not in _runs(study, lookup):
            yield needed
            continue
        condition = {key: value for key, value in condition.items() if key in study.keys}
        alike = {key: value for key, value in condition.items() if key in (lookup.by or ())}
        if isinstance(lookup.over, str):
            others = alike
        else:
            others = {**(condition if lookup.by is None else alike), **lookup.over}
        where = {key: value for key, value in lookup.where.items() if key in study.keys}
        for values in ({**where, **condition}, others) if divisors else ({**where, **condition},):
            if set(values) <= set(columns):
                masks = [columns[key] == value for key, value in _typed(study, values).items()]
                needed |= np.logical_and.reduce(masks) if masks else True
        yield needed
