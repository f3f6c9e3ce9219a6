"""A file of requests that is open: what its columns are called, and its rows in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from simulator.errors import ConfigError

CHUNK = 65_536
"""Rows that are in memory at once."""

Expand: TypeAlias = Callable[[dict[str, Any]], Iterable[dict[str, Any]]]
"""Makes rows of a record that holds several, such as a session."""


@dataclass(frozen=True)
class Raw:
    """Rows as they stand in a file: the place of each, a list or an Arrow array a column, and what is no row, placed.

    A place is the number of a line where the file has lines, else that of a row, counted from 1.
    """

    places: Sequence[int]
    columns: dict[str, Any]
    errors: list[tuple[int, ConfigError]] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """A file of requests: the names of its columns, and its rows in chunks, read anew by each pass."""

    file: Path
    names: list[str]
    in_lines: bool
    chunks: Callable[[Expand | None], Iterator[Raw]]


def at_place(
    file: Path, place: int, in_lines: bool, message: str, path: Any, found: object, expected: str | None
) -> ConfigError:
    """What is wrong with a row, by its line, or by its number where the file has no lines."""
    if in_lines:
        return ConfigError(message, file=file, line=place, path=path, found=found, expected=expected)
    text = f"row {place}: {message}" if message else f"row {place}"
    return ConfigError(text, file=file, path=path, found=found, expected=expected)
