"""Rows of a CSV: a block of lines at once where each is plainly a row, else line by line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from simulator.errors import ConfigError, described
from simulator.files import MOST_BYTES, decoded, read_bytes, reason
from simulator.workload.requests.recorded.source import Expand, Raw, Source

BLOCK = 2**22
"""Bytes that are in memory at once, up to the end of a line."""


def table(file: Path) -> Source:
    """A CSV: the first line that is not empty names the columns."""
    line, data = next((line, data) for line, data in read_bytes(file) if data.strip())
    names = [name.strip() for name in _cells(decoded(data, file, line), file, line)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError("two columns of one name", file=file, line=line, found=described(twice))

    def chunks(_: Expand | None) -> Iterator[Raw]:
        for start, block in _blocks(file, line):
            lines = block.count(b"\n") + (not block.endswith(b"\n"))
            columns = _at_once(block, names, lines)
            if columns is None:
                yield _one_by_one(block, names, file, start)
            else:
                yield Raw(range(start, start + lines), columns)

    return Source(file, names, True, chunks)


def _blocks(file: Path, header: int) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole lines behind the header, each with the number of its first."""
    try:
        with file.open("rb") as opened:
            start = 1 + sum(1 for _ in islice(iter(opened.readline, b""), header))
            while block := opened.read(BLOCK):
                block += opened.readline(MOST_BYTES)
                yield start, block
                start += block.count(b"\n")
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {reason(error)}", file=file) from None


def _at_once(block: bytes, names: list[str], lines: int) -> dict[str, Any] | None:
    """The columns of a block as texts; None where a line is not plainly a row: in quotes, empty, or wrong."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    read = arrow.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=names)
    parse, kinds = arrow.ParseOptions(quote_char=False), dict.fromkeys(names, pa.string())
    try:
        table = arrow.read_csv(pa.BufferReader(block), read, parse, arrow.ConvertOptions(column_types=kinds))
    except pa.ArrowException:
        return None
    if b'"' in block or len(table) != lines:
        return None
    return {name: column.combine_chunks() for name, column in zip(names, table.columns, strict=True)}


def _one_by_one(block: bytes, names: list[str], file: Path, start: int) -> Raw:
    """The rows of a block, and the errors of lines that are none."""
    places: list[int] = []
    rows: list[list[str]] = []
    errors: list[tuple[int, ConfigError]] = []
    for line, data in enumerate(block.split(b"\n"), start=start):
        if data.strip():
            try:
                cells = _cells(decoded(data, file, line), file, line)
                if len(cells) != len(names):
                    found, expected = f"{len(cells)} columns", f"{len(names)}, as in the header"
                    raise ConfigError("columns", file=file, line=line, found=found, expected=expected)
                places.append(line)
                rows.append(cells)
            except ConfigError as error:
                errors.append((line, error))
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return Raw(places, dict(zip(names, map(list, columns), strict=True)), errors)


def _cells(text: str, file: Path, line: int) -> list[str]:
    """The cells of a line of CSV; one that is in quotes ends in its line."""
    if '"' not in text:
        return text.rstrip("\r\n").split(",")
    try:
        (cells,) = csv.reader([text], strict=True)
        return cells
    except (csv.Error, ValueError) as error:
        raise ConfigError(f"not CSV: {error}", file=file, line=line) from None
