"""A run of a study, read from its YAML and checked: every path, value, name and expression of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from simulator.config import Config
from simulator.errors import ConfigError
from simulator.hardware.cost import load_costs
from simulator.scenario.cases import Columns
from simulator.scenario.costs import NAMES as COSTS
from simulator.scenario.evaluator import evaluator
from simulator.scenario.form import Scenario
from simulator.scenario.metric import ERROR
from simulator.study.cases import Cases, scenario_columns
from simulator.study.form import StudyForm
from simulator.study.partial import laid, located_in
from simulator.study.run_section import RunSection, located
from simulator.study.space.axes import OURS, check_identifier, groups_of, texts_of
from simulator.study.space.axis import Axis
from simulator.study.space.expression import Expression, check, parse
from simulator.study.space.roots import of_path
from simulator.study.space.space import Space


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a run of a study asks for: the points of `space` over `base`, and what is wanted of them.

    `axes` are by path; of those in `cases`, a value is the name of a partial scenario. `settings` are what holds for
    all points, whatever base and cases have. `derived` are in the order in which one may use another. `run` is the
    name, of a study that has several.
    """

    title: str
    base: Scenario
    axes: Mapping[str, Axis]
    space: Space
    derived: Mapping[str, Expression]
    constraints: Sequence[Expression]
    objectives: Mapping[str, Literal["max", "min"]]
    cases: Mapping[str, Cases] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    run: str = ""

    def scenarios(self, columns: Columns) -> Columns:
        """What an evaluator reads of points: the columns with the figures of cases and settings."""
        return scenario_columns(columns, self.cases, self.settings) if self.cases or self.settings else columns


def sweep_of(form: StudyForm, config: Config, name: str, settings: Mapping[str, Any]) -> Sweep:
    """A run of a study, checked.

    Raises:
        ConfigError: what is wrong with it, with its line and key path.
    """
    section = RunSection(form, config, name)
    base = laid(section.layers, config)
    if base.costs is not None:
        with located_in(section.layers, config), of_path("costs"):
            load_costs(base.costs)
    metrics = {metric.name: metric.unit for metric in (*evaluator(base).metrics, ERROR)}
    groups, cases, settings = groups_of(section, base, settings, metrics)
    axes = {axis.path: axis for group in groups for axis in group}
    with located(config, section.at("axes")):
        space = Space(groups)
    known = _of_their_kinds(axes.values(), metrics)
    texts = texts_of(axes.values())
    reserved = {name.casefold() for name in (*axes, *space.aliases.values(), *metrics, *OURS)}
    derived: dict[str, Expression] = {}
    for at, name, text in section.listed("derived"):
        with located(config, at):
            check_identifier(name)
            if name.casefold() in reserved:
                raise ConfigError("a name that is taken", found=f"'{name}'", expected="another, whatever its case")
            derived[name] = parse(str(text))
            derived[name].check_texts(texts)
            known[name] = derived[name].at(known)
            _check_costs(base, cases, settings, derived[name].names)
        reserved.add(name.casefold())
    constraints = []
    for at, _, text in section.listed("constraints"):
        with located(config, at):
            constraints.append(parse(text))
            constraints[-1].check_texts(texts)
            constraints[-1].holds(known)
            _check_costs(base, cases, settings, constraints[-1].names)
    objectives = {}
    for at, name, sense in section.listed("objectives"):
        with located(config, at):
            check([name], known)
            if any(isinstance(value, str) for value in np.ravel(known[name])):
                raise ConfigError(found="a text", expected="a number to be large or small")
            _check_costs(base, cases, settings, {name})
            objectives[name] = sense
    title = section.run.title or form.title
    return Sweep(
        title,
        base,
        axes,
        space,
        derived,
        tuple(constraints),
        objectives,
        cases,
        settings,
        section.name if form.runs else "",
    )


def _check_costs(
    base: Scenario, cases: Mapping[str, Cases], settings: Mapping[str, Any], names: Collection[str]
) -> None:
    """Nothing where a scenario has a table of costs, or nothing asks for one; else a ConfigError."""
    has_some = base.costs or "costs" in settings or any("costs" in each.columns for each in cases.values())
    if not has_some and (lost := sorted(set(COSTS).intersection(names))):
        raise ConfigError(found=f"'{lost[0]}', and no costs in the base", expected="base.costs: a table's name")


def _of_their_kinds(axes: Iterable[Axis], metrics: Mapping[str, str]) -> dict[str, Any]:
    """A text or a number for each name, on which an expression shows whether it takes one for the other."""
    kinds: dict[str, Any] = {name: math.nan if unit else name for name, unit in metrics.items()}
    for axis in axes:
        texts = (value for value in axis.values if isinstance(value, str)) if axis.values.dtype == object else ()
        kinds[axis.name] = next(iter(texts), math.nan)
    return kinds
