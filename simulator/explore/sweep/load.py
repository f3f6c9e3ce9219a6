"""A sweep, read from its YAML and checked: every path, value, name and expression of it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import numpy as np

from simulator.config import Config, KeyPath, load, validate
from simulator.config.path import Figure
from simulator.data import folder
from simulator.errors import ConfigError, described
from simulator.explore.sweep.axis import Axis
from simulator.explore.sweep.expression import Expression, check, parse
from simulator.explore.sweep.form import Form, Steps, Varied
from simulator.explore.sweep.roots import Roots
from simulator.explore.sweep.space import Space
from simulator.explore.sweep.steps import values
from simulator.explore.sweep.warned import warn_of
from simulator.hardware import load_system
from simulator.scenario.evaluator import evaluator
from simulator.scenario.form import Scenario
from simulator.scenario.metric import ERROR
from simulator.workload import load_model

OURS = ("point", "feasible", "front")
"""Columns of results beside axes, metrics and what is derived from them."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a sweep's YAML asks for: the points of `space` over `base`, and what is wanted of them.

    `axes` are by path; `derived` are in the order in which one may use another.
    """

    title: str
    base: Scenario
    axes: Mapping[str, Axis]
    space: Space
    derived: Mapping[str, Expression]
    constraints: Sequence[Expression]
    objectives: Mapping[str, Literal["max", "min"]]


def load_sweep(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
) -> tuple[Sweep, Config]:
    """Read a sweep by name or path; `overrides` are `path.to.key=value`.

    Raises:
        ConfigError: what is wrong with the file, with its line and key path.
    """
    config = load(found(name_or_path), "experiments", overrides)
    form = validate(config, Form)
    metrics = {metric.name: metric.unit for metric in (*evaluator(form.base).metrics, ERROR)}
    groups = _groups(form, config, metrics)
    axes = {axis.path: axis for group in groups for axis in group}
    _warn(form, axes, config)
    with located(config, ("axes",)):
        space = Space(groups)
    known = _of_their_kinds(axes.values(), metrics)
    texts = texts_of(axes.values())
    reserved = {name.casefold() for name in (*axes, *space.aliases.values(), *metrics, *OURS)}
    derived: dict[str, Expression] = {}
    for name, text in form.derived.items():
        with located(config, ("derived", name)):
            _check_identifier(name)
            if name.casefold() in reserved:
                raise ConfigError("a name that is taken", found=f"'{name}'", expected="another, whatever its case")
            derived[name] = parse(str(text))
            derived[name].check_texts(texts)
            known[name] = derived[name].at(known)
        reserved.add(name.casefold())
    constraints = []
    for position, text in enumerate(form.constraints):
        with located(config, ("constraints", position)):
            constraints.append(parse(text))
            constraints[-1].check_texts(texts)
            constraints[-1].holds(known)
    for name in form.objectives:
        with located(config, ("objectives", name)):
            check([name], known)
            if any(isinstance(value, str) for value in np.ravel(known[name])):
                raise ConfigError(found="a text", expected="a number to be large or small")
    return Sweep(form.title, form.base, axes, space, derived, tuple(constraints), form.objectives), config


def found(name_or_path: str | Path) -> str | Path:
    """The sweep of a study by the study's name; any other name or path as it is."""
    file = folder("experiments") / str(name_or_path) / "sweep.yaml"
    return file if file.is_file() else name_or_path


def texts_of(axes: Iterable[Axis]) -> dict[str, list[str]]:
    """The texts that each axis of texts may be, by its name; where it does not vary, that of the base too."""
    values = {axis.name: [*axis.values.tolist(), axis.otherwise] for axis in axes if axis.values.dtype == object}
    return {name: [each for each in some if isinstance(each, str)] for name, some in values.items()}


def _of_their_kinds(axes: Iterable[Axis], metrics: Mapping[str, str]) -> dict[str, Any]:
    """A text or a number for each name, on which an expression shows whether it takes one for the other."""
    found: dict[str, Any] = {name: math.nan if unit else name for name, unit in metrics.items()}
    for axis in axes:
        texts = (value for value in axis.values if isinstance(value, str)) if axis.values.dtype == object else ()
        found[axis.name] = next(iter(texts), math.nan)
    return found


@dataclass(frozen=True)
class _Given:
    """An axis as the YAML has it: `at` which key, the path of its figure, and its steps."""

    at: KeyPath
    path: str
    steps: Varied

    @property
    def name(self) -> str | None:
        return self.steps.name if isinstance(self.steps, Steps) else None

    @property
    def when(self) -> str | None:
        return self.steps.when if isinstance(self.steps, Steps) else None

    def listed(self) -> Iterator[tuple[KeyPath, Any]]:
        """The values of a list, each with its key."""
        of, at = (self.steps, self.at) if isinstance(self.steps, list) else (self.steps.values, (*self.at, "values"))
        yield from (((*at, position), value) for position, value in enumerate(of or ()))


def _groups(form: Form, config: Config, metrics: Collection[str]) -> list[list[Axis]]:
    """The axes that move together, those of `zip` first."""
    given = [
        [_Given(("zip", position, path), path, steps) for path, steps in group.items()]
        for position, group in enumerate(form.zip)
    ]
    given += [[_Given(("axes", path), path, steps)] for path, steps in form.axes.items()]
    every = {each.path: each for group in given for each in group}
    if not every:
        raise config.error(("axes",), "nothing varies", expected="a path and its values")
    for group in given:
        for each in group:
            if every[each.path] is not each:
                raise config.error(every[each.path].at, "an axis that is there already", expected="one of a path")
    names = _names(list(every.values()), config, metrics)
    roots = _roots(form.base, every, config)
    groups: list[list[Axis]] = []
    for group in given:
        before = [axis for earlier in groups for axis in earlier]
        groups.append([_axis(each, names, before, roots, config) for each in group])
        lengths = [len(axis) for axis in groups[-1]]
        if len(set(lengths)) > 1:
            found = f"{', '.join(map(str, lengths))} values"
            raise config.error(group[0].at[:-1], "axes that move together", found=found, expected="as many for each")
    _check_base(roots, config)
    return groups


def _check_base(roots: Roots, config: Config) -> None:
    """Nothing where the names of the base are known; else a ConfigError."""
    for path, figure in roots.named():
        with located(config, ("base", *path.split("."))):
            figure.read(figure.value)


def _axis(given: _Given, names: Mapping[str, str], before: Sequence[Axis], roots: Roots, config: Config) -> Axis:
    with located(config, given.at):
        figure = roots.figure(given.path, everywhere=given.when is None)
        steps = values(given.steps, figure)
    if given.when is None:
        return Axis(given.path, names[given.path], steps, figure.unit)
    with located(config, (*given.at, "when")):
        if given.at[0] == "zip":
            raise ConfigError("axes that move together have no condition", found=described(given.when))
        when = parse(given.when)
        known = [axis.name for axis in before]
        later = sorted(when.names & set(names.values()) - set(known))
        if later:
            raise ConfigError("in a condition", found=f"'{later[0]}'", expected="an axis before this one")
        when.check(known)
        when.check_texts(texts_of(before))
    return Axis(given.path, names[given.path], steps, figure.unit, when, figure.value)


def _roots(base: Scenario, every: Mapping[str, _Given], config: Config) -> Roots:
    """The machines and models of the base and of the axes, read."""

    def read(root: str, load_one: Callable[[str], Any]) -> list[Any]:
        axis, name = every.get(root), getattr(base, root)
        places = list(axis.listed()) if axis else []
        if axis is None or axis.when is not None:
            places.append((("base", root), name))
        found = []
        for at, each in places:
            if each is None and at[0] == "base":
                raise config.error(at, "missing key", expected="a name or a path")
            with located(config, at):
                found.append(load_one(each if at[0] == "base" else Figure(None, str).read(each)))
        if axis and not places:
            raise config.error(axis.at, "names", expected="a list")
        return found

    return Roots(base, read("hardware", load_system), read("model", load_model))


def _warn(form: Form, axes: Mapping[str, Axis], config: Config) -> None:
    """Warn of what the axes make of each machine and model."""
    loads = {"hardware": load_system, "model": load_model}
    for path, axis in axes.items():
        root, dot, _ = path.partition(".")
        if dot and root in loads:
            names = axes[root].values.tolist() if root in axes else [getattr(form.base, root)]
            at = next((("zip", i, path) for i, group in enumerate(form.zip) if path in group), ("axes", path))
            for name in names:
                warn_of(axis, at, name, loads[root], config)


def _names(every: Sequence[_Given], config: Config, metrics: Collection[str]) -> dict[str, str]:
    """What expressions call each path: its `name`, else its last key where no other is so called, else all of it."""
    names = {each.path: each.name for each in every if each.name is not None}
    lasts = Counter(each.path.rpartition(".")[2] for each in every if each.name is None)
    for each in every:
        if each.name is not None:
            with located(config, (*each.at, "name")):
                _check_identifier(each.name)
            continue
        last = each.path.rpartition(".")[2]
        unique = lasts[last] == 1 and last.isidentifier() and not iskeyword(last)
        free = last not in (*metrics, *OURS, *names.values())
        names[each.path] = last if unique and free else re.sub(r"\W+", "_", each.path)
    ours = dict.fromkeys(metrics, "a metric") | dict.fromkeys(OURS, "a column of the results")
    seen = {name.casefold(): what for name, what in ours.items()}  # SQL does not tell case apart
    for each in every:
        name = names[each.path]
        if other := seen.get(name.casefold()):
            at = (*each.at, "name") if each.name else each.at
            raise config.error(at, f"the name of {other} too", found=f"'{name}'", expected="another, whatever its case")
        seen[name.casefold()] = each.path
    return names


def _check_identifier(name: str) -> None:
    if not name.isidentifier() or iskeyword(name) or normalize("NFKC", name) != name:
        raise ConfigError("no name", found=described(name), expected="letters, digits and underscores, such as 'hbm'")


@contextmanager
def located(config: Config, at: KeyPath) -> Iterator[None]:
    """Give an error the file, the line and the key path of what is read; its own path leads on from there."""
    try:
        yield
    except ConfigError as error:
        if error.file is not None:
            raise
        on = () if error.path is None else (error.path,) if isinstance(error.path, str) else tuple(error.path)
        path = (*at, *on)
        raise config.error(
            path, error.message, found=error.found, expected=error.expected, nearest=error.nearest
        ) from None
