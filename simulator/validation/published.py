"""What a paper says: `published.csv` beside an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.config import ROLES
from simulator.errors import ConfigError, UnitError, described, one_of
from simulator.files import read_rows
from simulator.units import TABLE, parse

COLUMNS = ["figure", "metric", "condition", "role", "published", "unit", "tolerance", "source"]
CLOSE = 0.03
PUBLISHED = "published.csv"


@dataclass(frozen=True)
class Published:
    """One published value.

    Attributes:
        figure: the figure, table or section of the paper.
        metric: what was measured, by its name as a metric or a look-up of the study.
        condition: under which settings: `{"system": "dgx-a100", "batch": 8}`; in the file `system=dgx-a100 batch=8`.
        role: how the value may be used, fixed before the first run.
        published: the value in `unit`.
        tolerance: how exactly it could be read, in `unit`; 0 is exact.
        source: where it stands, and how it was read.
        line: of the file; None where it stands in none.
    """

    figure: str
    metric: str
    condition: Mapping[str, Any]
    role: str
    published: float
    unit: str
    tolerance: float
    source: str
    line: int | None = None

    def from_si(self, value: float) -> float:
        """A value in SI units in the unit of this row; units such as `x` or `experts` are as they are."""
        return value / float(TABLE[self.unit][1]) if self.unit in TABLE else value

    def si(self) -> float:
        """The published value in SI units."""
        return self.published / self.from_si(1.0)

    def agrees(self, simulated: float) -> bool:
        """Within 3 % of the published value or within its reading error; an exact one must be met exactly."""
        allowed = max(self.tolerance, CLOSE * abs(self.published)) if self.tolerance else 0.0
        return abs(simulated - self.published) <= allowed


def written(condition: Mapping[str, Any]) -> str:
    """A condition as the file has it: `batch=8 experts=40`."""
    return " ".join(f"{key}={value}" for key, value in condition.items())


def read_published(file: Path) -> list[Published]:
    """Read a `published.csv`.

    Raises:
        ConfigError: with file and line: other columns, an unknown role, what is no number, a row that occurs twice.
    """
    if not file.is_file():
        raise ConfigError("no published values to compare with", file=file)
    rows = read_rows(file)
    _, header = next(rows, (1, []))
    if header != COLUMNS:
        raise ConfigError("header", file=file, line=1, found=described(",".join(header)), expected=",".join(COLUMNS))
    read: dict[tuple[str, str, str], Published] = {}
    for line, cells in rows:
        row = dict(zip(COLUMNS, cells, strict=True))
        key = (row["figure"], row["metric"], row["condition"])
        if key in read:
            raise ConfigError("this row occurs twice", file=file, line=line, found=" ".join(key))
        read[key] = _row(row, file, line)
    if not read:
        raise ConfigError("no rows", file=file, line=1, expected="a published value each")
    return list(read.values())


def _row(row: dict[str, str], file: Path, line: int) -> Published:
    if row["role"] not in ROLES:
        raise ConfigError("role", file=file, line=line, found=described(row["role"]), expected=one_of(ROLES))
    numbers = []
    for column in ("published", "tolerance"):
        try:
            numbers.append(parse(row[column], "1"))
        except UnitError as error:
            raise ConfigError(column, file=file, line=line, found=error.found, expected="a number") from None
    pairs = [pair.partition("=") for pair in row["condition"].split()]
    wrong = next((f"'{key}'" for key, equals, value in pairs if not (key and equals and value)), None)
    if wrong:
        raise ConfigError("condition", file=file, line=line, found=wrong, expected="key=value key=value")
    condition = {key: value for key, _, value in pairs}
    typed = {key: int(value) if value.isdecimal() else value for key, value in condition.items()}
    published, tolerance = numbers
    return Published(
        row["figure"], row["metric"], typed, row["role"], published, row["unit"], tolerance, row["source"], line
    )
