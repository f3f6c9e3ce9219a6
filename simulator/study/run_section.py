"""The section of a run in a study's YAML: its base, axes and cases, and at which key each of them stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from simulator.config import Config, KeyPath, load, validate
from simulator.config.choose import check_name
from simulator.config.resolve import Override, parsed
from simulator.errors import ConfigError
from simulator.scenario.cases import ROOTS
from simulator.study.form import Partial, Run, StudyForm
from simulator.study.partial import Layer, read_by
from simulator.study.renamed import refuse_renamed


def read_study(
    name_or_path: str | Path | Mapping[str, Any], overrides: Sequence[Override] = ()
) -> tuple[StudyForm, Config, dict[str, Any]]:
    """The form of a study by name or path, its config, and what overrides set in the scenarios of all points, by path.

    Raises:
        ConfigError: what is wrong with the file, with its line and key path.
    """
    pairs = [parsed(each) if isinstance(each, str) else each for each in overrides]
    settings = {path: value for path, value in pairs if _is_of_scenario(path)}
    config = load(name_or_path, "experiments", [(path, value) for path, value in pairs if not _is_of_scenario(path)])
    if not config.data.keys().isdisjoint(ROOTS) and config.data.keys().isdisjoint(StudyForm.model_fields):
        expected = "a study (base, axes, ...); a scenario is for tiersim estimate"
        raise ConfigError("this is a scenario", file=config.file, expected=expected)
    refuse_renamed(config)
    return validate(config, StudyForm), config, settings


def _is_of_scenario(path: str) -> bool:
    return path.partition(".")[0] in ROOTS


@dataclass(frozen=True)
class Chosen:
    """A case that a run crosses with others: its name, and the partial scenario at its key."""

    name: str
    layer: Layer


@dataclass(frozen=True)
class RunSection:
    """A run of a study as the YAML has it: what stands at the top holds for it too."""

    form: StudyForm
    config: Config
    name: str

    @property
    def run(self) -> Run:
        return self.form.runs.get(self.name) or Run.model_validate({})

    @property
    def layers(self) -> list[Layer]:
        """The base, and what the run lays over it."""
        own = [Layer(("runs", self.name), self.run)] if self.form.runs else []
        return [Layer(("base",), self._read(self.form.base)), *own]

    def _read(self, part: Partial) -> Partial:
        """Of what several runs share, what the kind of workload of this one reads."""
        kinds = {self._kind(run) for run in self.form.runs.values()}
        return read_by(part, self._kind(self.run), kinds) if len(kinds) > 1 else part

    def _kind(self, run: Run) -> str:
        return str(run.workload.get("kind", self.form.base.workload.get("kind", "batch")))

    def at(self, key: str) -> KeyPath:
        """The key of the run, where it has it; else that at the top."""
        own = ("runs", self.name, key)
        return own if own in self.config.marks else (key,)

    def listed(self, key: Literal["axes", "zip", "derived", "constraints", "objectives"]) -> Iterator[Any]:
        """Each item of the top and of the run under a key: at which key it stands, its own key or place, and it."""
        levels: list[tuple[KeyPath, Any]] = [((key,), self.form)]
        levels += [(("runs", self.name, key), self.run)] if self.form.runs else []
        for at, level in levels:
            items = getattr(level, key)
            pairs = items.items() if isinstance(items, Mapping) else enumerate(items)
            yield from (((*at, each), each, item) for each, item in pairs)

    @cached_property
    def cases(self) -> dict[str, list[Chosen]]:
        """The cases of each axis of the run, in order.

        Raises:
            ConfigError: no such axis, or no such case of it.
        """
        if not self.form.runs:
            return {axis: self._chosen(axis, cases) for axis, cases in self.form.cases.items()}
        chosen = {}
        for axis, picks in self.run.cases.items():
            at = ("runs", self.name, "cases", axis)
            with located(self.config, ()):
                check_name(axis, self.form.cases, at, "no such axis of cases")
                known = self.form.cases[axis]
                for place, name in enumerate(picks if isinstance(picks, list) else ()):
                    check_name(name, known, (*at, place), "no such case")
                    if picks.index(name) < place:
                        raise ConfigError("a case that is there already", path=(*at, place), found=f"'{name}'")
            chosen[axis] = self._chosen(axis, known if picks == "all" else picks)
        return chosen

    def _chosen(self, axis: str, names: Any) -> list[Chosen]:
        cases = self.form.cases[axis]
        return [Chosen(name, Layer(("cases", axis, name), self._read(cases[name]))) for name in names]


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
