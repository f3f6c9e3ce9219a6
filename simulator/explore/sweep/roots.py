"""What the paths of a sweep lead into: machines, models, the workload and the mapping."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel

from simulator.config.choose import one_among
from simulator.config.path import Figure, figure
from simulator.errors import ConfigError, nearest, one_of
from simulator.explore.sweep.form import Base
from simulator.hardware import System
from simulator.registry import names
from simulator.workload import Model

ROOTS = ("hardware", "model", "workload", "mapping")


@dataclass(frozen=True)
class Roots:
    """The base, and every machine and model that a point may have."""

    base: Base
    systems: Sequence[System]
    models: Sequence[Model]
    reads: Collection[str] | None = None
    """Paths of the workload and the mapping that change what a point gives; None: any."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Paths whose values are names registered for a kind."""

    def figure(self, path: str, everywhere: bool = True) -> Figure:
        """The figure at a dotted path; of several machines or models, where `everywhere`, each must have it.

        Its value is None where it depends on which.

        Raises:
            ConfigError: there is no such figure, with the nearest.
        """
        root, _, inner = path.partition(".")
        if root not in ROOTS:
            expected = f"a path from {one_of(ROOTS)}"
            raise ConfigError("unknown path", found=f"'{root}'", expected=expected, nearest=nearest(root, ROOTS))
        if not inner and root in ("hardware", "model"):
            return Figure(getattr(self.base, root), str)
        if root not in ("hardware", "model"):
            figure(getattr(self.base, root), inner)
            self.check_read(path)
        found, errors = [], []
        for part in self._parts(root):
            try:
                found.append(figure(part, inner))
            except ConfigError as error:
                errors.append(error)
        if errors and (everywhere or not found):
            raise errors[0]
        one = found[0] if len(found) + len(errors) == 1 else Figure(None, found[0].types)
        known = self._names.get(path)
        if known is None:
            return one
        types: Any = Annotated[one.types, one_among(lambda: known)]
        return Figure(one.value, types)

    def check_read(self, path: str) -> None:
        """Nothing where a point reads this path of the workload or the mapping; else a ConfigError."""
        if self.reads is not None and path not in self.reads:
            message = f"of a sweep of the kind '{self.base.kind}', no point reads it"
            raise ConfigError(message, expected=one_of(self.reads))

    def named(self) -> Iterator[tuple[str, Figure]]:
        """The figures of the workload and the mapping whose values are names, by their paths."""
        read = (path for path in self._names if self.reads is None or path in self.reads)
        return ((path, self.figure(path)) for path in read)

    @cached_property
    def _names(self) -> Mapping[str, Sequence[str]]:
        """The names that a path may have: of parts that one of the machines has, or registered ones."""
        devices = [(name, device) for system in self.systems for name, device in system.machine.devices.items()]
        tiers = [name for system in self.systems for name in system.tiers]
        parts = {
            "mapping.device": [name for name, _ in devices],
            "mapping.engine": [name for _, device in devices for name in device.engines],
            "mapping.memory": [name for _, device in devices for name in device.tiers],
            "mapping.manager": [name for system in self.systems for name in system.engines],
            **{f"mapping.{key}": tiers for key in ("home", "cache", "flash", "dram")},
        }
        registered = {path: names(kind) for path, kind in self.kinds.items()}
        return {path: list(dict.fromkeys(known)) for path, known in {**parts, **registered}.items()}

    def _parts(self, root: str) -> Sequence[BaseModel]:
        if root == "hardware":
            return [system.machine for system in self.systems]
        return self.models if root == "model" else [getattr(self.base, root)]
