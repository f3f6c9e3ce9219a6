"""A study, read from its YAML and checked: its runs, its variants, what it looks up and what it draws."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from simulator.config import Config
from simulator.config.choose import check_name
from simulator.config.resolve import OPTION, Override
from simulator.errors import ConfigError
from simulator.files import forget
from simulator.scenario.cases import is_figures
from simulator.scenario.evaluator import evaluator
from simulator.scenario.form import Scenario
from simulator.scenario.table import check_values
from simulator.study.checked import read_sweep
from simulator.study.form import POINTS, RUN, StudyForm, Variant
from simulator.study.problem import Problem, problem_of
from simulator.study.run_section import located, read_study
from simulator.study.space.axes import OURS
from simulator.study.space.expression import parse
from simulator.study.space.roots import LOADS


@dataclass(frozen=True, eq=False)
class Study:
    """A base scenario and what varies of it.

    Attributes:
        form: as the YAML has it.
        runs: what each run computes, by its name.
        settings: what holds in the scenarios of all points, by path.
    """

    form: StudyForm
    config: Config
    runs: Mapping[str, Problem]
    settings: Mapping[str, Any]

    @cached_property
    def keys(self) -> list[str]:
        """What tells cases apart: `run`, where there are several, and the axes of all runs."""
        axes = [name for each in self.runs.values() for name in each.sweep.space.aliases.values()]
        return [*([RUN] if self.form.runs else []), *dict.fromkeys(axes)]

    @cached_property
    def columns(self) -> list[str]:
        """Keys, metrics and derived values of all runs."""
        metrics = (name for each in self.runs.values() for name in (*each.metrics, *each.sweep.derived))
        return list(dict.fromkeys([*self.keys, *metrics, *OURS[:-1]]))

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """The runs that look-ups and charts know, each with those that are its parts."""
        groups: dict[str, list[str]] = {}
        for name in self.runs:
            run = self.form.runs.get(name)
            groups.setdefault((run and run.of) or name, []).append(name)
        return groups

    def values(self, key: str) -> list[Any] | None:
        """What a key may be; None of what is computed."""
        if key == RUN:
            return list(self.groups)
        axes = [axis for each in self.runs.values() for axis in each.sweep.axes.values() if axis.name == key]
        values = [value for axis in axes for value in (*axis.values.tolist(), *([axis.otherwise] if axis.when else []))]
        return list(dict.fromkeys(values)) if axes else None

    def under(self, settings: Mapping[str, Any]) -> Study:
        """The study with other values of what is set already, in SI units."""
        runs = {
            name: replace(
                each,
                sweep=replace(each.sweep, settings={p: settings.get(p, v) for p, v in each.sweep.settings.items()}),
            )
            for name, each in self.runs.items()
        }
        return replace(self, runs=runs, settings={**self.settings, **settings})

    @cached_property
    def inputs(self) -> dict[str, dict[str, Any]]:
        """The resolved configs of all machines and models, by `hardware` and `model` and then by name; and what else
        workloads name files of, by its path.
        """
        configs: dict[str, dict[str, Any]] = {}
        for root in ("hardware", "model"):
            named = [part for each in self.runs.values() for part in _named(each, root)]
            parts = [part for part in named if part is not None and not is_figures(part, root)]
            loaded = {str(part): LOADS[root](part) for part in parts}
            configs[root] = {
                name: one.config.data if root == "hardware" else one.model_dump() for name, one in loaded.items()
            }
        for each in self.runs.values():
            for path, read in getattr(evaluator(each.sweep.base), "files", {}).items():
                names = {name for name in _named(each, path) if isinstance(name, str)}
                configs.setdefault(path, {}).update({name: read(name) for name in sorted(names)})
        return {path: some for path, some in configs.items() if some}

    def path(self, key: str) -> str | None:
        """The path of the figure that a key is of; None of a case, and of what is computed."""
        axes = (axis for each in self.runs.values() for axis in each.sweep.axes.values())
        return next((axis.path for axis in axes if axis.name == key and key not in self.form.cases), None)

    def unit(self, key: str) -> str:
        """The SI unit of a key that is a number; `1` where it has none."""
        axes = (axis for each in self.runs.values() for axis in each.sweep.axes.values())
        return next((axis.unit for axis in axes if axis.name == key and axis.unit), "1")

    def label(self, key: str, value: Any) -> str | None:
        """What charts call a case; None of what is none."""
        case = self.form.cases.get(key, {}).get(value)
        return (case.label or str(value)) if case else None


def load_study(name_or_path: str | Path, overrides: Sequence[Override] = ()) -> Study:
    """Read a study by name or path; `overrides` are `path.to.key=value`, of its YAML or of the scenarios of all points.

    Raises:
        ConfigError: what is wrong with the file, with its line and key path.
    """
    forget()
    study = _loaded(name_or_path, overrides)
    with located(study.config, ()):
        _check_lookups(study)
        _check_charts(study)
        for name, variant in study.form.variants.items():
            for place, run in enumerate(variant.runs):
                check_name(run, study.groups, ("variants", name, "runs", place), "no such run")
    return study


def load_variant(study: Study, name: str, name_or_path: str | Path, overrides: Sequence[Override]) -> Study:
    """A study under the settings of one of its variants, with the runs that this is computed for.

    Raises:
        ConfigError: what is wrong with them, at the line of the variant.
    """
    variant: Variant = study.form.variants[name]
    with _of_variant(study.config, name):
        return _loaded(name_or_path, [*overrides, *variant.set.items()], variant.runs)


def _named(problem: Problem, path: str) -> list[Any]:
    """The machines or models of a run, or the values that it has elsewhere."""
    axis = problem.sweep.axes.get(path)
    own = axis.values.tolist() if axis and path not in problem.sweep.cases else [_of_base(problem.sweep.base, path)]
    return [*own, *(part for each in problem.sweep.cases.values() for part in each.columns.get(path, ()))]


def _of_base(base: Scenario, path: str) -> Any:
    """The value that the base has at a path; None where it has no such section."""
    value: Any = base
    for key in path.split("."):
        value = getattr(value, key, None)
    return value


@contextmanager
def _of_variant(config: Config, name: str) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise ConfigError(
            str(error),
            file=config.file,
            line=config.mark(("variants", name, "set")).line,
            path=("variants", name, "set"),
        ) from None


def _loaded(name_or_path: str | Path, overrides: Sequence[Override], only: Collection[str] = ()) -> Study:
    form, config, settings = read_study(name_or_path, overrides)
    of = {name: run.of or name for name, run in form.runs.items()} or {POINTS: POINTS}
    names = [name for name, group in of.items() if not only or group in only]
    runs = {name: problem_of(read_sweep(form, config, name, settings), config) for name in names}
    for path in settings:
        if not any(path in each.sweep.settings for each in runs.values()):
            expected = f"a run that has a {path.partition('.')[0]}"
            raise ConfigError(file=OPTION, path=path, found="no such run", expected=expected)
    return Study(form, config, runs, settings)


def _check_lookups(study: Study) -> None:
    """Nothing where each look-up is of what some run has; else a ConfigError."""
    for name, each in study.form.metrics.items():
        at = ("metrics", name)
        for run in each.run:
            check_name(run, study.groups, (*at, RUN), "no such run")
        for word, part in each.reads.items():
            keys = [*(f"over.{key}" for key in study.keys), *(f"where.{key}" for key in study.columns)]
            known = [RUN, "take", *keys]
            check_name(part, known, (*at, "reads", word), "no such part of a look-up")
        check_name(each.of, study.columns, (*at, "of"), "no such metric")
        if each.while_ is not None:
            check_name(each.while_, study.columns, (*at, "while"), "no such metric")
            if each.along is None:
                raise ConfigError("missing key", path=(*at, "along"), expected="the key in whose order cases stand")
        for key in filter(None, (each.along, *(each.by or ()))):
            check_name(key, study.keys, (*at, "along" if key == each.along else "by"), "no such key")
        for part, values, known in (("where", each.where, study.columns), ("over", each.over, study.keys)):
            for key, value in values.items() if isinstance(values, dict) else ():
                check_name(key, known, (*at, part, key), "no such key")
                if key in study.keys:
                    check_values([value], study.values(key) or [], (*at, part, key))


def _check_charts(study: Study) -> None:
    """Nothing where each chart shows what there is; else a ConfigError."""
    for name, chart in study.form.charts.items():
        at = ("charts", name)
        if chart.run is not None:
            check_name(chart.run, study.groups, (*at, RUN), "no such run")
        for key, column in chart.columns():
            check_name(column, [*study.columns, *study.form.metrics], (*at, *key), "no such column")
        for key, column, wanted in chart.values():
            check_name(column, study.columns, (*at, *key), "no such column")
            known = study.values(column)
            if known is not None:  # what a metric is cannot be known before
                check_values(wanted if isinstance(wanted, list) else [wanted], known, (*at, *key))
        for key, text in chart.expressions():
            with located(study.config, (*at, *key)):
                parse(text).check([*study.columns, *study.form.metrics])
    if study.form.search and not any(each.objectives for each in study.runs.values()):
        raise ConfigError(path="search", found="a study without objectives", expected="one or more")
