"""Forms in which requests are recorded, each known by its columns; one file a source.

An importer is registered by its kind `requests`. `docs/traces.md` says of each form what is easily read wrong in it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from simulator.errors import ConfigError, described
from simulator.registry import names, registered
from simulator.workload.requests.recorded.cells import Cells, Floats

Columns: TypeAlias = dict[str, Any]
"""Columns of our form: an array, an Arrow array or a list each."""
TIMED = ("arrival_s", "input_tokens", "output_tokens")


@dataclass(frozen=True)
class Importer:
    """What brings a recorded form into ours.

    Attributes:
        columns: of ours, the names in the form.
        known_by: the columns that tell the form: by default those of arrivals and of lengths.
        clock: reads the column of arrivals; by default as numbers from the first one on.
        ticks: of that clock, in a second.
        tidy: what else becomes of the cells: a row is refused or left out, columns are added or changed.
        expand: makes requests of a record that holds several, before all else.
        closed: whether a column of another name is a mistake.
    """

    columns: Mapping[str, str]
    known_by: Collection[str] = ()
    clock: Callable[[Cells, str], Floats] = Cells.since_first
    ticks: float = 1.0
    tidy: Callable[[Cells, Columns], None] | None = None
    expand: Callable[[dict[str, Any]], Iterable[dict[str, Any]]] | None = None
    closed: bool = False

    @property
    def signature(self) -> set[str]:
        """The columns that a file in this form must have."""
        return set(self.known_by or (self.columns[name] for name in TIMED if name in self.columns))

    @property
    def timed(self) -> bool:
        """Whether it says when requests arrive."""
        return "arrival_s" in self.columns


def importer(header: Collection[str], file: Path) -> tuple[str, Importer]:
    """The form that a file has by its columns, and its importer: of several, the one that knows the most of them.

    Raises:
        ConfigError: it is in none; with those that are known, and what the closest of them has more.
    """
    known: dict[str, Importer] = {name: registered("requests", name) for name in names("requests")}
    matches = {name: each for name, each in known.items() if each.signature <= set(header)}
    if matches:
        return max(matches.items(), key=lambda each: len(each[1].signature))
    closest = max(known, key=lambda name: len(known[name].signature & set(header)) / len(known[name].signature))
    lacking = sorted(known[closest].signature - set(header))
    near = f"; '{closest}' has {', '.join(lacking)} too" if set(header) & known[closest].signature else ""
    forms = "; ".join(f"{name} ({', '.join(sorted(each.signature))})" for name, each in known.items())
    found = described(", ".join(map(str, header)))
    raise ConfigError(f"no known form of requests{near}", file=file, line=1, found=found, expected=f"one of {forms}")
