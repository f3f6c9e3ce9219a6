"""Read measured data: a file in a form of ours or one that an importer knows; a wrong cell is told by its place."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import ConfigError
from simulator.files import read_rows, reason
from simulator.validation.measured.importers import importer
from simulator.validation.measured.schema import Problem, arranged, problems, tidy

if TYPE_CHECKING:
    import pandas as pd

NUMBER = "a number"


@dataclass(frozen=True)
class Measured:
    """The measured rows of a file.

    Attributes:
        rows: the table, in a form of `schema`; its index is the line of the file (of Parquet, the row from 1 on).
        file: where they stand.
        hash: the first 16 hex digits of the SHA-256 of the file.
        skipped: the cells for which rows were left out, where that was allowed; each with the line as `row`.
    """

    rows: pd.DataFrame
    file: Path
    hash: str
    skipped: Sequence[Problem] = field(default=())


def read_measured(file: str | Path, skip_bad: bool = False) -> Measured:
    """The measured rows of a CSV or Parquet file, in a form of `schema`.

    Args:
        file: of our own forms, or of a source that an importer knows by its columns.
        skip_bad: leave out rows with a cell that cannot be used, and tell them in `skipped`; else refuse the file.

    Raises:
        ConfigError: it cannot be read, nothing knows its columns or it has no rows; a cell that is no number where one
            must be, a negative value, an unknown metric or a unit that is not the metric's, with line and column.
    """
    file = Path(file)
    table = _table(file)
    source = importer(list(table.columns), file)
    wrong = [
        Problem(int(row), column, f"'{table[column].iloc[row]}'", NUMBER)
        for column in source.numbers
        if table[column].dtype.kind not in "iuf"
        for row in np.flatnonzero(_no_number(table[column]))
    ]
    table, skipped = _without(table, wrong, file, skip_bad)
    for column in source.numbers:
        table[column] = table[column].astype(float)
    rows = arranged(source.tidy(table, file))
    rows, more = _without(rows, problems(rows), file, skip_bad)
    if rows.empty:
        raise ConfigError("no rows", file=file, expected="a measured value each")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    return Measured(tidy(rows), file, digest, [*skipped, *more])


def _table(file: Path) -> pd.DataFrame:
    """The table of a file as it is, numbers where a whole column is of numbers."""
    import pandas as pd

    if not file.is_file():
        raise ConfigError("cannot be read: there is no such file", file=file)
    if file.suffix == ".parquet":
        try:
            table = pd.read_parquet(file)
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot be read: {reason(error)}", file=file) from None
        return table.set_axis(range(1, len(table) + 1), axis=0)
    lines = list(read_rows(file))
    if not lines:
        raise ConfigError("no header", file=file, line=1, expected="the names of the columns")
    header, cells = lines[0][1], [row for _, row in lines[1:] if row]
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise ConfigError("this column occurs twice", file=file, line=1, path=twice)
    table = pd.DataFrame(cells, columns=header, index=[line for line, row in lines[1:] if row], dtype=object)
    table = table.mask(table == "")
    for name in header:
        if not _no_number(table[name]).any():
            table[name] = pd.to_numeric(table[name])
    return table


def _no_number(column: pd.Series) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which cells of a column hold something that is no number."""
    import pandas as pd

    return (column.notna() & pd.to_numeric(column, errors="coerce").isna()).to_numpy(bool)


def _without(
    table: pd.DataFrame, wrong: Sequence[Problem], file: Path, skip_bad: bool
) -> tuple[pd.DataFrame, list[Problem]]:
    """The table without rows that have a problem, and the problems by line; raises the first if none may be left."""
    problems = [Problem(int(table.index[p.row]), p.column, p.found, p.expected, p.nearest) for p in wrong]
    if problems and not skip_bad:
        first = min(problems, key=lambda problem: problem.row)
        raise ConfigError(
            file=file, line=first.row, path=first.column, found=first.found, expected=first.expected,
            nearest=first.nearest,
        )  # fmt: skip
    return table.drop(table.index[sorted({p.row for p in wrong})]).copy(), problems
