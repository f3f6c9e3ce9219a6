"""A run of a study, of which each key of its base and each axis is read by some point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from simulator.config import Config
from simulator.config.choose import check_name
from simulator.config.resolve import OPTION, Override
from simulator.errors import ConfigError, TiersimError, one_of
from simulator.files import forget
from simulator.scenario.reads import reads, refused, value_at
from simulator.study.form import POINTS, RUN, StudyForm
from simulator.study.partial import located_in, values_of
from simulator.study.run_section import RunSection, located, read_study
from simulator.study.silent import Key, unread_by_all
from simulator.study.sweep import Sweep, sweep_of


def load_sweep(
    name_or_path: str | Path | Mapping[str, Any], overrides: Sequence[Override] = (), run: str | None = None
) -> tuple[Sweep, Config]:
    """Read a run of a study by the study's name or path: its only one, unless it is named.

    `overrides` are `path.to.key=value`, of the study's YAML or of the scenarios of all points.

    Raises:
        ConfigError: what is wrong with the file, with its line and key path.
    """
    forget()
    form, config, settings = read_study(name_or_path, overrides)
    named = [*form.runs] or [POINTS]
    if run is None and len(named) > 1:
        raise ConfigError("of several runs", file=config.file, path=RUN, found="none", expected=one_of(named))
    return read_sweep(form, config, check_name(run or named[0], named, RUN, file=config.file), settings), config


def read_sweep(form: StudyForm, config: Config, name: str, settings: Mapping[str, Any]) -> Sweep:
    """A run of a study, checked; a key that it shares with other runs may be read by these alone.

    Raises:
        ConfigError: what is wrong with it, with its line and key path.
    """
    sweep = sweep_of(form, config, name, settings)
    section = RunSection(form, config, name)
    others = [other for other in form.runs if other != name]

    @cache
    def run(other: str) -> tuple[Sweep, Mapping[Key, str]] | None:
        """Another run and what none of its points reads; what is wrong with a run is told when it is read."""
        try:
            parsed = sweep_of(form, config, other, settings)
        except TiersimError:
            return None
        return parsed, unread_by_all(parsed)

    for key, why in unread_by_all(sweep).items():
        path = key.path
        if path in sweep.axes:
            with located(config, (*section.at("axes"), path)):
                raise ConfigError(f"{why} does not read it", found="an axis", expected="none")
        own = ("runs", name, *path.split(".")) in config.marks and not key.axis
        if not own and any(_reads(run(other), key) for other in others):
            continue
        if path in settings:
            raise refused(path, why, settings[path], OPTION)
        case = next((each.layer for each in section.cases.get(key.axis, ()) if each.name == key.case), None)
        with located_in([case] if case else section.layers, config):
            value = case and values_of(case.part)[path]
            raise refused(path, why, value if case else value_at(sweep.base, path))
    return sweep


def _reads(run: tuple[Sweep, Mapping[Key, str]] | None, key: Key) -> bool:
    """Whether a run has a key, and a point that reads it; so it is taken to be of one with a mistake."""
    if run is None:
        return True
    sweep, unread = run
    known = key.case in sweep.cases[key.axis].names if key.axis in sweep.cases else not key.axis
    return known and key.path in reads(sweep.base.workload.kind) and key not in unread
