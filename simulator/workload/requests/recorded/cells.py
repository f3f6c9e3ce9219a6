"""Cells of a chunk of rows as numbers, times and texts; a row of which one is wrong is out, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, described
from simulator.units import MOST_COUNT
from simulator.workload.requests.recorded.source import Raw, at_place

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

NUMBER, COUNT, TIME = "a number", f"a whole number, 0 to {MOST_COUNT:,}", "a time such as 2023-11-16 18:17:03.97996"


@dataclass
class Cells:
    """The cells of one chunk. `origin` is what the pass over the file began with, and what follows on it."""

    file: Path
    in_lines: bool
    raw: Raw
    origin: dict[str, Any]
    errors: list[tuple[int, ConfigError]] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.errors.extend(self.raw.errors)
        self.kept: Mask = np.ones(len(self), dtype=np.bool_)

    def __len__(self) -> int:
        return len(self.raw.places)

    def refuse(self, rows: Mask | Iterable[int], column: str, found: Any, expected: str) -> None:
        """Take rows out as wrong, each for its first mistake; `found` has a value a row, or is a text."""
        indices = np.flatnonzero(rows).tolist() if isinstance(rows, np.ndarray) else rows
        for row in indices:
            if self.kept[row]:
                self.kept[row] = False
                value = found if isinstance(found, str) else described(_plain(found[row]))
                place = self.raw.places[row]
                error = at_place(self.file, place, self.in_lines, "", (column,), value, expected)
                self.errors.append((place, error))

    def leave_out(self, rows: Mask, what: str) -> None:
        """Take rows out that are right, and no requests."""
        rows = rows & self.kept
        if rows.any():
            self.left_out[what] = self.left_out.get(what, 0) + int(rows.sum())
            self.kept &= ~rows

    def numbers(self, name: str, optional: bool = False) -> Floats:
        """A column as numbers: NaN where there is none; a row is out that has another value, or must have one."""
        column = self._column(name)
        values = _quickly(column)
        if values is None:
            values = self._one_by_one(name, column)
        if not optional:
            self.refuse(np.isnan(values) & self.kept, name, column, NUMBER)
        return values

    def counts(self, name: str, optional: bool = False) -> Floats:
        """A column as whole numbers, in floats, which hold them exactly: NaN where there is none."""
        values = self.numbers(name, optional)
        with np.errstate(invalid="ignore"):
            wrong = ~np.isnan(values) & ~((values >= 0) & (values <= MOST_COUNT) & (values % 1 == 0))
        self.refuse(wrong, name, self._column(name), COUNT)
        return np.where(wrong, np.nan, values)

    def since_first(self, name: str) -> Floats:
        """A column of numbers less the first of the file."""
        values = self.numbers(name)
        since: Floats = values - self._first(name, values)
        return since

    def timestamps(self, name: str) -> Floats:
        """Seconds of a clock on the wall, with or without a zone, since the first of the file, to the nanosecond."""
        import pyarrow as pa

        column = self._column(name)
        values = _arrow(column)
        kind = self.origin.setdefault(f"{name} kind", _kind_of_time(values))
        try:
            ticks = values.cast(kind)
        except (pa.ArrowException, ValueError):
            ticks = pa.array([self._time(name, row, cell, kind) for row, cell in enumerate(_list(column))], kind)
        self.refuse(ticks.is_null().to_numpy(zero_copy_only=False), name, column, TIME)
        numbers: NDArray[np.int64] = ticks.cast(pa.int64()).fill_null(0).to_numpy()
        seconds: Floats = (numbers - self._first(name, numbers)) / 1e9
        return seconds

    def texts(self, name: str) -> Any:
        """A column as an Arrow array of texts: null where there is none, or nothing in it."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self._column(name)
        try:
            texts = _arrow(column).cast(pa.string())
        except (pa.ArrowException, TypeError, ValueError):  # of several kinds
            texts = pa.array([None if cell is None else str(cell) for cell in _list(column)], pa.string())
        texts = pc.utf8_trim_whitespace(texts)
        return pc.if_else(pc.equal(texts, ""), None, texts)

    def lists(self, name: str) -> Any:
        """A column as an Arrow array of lists of whole numbers, which stand in a text with spaces between them."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column, kind = self._column(name), pa.list_(pa.int64())
        try:
            lists = _arrow(column)
            if pa.types.is_string(lists.type):
                texts = pc.utf8_trim_whitespace(lists)
                lists = pc.utf8_split_whitespace(pc.if_else(pc.equal(texts, ""), None, texts))
            return lists.cast(kind)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return pa.array([self._numbers_of(name, row, cell) for row, cell in enumerate(_list(column))], kind)

    def _numbers_of(self, name: str, row: int, cell: Any) -> list[int] | None:
        """The whole numbers of one cell; the row is out where it has others."""
        try:
            numbers = [int(each) for each in cell.split()] if isinstance(cell, str) else cell
            whole = numbers is None or all(type(each) is int and abs(each) < 2**63 for each in numbers)
        except (TypeError, ValueError):
            whole = False
        if not whole:
            self.refuse([row], name, self._column(name), "whole numbers")
        return (numbers or None) if whole else None

    def _column(self, name: str) -> Any:
        """The cells of a column, nothing in each where there is no such column here."""
        return self.raw.columns.get(name, [None] * len(self))

    def _first(self, name: str, values: Any) -> Any:
        """The first good value of a column in the file."""
        good = np.flatnonzero(self.kept)
        return self.origin.setdefault(name, values[good[0]]) if good.size or name in self.origin else 0

    def _one_by_one(self, name: str, column: Any) -> Floats:
        """Numbers of a column in which some are none: these rows are out."""
        values = np.full(len(self), np.nan)
        for row, cell in enumerate(_list(column)):
            number = _number(cell)
            if number is None:
                self.refuse([row], name, column, NUMBER)
            else:
                values[row] = number
        return values

    def _time(self, name: str, row: int, cell: Any, kind: Any) -> Any:
        import pyarrow as pa

        try:
            return pa.array([cell]).cast(kind)[0]
        except (pa.ArrowException, ValueError):
            return None


def _quickly(column: Any) -> Floats | None:
    """A column as numbers in one call; None where a cell is none. Nothing, and a text of spaces, is NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        values = _arrow(column)
        if pa.types.is_boolean(values.type):
            return None
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            values = pc.utf8_trim_whitespace(values)
            values = pc.if_else(pc.equal(values, ""), None, values)
        numbers: Floats = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None
    return numbers if not np.isinf(numbers).any() else None


def _number(cell: Any) -> float | None:
    """A cell as a finite number, NaN where nothing is in it; None for what is no number."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return np.nan
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return None
    if isinstance(cell, str) and ("_" in cell or not cell.isascii()):  # which Python would read
        return None
    try:
        number = float(cell)
    except (ValueError, OverflowError):
        return None
    return number if np.isfinite(number) else None


def _kind_of_time(values: Any) -> Any:
    """How a column of times is written: as its first one, with a zone or without."""
    import re

    import pyarrow as pa

    first = next((str(cell) for cell in values.to_pylist() if cell), "")
    return pa.timestamp("ns", "UTC" if re.search(r"(Z|[+-]\d\d:?\d\d)$", first.strip()) else None)


def _arrow(column: Any) -> Any:
    import pyarrow as pa

    return column if isinstance(column, pa.Array) else pa.array(column)


def _list(column: Any) -> list[Any]:
    cells: list[Any] = column if isinstance(column, list) else column.to_pylist()
    return cells


def _plain(cell: Any) -> Any:
    """A cell as Python's own, whole numbers without a point."""
    cell = cell.as_py() if hasattr(cell, "as_py") else cell.item() if isinstance(cell, np.generic) else cell
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell


def lengths(lists: Any) -> Floats:
    """How long each of some lists is; NaN where there is none."""
    import pyarrow.compute as pc

    length: Floats = pc.list_value_length(lists).cast("double").to_numpy(zero_copy_only=False)
    return length
