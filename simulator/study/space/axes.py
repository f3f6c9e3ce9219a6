"""The axes of a run as its YAML has them, checked: what moves together, under which names, and in which values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any
from unicodedata import normalize

from simulator.config import Config, KeyPath
from simulator.config.path import Figure
from simulator.config.resolve import OPTION
from simulator.errors import ConfigError, described
from simulator.scenario.cases import is_figures, part_over
from simulator.scenario.evaluator import required
from simulator.scenario.form import Scenario
from simulator.scenario.parts import at_key
from simulator.study.cases import Cases
from simulator.study.form import RUN
from simulator.study.partial import Layer, located_in, values_of
from simulator.study.run_section import Chosen, RunSection, located
from simulator.study.space.axis import Axis, column
from simulator.study.space.expression import parse
from simulator.study.space.form import Steps, Varied
from simulator.study.space.roots import LOADS, Roots
from simulator.study.space.steps import values
from simulator.study.space.warned import warn_of

OURS = ("point", "feasible", "front", RUN)
"""Columns of results beside axes, metrics and what is derived from them."""

Groups = list[list[Axis]]


def groups_of(
    section: RunSection, base: Scenario, settings: Mapping[str, Any], metrics: Collection[str]
) -> tuple[Groups, dict[str, Cases], dict[str, Any]]:
    """The axes that move together: those of cases, those of `zip`, then each other alone; what each case gives; and
    what is set for all points, in SI units.

    Raises:
        ConfigError: what is wrong with one of them, with its line and key path.
    """
    config = section.config
    listed = [
        [_Entry((*at, path), path, steps) for path, steps in group.items()] for at, _, group in section.listed("zip")
    ]
    listed += [[_Entry(at, path, steps)] for at, path, steps in section.listed("axes")]
    every = _by_path(listed, config)
    if not every and not section.cases:
        raise config.error(section.at("axes"), "nothing varies", expected="a path and its values")
    names = _names(list(every.values()), section, metrics)
    roots = _roots(base, every, section)
    cases = {
        axis: Cases.of({each.name: _values(each, roots, section) for each in chosen})
        for axis, chosen in section.cases.items()
    }
    _check_apart(cases, every, config)
    groups: Groups = [[Axis(axis, axis, column([*each.names]))] for axis, each in cases.items()]
    for group in listed:
        before = [axis for earlier in groups for axis in earlier]
        groups.append([_axis(each, names, before, roots, config) for each in group])
        lengths = [len(axis) for axis in groups[-1]]
        if len(set(lengths)) > 1:
            found = f"{', '.join(map(str, lengths))} values"
            raise config.error(group[0].at[:-1], "axes that move together", found=found, expected="as many for each")
    with located_in(section.layers, config):
        roots.check_names()
    _warn(every, groups, roots, config)
    return groups, cases, _settings(settings, every, roots)


def texts_of(axes: Iterable[Axis]) -> dict[str, list[str]]:
    """The texts that each axis of texts may be, by its name; where it does not vary, that of the base too."""
    values = {axis.name: [*axis.values.tolist(), axis.otherwise] for axis in axes if axis.values.dtype == object}
    return {name: [each for each in texts if isinstance(each, str)] for name, texts in values.items()}


@dataclass(frozen=True)
class _Entry:
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


def _by_path(listed: Sequence[Sequence[_Entry]], config: Config) -> dict[str, _Entry]:
    every: dict[str, _Entry] = {}
    for each in (each for group in listed for each in group):
        if each.path in every:
            raise config.error(each.at, "an axis that is there already", expected="one of a path")
        every[each.path] = each
    return every


def _check_apart(cases: Mapping[str, Cases], every: Mapping[str, _Entry], config: Config) -> None:
    """Nothing where each figure varies in one way; else a ConfigError."""
    ways = dict.fromkeys(every, "an axis")
    for axis, each in cases.items():
        if axis in every:
            raise config.error(every[axis].at, "the name of an axis of cases too", expected="another of those")
        for path in each.columns:
            if path in ways:
                raise config.error(
                    ("cases", axis), found=f"{path}, which {ways[path]} gives too", expected="one of both"
                )
            ways[path] = f"cases.{axis}"


def _values(case: Chosen, roots: Roots, section: RunSection) -> dict[str, Any]:
    """What a case gives, by path."""
    with located_in([*section.layers, case.layer], section.config):
        return roots.read(values_of(case.layer.part))


def _settings(settings: Mapping[str, Any], every: Mapping[str, _Entry], roots: Roots) -> dict[str, Any]:
    """What is set for all points, by path, but for figures of a machine or a model that the run has not."""
    lacking = [root for root, parts in (("hardware", roots.systems), ("model", roots.models)) if not parts]
    settings = {
        path: value for path, value in settings.items() if "." not in path or path.partition(".")[0] not in lacking
    }
    for path in settings:
        if path in every:
            expected = "a figure that no axis of the run varies"
            raise ConfigError(file=OPTION, path=path, found="an axis", expected=expected)
    try:
        return roots.read(settings) if settings else {}
    except ConfigError as error:
        error.file = error.file or OPTION
        raise


def _axis(entry: _Entry, names: Mapping[str, str], before: Sequence[Axis], roots: Roots, config: Config) -> Axis:
    with located(config, entry.at):
        figure = roots.figure(entry.path, everywhere=entry.when is None)
        steps = values(entry.steps, figure)
    if entry.when is None:
        return Axis(entry.path, names[entry.path], steps, figure.unit)
    with located(config, (*entry.at, "when")):
        if "zip" in entry.at:
            raise ConfigError("axes that move together have no condition", found=described(entry.when))
        when = parse(entry.when)
        known = [axis.name for axis in before]
        later = sorted(when.names & set(names.values()) - set(known))
        if later:
            raise ConfigError("in a condition", found=f"'{later[0]}'", expected="an axis before this one")
        when.check(known)
        when.check_texts(texts_of(before))
    return Axis(entry.path, names[entry.path], steps, figure.unit, when, figure.value)


def _roots(base: Scenario, every: Mapping[str, _Entry], section: RunSection) -> Roots:
    """The machines and models that points may have, read: those of an axis, of cases, of the base where it holds."""
    return Roots(base, _parts("hardware", base, every, section), _parts("model", base, every, section))


def _parts(root: str, base: Scenario, every: Mapping[str, _Entry], section: RunSection) -> list[Any]:
    config, axis, part = section.config, every.get(root), getattr(base, root)
    parts = []
    for at, name in axis.listed() if axis else ():
        with located(config, at), at_key():
            parts.append(LOADS[root](part_over(part, Figure(None, str).read(name), root)))
    if axis and not parts:
        raise config.error(axis.at, "names", expected="a list")
    of_base = axis is None or axis.when is not None
    places: list[tuple[list[Layer], Any]] = []
    for cases in section.cases.values():
        own = [(each.layer, getattr(each.layer.part, root)) for each in cases]
        own = [(layer, value) for layer, value in own if value is not None and not is_figures(value, root)]
        places += [([*section.layers, layer], part_over(part, value, root)) for layer, value in own]
        of_base = of_base and len(own) < len(cases)
    if of_base and (part is not None or root in required(base)):
        if part is None:
            raise config.error(("base", root), "missing key", expected="a name or a path")
        places.append((section.layers, part))
    for layers, each in places:
        with located_in(layers, config), at_key(root):
            parts.append(LOADS[root](each))
    return parts


def _warn(every: Mapping[str, _Entry], groups: Groups, roots: Roots, config: Config) -> None:
    """Warn of what the axes make of each machine and model."""
    axes = {axis.path: axis for group in groups for axis in group}
    for path, each in every.items():
        root, dot, _ = path.partition(".")
        if dot and root in LOADS:
            parts = axes[root].values.tolist() if root in axes and root in every else [getattr(roots.base, root)]
            for part in parts:
                if part is not None and not is_figures(part, root):
                    warn_of(axes[path], each.at, part, LOADS[root], config)


def _names(every: Sequence[_Entry], section: RunSection, metrics: Collection[str]) -> dict[str, str]:
    """What expressions call each path: its `name`, else its last key where no other is so called, else all of it."""
    config = section.config
    names = {each.path: each.name for each in every if each.name is not None}
    lasts = Counter(each.path.rpartition(".")[2] for each in every if each.name is None)
    for each in every:
        if each.name is not None:
            with located(config, (*each.at, "name")):
                check_identifier(each.name)
            continue
        last = each.path.rpartition(".")[2]
        unique = lasts[last] == 1 and last.isidentifier() and not iskeyword(last)
        free = last not in (*metrics, *OURS, *section.cases, *names.values())
        names[each.path] = last if unique and free else re.sub(r"\W+", "_", each.path)
    ours = dict.fromkeys(metrics, "a metric") | dict.fromkeys(OURS, "a column of the results")
    seen = {name.casefold(): what for name, what in ours.items()}  # SQL does not tell case apart
    named: list[tuple[KeyPath, str, str]] = [(("cases", axis), axis, axis) for axis in section.cases]
    named += [((*each.at, "name") if each.name else each.at, each.path, names[each.path]) for each in every]
    for at, path, name in named:
        if at[0] == "cases":
            with located(config, at):
                check_identifier(name)
        if other := seen.get(name.casefold()):
            raise config.error(at, f"the name of {other} too", found=f"'{name}'", expected="another, whatever its case")
        seen[name.casefold()] = path
    return names


def check_identifier(name: str) -> None:
    """Nothing where a name can stand in an expression; else a ConfigError."""
    if not name.isidentifier() or iskeyword(name) or normalize("NFKC", name) != name:
        raise ConfigError("no name", found=described(name), expected="letters, digits and underscores, such as 'hbm'")
