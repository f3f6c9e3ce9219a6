"""What the paths of a sweep lead into: machines, models, the workload and the mapping."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from simulator.errors import ConfigError, nearest, one_of
from simulator.explore.sweep.figure import Figure, figure
from simulator.explore.sweep.form import Base
from simulator.hardware.machine import Machine
from simulator.workload import Model

ROOTS = ("hardware", "model", "workload", "mapping")


@dataclass(frozen=True)
class Roots:
    """The base, and every machine and model that a point may have."""

    base: Base
    machines: Sequence[Machine]
    models: Sequence[Model]
    reads: Collection[str] | None = None
    """Paths of the workload and the mapping that change what a point gives; None: any."""

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
        if not keys and root in ("hardware", "model"):
            return Figure(getattr(self.base, root), str)
        if not (self.reads is None or root in ("hardware", "model") or path in self.reads):
            figure(getattr(self.base, root), keys)
            raise ConfigError(
                f"of a sweep of the kind '{self.base.kind}', no point reads it", expected=one_of(self.reads)
            )
        found, errors = [], []
        for part in self._parts(root):
            try:
                found.append(figure(part, keys))
            except ConfigError as error:
                errors.append(error)
        if errors and (everywhere or not found):
            raise errors[0]
        return found[0] if len(found) + len(errors) == 1 else Figure(None, found[0].types)

    def _parts(self, root: str) -> Sequence[BaseModel]:
        if root == "hardware":
            return self.machines
        return self.models if root == "model" else [getattr(self.base, root)]
