"""What the paths of a sweep lead into: machines, models, the workload and the mapping."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Any

from pydantic import BaseModel

from simulator.config.choose import one_among
from simulator.config.path import Figure, figure, get
from simulator.errors import ConfigError, nearest, one_of
from simulator.files import remembered
from simulator.hardware import System, load_system
from simulator.hardware.cost import load_costs
from simulator.registry import names
from simulator.scenario.cases import ROOTS, SECTIONS, part_over, with_values
from simulator.scenario.evaluator import evaluator
from simulator.scenario.form import Scenario
from simulator.scenario.reads import read_beside
from simulator.workload import Model, load_model


def _load(read: Callable[..., Any], part: Any, *overrides: Any) -> Any:
    named = isinstance(part, str | dict) and not overrides
    return _loaded(read, json.dumps(part, sort_keys=True)) if named else read(part, *overrides)


@remembered(256)
def _loaded(read: Callable[..., Any], key: str) -> Any:
    return read(json.loads(key))


LOADS: Mapping[str, Callable[..., Any]] = {
    "hardware": partial(_load, load_system),
    "model": partial(_load, load_model),
    "costs": partial(_load, load_costs),
}
"""What reads the parts of a scenario that have files, each once a study: its runs share many."""
SEVERAL = ("mapping.engines", "mapping.answers")
"""Names of engines, one or several: an axis has one name a value, cases may have several."""


@dataclass(frozen=True)
class Roots:
    """The base, and every machine and model that a point may have."""

    base: Scenario
    systems: Sequence[System]
    models: Sequence[Model]

    def figure(self, path: str, everywhere: bool = True) -> Figure:
        """The figure at a dotted path; of several machines or models, where `everywhere`, each must have it.

        Its value is None where it depends on which.

        Raises:
            ConfigError: there is no such figure, with the nearest.
        """
        root, *keys = path.split(".")
        if root not in ROOTS:
            expected = f"a path from {one_of(ROOTS)}"
            raise ConfigError("unknown path", found=f"'{root}'", expected=expected, nearest=nearest(root, ROOTS))
        self.check_read(path)
        if not keys and root in ("hardware", "model", "costs"):
            return Figure(getattr(self.base, root), str)
        known = self._names.get(path)
        if path in SEVERAL:
            value = get(self.base, path)
            return Figure(value[0] if len(value) == 1 else None, Annotated[str | None, one_among(lambda: known or [])])
        values, errors = [], []
        for part in self._parts(root):
            try:
                values.append(figure(part, ".".join(keys)))
            except ConfigError as error:
                errors.append(error)
        if errors and (everywhere or not values):
            raise errors[0]
        one = values[0] if len(values) + len(errors) == 1 else Figure(None, values[0].types)
        return one if known is None else Figure(one.value, Annotated[one.types, one_among(lambda: known)])

    def read(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Values by path that hold in the place of those of the base, in SI units.

        Raises:
            ConfigError: no such figure, or a value that it cannot have.
        """
        alone = with_values(self.base, figures)
        parts = {
            root: [LOADS[root](part_over(getattr(self.base, root), figures[root], root))]
            for root in LOADS
            if root in figures
        }
        own = Roots(alone, parts.get("hardware", self.systems), parts.get("model", self.models))
        values: dict[str, Any] = {}
        for path, value in figures.items():
            root, _, rest = path.partition(".")
            if root in SECTIONS:
                values[path] = get(alone, path)
            elif rest:
                with of_path(path):
                    values[path] = own.figure(path, everywhere=False).read(value)
            else:
                values[path] = value
        own.check_names(set(figures))
        return values

    def check_names(self, only: Collection[str] | None = None) -> None:
        """Nothing where the names that the workload and the mapping have are known; else a ConfigError."""
        for path, each in self.named():
            if only is None or path in only:
                with of_path(path):
                    each.read(each.value)

    def check_read(self, path: str) -> None:
        """Nothing where the kind of workload reads what is at this path; else a ConfigError."""
        read = read_beside(self.base.workload.kind, path)
        if read is not None:
            kind = self.base.workload.kind
            expected = one_of(sorted(read)) if read else "nothing"
            raise ConfigError(f"a workload of kind '{kind}' does not read it", expected=expected)

    def named(self) -> Iterator[tuple[str, Figure]]:
        """The figures of the workload and the mapping whose values are names, by their paths."""
        for path in self._names:
            if read_beside(self.base.workload.kind, path) is None:
                yield path, self.figure(path)

    @cached_property
    def _names(self) -> Mapping[str, Sequence[str]]:
        """The names that a path may have: of parts that one of the machines has, or registered ones."""
        devices = [device for system in self.systems for device in system.machine.devices.values()]
        tiers = [name for system in self.systems for name in system.tiers]
        engines = [name for system in self.systems for name in system.engines]
        engines += [name for system in self.systems for name in system.machine.devices]
        engines += [name for device in devices for name in device.engines]
        parts = {
            **dict.fromkeys(SEVERAL, engines),
            "mapping.memory": [name for device in devices for name in device.tiers],
            "mapping.residency.manager": [name for system in self.systems for name in system.engines],
            "mapping.residency.home": tiers,
            "mapping.residency.cache": tiers,
        }
        registered = {path: names(kind) for path, kind in evaluator(self.base).kinds.items()}
        return {path: list(dict.fromkeys(known)) for path, known in {**parts, **registered}.items()}

    def _parts(self, root: str) -> Sequence[BaseModel]:
        if root == "hardware":
            return [system.machine for system in self.systems]
        return self.models if root == "model" else [getattr(self.base, root)]


@contextmanager
def of_path(path: str) -> Iterator[None]:
    """Give an error of what stands at a path of a scenario that path."""
    try:
        yield
    except ConfigError as error:
        error.path = error.path or path.split(".")
        raise
