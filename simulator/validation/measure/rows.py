"""The table that measurements are appended to: a CSV, one row an operator of one shape."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from simulator.errors import ConfigError, nearest
from simulator.escape import one_line
from simulator.files import read_rows, reason

UNITS = {"latency": "s", "capacity": "B"}
"""The unit of each metric: of a time, and of what the operating system says that a memory holds."""


@dataclass(frozen=True)
class Point:
    """What a row measures: an operator, its shape, and how many threads. Points that are equal are one measurement.

    Attributes:
        device: the name of what was measured.
        op: `gemm`, `attention`, `rms_norm`, `copy`; of memories `triad`, `chase` and `memory`; `file_read`, `disk`.
        m, n, k: of a product (m x k)(k x n); rows and width of a row-wise operator.
        bytes: the working set of a memory's operators; the chunk of a read.
        threads: of a CPU that compute; reads that are in flight.
        span_bytes: the stretch of a file that reads lie in.
        kernel: the name of a tier, where the row is about one.
        engine: the library that ran it, with its version.
    """

    device: str
    op: str
    dtype: str = ""
    m: int | None = None
    n: int | None = None
    k: int | None = None
    batch: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    seq_q: int | None = None
    seq_kv: int | None = None
    bytes: int | None = None
    n_devices: int | None = 1
    metric: str = "latency"
    threads: int | None = None
    span_bytes: int | None = None
    kernel: str = ""
    engine: str = ""


@dataclass(frozen=True)
class Sample:
    """What was measured of a point: the median of the repeats, the least, their spread and how many there were.

    `spread` is the distance between the quartiles over the median.
    """

    value: float
    least: float
    spread: float = 0.0
    repeats: int = 1


@dataclass(frozen=True)
class Row:
    """A point, what was measured of it, how, and the line of the table that it stands in (0: in none yet)."""

    point: Point
    sample: Sample
    source: str
    line: int = 0


COLUMNS = (
    "source", "device", "op", "dtype", "m", "n", "k", "batch", "heads", "kv_heads", "head_dim", "seq_q", "seq_kv",
    "experts", "top_k", "bytes", "n_devices", "metric", "value", "unit", "threads", "span_bytes", "kernel", "engine",
    "least", "spread", "repeats",
)  # fmt: skip
"""Of measured operators, and after `unit` our own; `experts` and `top_k` are empty, for no kernel here has experts."""


def read_measured(file: Path) -> list[Row]:
    """The rows of a table of measurements.

    Raises:
        ConfigError: no such file; columns other than `COLUMNS`; a cell that is no number, below 0, or no known metric
            or unit: with line and column.
    """
    rows = read_rows(file)
    _, header = next(rows, (1, []))
    _check_header(file, header)
    return [_row(file, line, dict(zip(header, cells, strict=True))) for line, cells in rows]


def start(file: Path) -> list[Row]:
    """The rows that a table has already; a table without rows is made where there is none.

    A last row that was not written whole, because something ended the program, is cut off.

    Raises:
        ConfigError: what is there is no table of measurements, or cannot be written; what `read_measured` raises.
    """
    try:
        if not file.exists():
            with file.open("x", encoding="utf-8", newline="") as made:
                made.write(_line(COLUMNS))
            return []
        with file.open("r+b") as opened:
            text = opened.read()
            end = text.rfind(b"\n") + 1
            _check_header(file, next(csv.reader([text[:end].decode("utf-8-sig", "replace").partition("\n")[0]]), []))
            opened.truncate(end)
    except OSError as error:
        raise ConfigError(f"cannot be written: {reason(error)}", file=file) from None
    return read_measured(file)


def append(file: Path, row: Row) -> None:
    """Add a row at the end of a table."""
    with file.open("a", encoding="utf-8", newline="") as opened:
        opened.write(_line([_text(cell) for cell in cells(row).values()]))


def cells(row: Row) -> dict[str, Any]:
    """A row by the columns of its table."""
    point, sample = row.point, row.sample
    known: dict[str, Any] = {field.name: getattr(point, field.name) for field in fields(Point)}
    known |= {"source": row.source, "unit": UNITS[point.metric]}
    known |= {field.name: getattr(sample, field.name) for field in fields(Sample)}
    return {column: known.get(column) for column in COLUMNS}


def _text(cell: Any) -> str:
    return "" if cell is None else repr(cell) if isinstance(cell, float) else one_line(str(cell))


def _line(texts: Any) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(texts)
    return line.getvalue()


def _check_header(file: Path, header: list[str]) -> None:
    for column in COLUMNS:
        if column not in header:
            close = nearest(column, [name for name in header if name not in COLUMNS])
            found = f"columns {', '.join(header)[:200]}" if header else "nothing"
            raise ConfigError(
                "no table of measurements", file=file, line=1, found=found, expected=f"'{column}' too", nearest=close
            )
    if tuple(header) != COLUMNS:
        unknown = [name for name in header if name not in COLUMNS] or ["another order of columns"]
        raise ConfigError(
            "no table of ours", file=file, line=1, found=unknown[0], expected=f"the columns {', '.join(COLUMNS)}"
        )


@cache
def _types() -> dict[str, type]:
    return {field.name: int if "int" in str(field.type) else str for field in fields(Point)}


def _row(file: Path, line: int, texts: dict[str, str]) -> Row:
    def number(column: str, whole: bool = False) -> float:
        text = texts[column]
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not (value >= 0 and math.isfinite(value)) or (column in ("value", "least") and value <= 0):
            expected = "a number above 0" if column in ("value", "least") else "a number, 0 or more"
            raise ConfigError(file=file, line=line, path=column, found=f"'{text}'", expected=expected)
        return value

    metric, unit = texts["metric"], texts["unit"]
    if metric not in UNITS:
        raise ConfigError(
            file=file, line=line, path="metric", found=f"'{metric}'", expected=f"one of {', '.join(UNITS)}",
            nearest=nearest(metric, UNITS),
        )  # fmt: skip
    if unit != UNITS[metric]:
        raise ConfigError(file=file, line=line, path="unit", found=f"'{unit}'", expected=f"'{UNITS[metric]}'")
    for column in ("device", "op"):
        if not texts[column]:
            raise ConfigError(file=file, line=line, path=column, found="nothing", expected="a name")
    settings: dict[str, Any] = {
        name: texts[name] if kind is str else int(number(name, whole=True)) if texts[name] else None
        for name, kind in _types().items()
    }
    sample = Sample(number("value"), number("least"), number("spread"), int(number("repeats", whole=True)))
    return Row(Point(**settings), sample, texts["source"], line)


def of(rows: Sequence[Row], op: str) -> Iterator[Row]:
    """The rows of an operator."""
    return (row for row in rows if row.point.op == op)
