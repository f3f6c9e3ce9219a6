"""Two machines or two models side by side: each number and name that either has, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from simulator.config.plausible import figures
from simulator.errors import dotted
from simulator.hardware.system import System
from simulator.report.machines import summary
from simulator.units import show
from simulator.workload.model.form import Model
from simulator.workload.model.parameters import kv_bytes_per_token, parameters, weight_bytes

APART = ("name", "description", "aliases", "source", "year")
"""What says which of two it is, and no property of it."""


@dataclass(frozen=True)
class Difference:
    """A property of two things: what it is of each, None where one lacks it, and its unit if it is a number of one."""

    path: str
    values: tuple[Any, Any]
    unit: str | None = None

    @property
    def alike(self) -> bool:
        return bool(self.values[0] == self.values[1])

    @property
    def ratio(self) -> float | None:
        """The second over the first, of two numbers."""
        a, b = self.values
        numbers = isinstance(a, int | float) and isinstance(b, int | float) and not isinstance(a, bool)
        return b / a if numbers and a else None

    def shown(self) -> tuple[str, str]:
        """Both for a reader, with their units."""
        a, b = (_shown(value, self.unit) for value in self.values)
        return a, b


def machine_differences(a: System, b: System) -> list[Difference]:
    """What two machines are in one device (`summary`), and then each of their figures."""
    return [*_paired(_headline(a), _headline(b)), *_paired(_leaves(a.machine), _leaves(b.machine))]


def model_differences(a: Model, b: Model) -> list[Difference]:
    """What two models come to (parameters, bytes), and then each property of their shapes."""
    return [*_paired(_counts(a), _counts(b)), *_paired(_leaves(a), _leaves(b))]


def _headline(system: System) -> dict[str, tuple[Any, str | None]]:
    row = summary(system)
    units = {"peak_flop_per_s": "FLOP/s", "bandwidth_bytes_per_s": "B/s", "capacity_bytes": "B"}
    year = None if row["year"] is None else str(row["year"])  # no quantity: two of them have no ratio
    lines = {"released": (year, None), "devices in all": (row["devices"], None), "peak in": (row["dtype"], None)}
    return lines | {f"{key.partition('_')[0]} of one": (row[key], unit) for key, unit in units.items()}


def _counts(model: Model) -> dict[str, tuple[Any, str | None]]:
    counts = parameters(model)
    return {
        "parameters": (counts.total, None),
        "active for one token": (counts.active, None),
        "weights": (weight_bytes(model), "B"),
        "KV cache a token": (kv_bytes_per_token(model), "B"),
    }


def _leaves(form: BaseModel) -> dict[str, tuple[Any, str | None]]:
    """The numbers of a form with their units, those that follow from others too, and its names; by dotted path."""
    units = {dotted(each.path): (each.value, each.unit) for each in figures(form) if each.path[0] not in APART}
    written = {dotted(path): value for path, value in _walk(form.model_dump(exclude_unset=True), ())}
    return {path: units.get(path, (value, None)) for path, value in written.items()} | units


def _walk(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if path or key not in APART:
                yield from _walk(inner, (*path, key))
    elif value is not None:
        yield path, list(value) if isinstance(value, tuple) else value


def _paired(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    for path in dict.fromkeys((*a, *b)):
        (first, unit), (second, other) = a.get(path, (None, None)), b.get(path, (None, None))
        yield Difference(path, (first, second), unit or other)


def _shown(value: Any, unit: str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (
            show(value, unit) if unit and unit != "1" else f"{value:,.6g}" if isinstance(value, float) else f"{value:,}"
        )
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
