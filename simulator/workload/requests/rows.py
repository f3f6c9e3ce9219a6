"""The rows of a file of requests as its form has them: CSV, JSON (an object a line, or one list) or Parquet."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from simulator.errors import ConfigError, described
from simulator.files import MOST_BYTES, decoded, read_bytes, reason

CHUNK = 65_536
"""Rows of JSON or Parquet that are in memory at once."""
BLOCK = 2**22
"""Bytes of a CSV that are in memory at once, up to the end of a line."""
WINDOW = 2**20
"""Characters of a list in JSON that are read at once."""
LONGEST = 2**28
"""Characters of one item of such a list."""
PARQUET = b"PAR1"
_BETWEEN = re.compile(r"[\s,]*")

Expand: TypeAlias = Callable[[dict[str, Any]], Iterable[dict[str, Any]]]
"""Makes rows of a record that holds several, such as a session."""


@dataclass(frozen=True)
class Raw:
    """Rows as they stand in a file: the place of each, a list or an Arrow array a column, and what is no row.

    A place is the number of a line where the file has lines, else that of a row, counted from 1.
    """

    places: Sequence[int]
    columns: dict[str, Any]
    errors: list[ConfigError] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """A file of requests that is open: the names of its columns, and its rows in chunks, read in one pass."""

    file: Path
    names: list[str]
    in_lines: bool
    chunks: Callable[[Expand | None], Iterator[Raw]]


def source_of(file: Path) -> Source:
    """The file as what its first bytes say that it is.

    Raises:
        ConfigError: it cannot be read, is empty, or holds nothing that has columns.
    """
    if file.is_dir():
        raise ConfigError("cannot be read", file=file, found="a folder", expected="a file of requests")
    lines = read_bytes(file)
    first = next((data for _, data in lines if data.strip()), b"")
    lines.close()  # type: ignore[attr-defined]  # a generator
    start = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise ConfigError("the file is empty", file=file, line=1, expected="a header and a row for each request")
    if start.startswith(PARQUET):
        return _parquet(file)
    if start.startswith((b"{", b"[")):
        return _records(file, _items if start.startswith(b"[") else _objects, in_lines=start.startswith(b"{"))
    return _table(file)


def _table(file: Path) -> Source:
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
            yield (
                _one_by_one(block, names, file, start) if columns is None else Raw(range(start, start + lines), columns)
            )

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
    errors: list[ConfigError] = []
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
                errors.append(error)
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


def _records(file: Path, read: Callable[[Path], Iterator[tuple[int, Any]]], in_lines: bool) -> Source:
    """Objects in JSON, whose keys name the columns: those of the first one tell the form."""
    first = next((value for _, value in read(file) if isinstance(value, dict)), None)
    if first is None:
        raise ConfigError("there is no object in it", file=file, line=1, expected="an object for each request")

    def rows(expand: Expand | None) -> Iterator[tuple[int, dict[str, Any] | ConfigError]]:
        for place, value in read(file):
            try:
                for record in expand(value) if expand and isinstance(value, dict) else (value,):
                    if isinstance(record, dict):
                        yield place, record
                    else:
                        error = record if isinstance(record, ConfigError) else _no_object(record)
                        yield place, _placed(error, file, place, in_lines)
            except ConfigError as error:  # of what makes rows of it
                yield place, _placed(error, file, place, in_lines)

    def chunks(expand: Expand | None) -> Iterator[Raw]:
        for chunk in _cut(rows(expand)):
            records = [record for _, record in chunk if isinstance(record, dict)]
            names = dict.fromkeys(name for record in records for name in record)
            columns = {name: [record.get(name) for record in records] for name in names}
            yield _raw(chunk, columns)

    return Source(file, list(first), in_lines, chunks)


def _no_object(value: Any) -> ConfigError:
    return ConfigError("no request", found=described(value), expected="an object")


def _placed(error: ConfigError, file: Path, place: int, in_lines: bool) -> ConfigError:
    """The error with the place of its row."""
    return at_place(file, place, in_lines, error.message, error.path, error.found, error.expected)


def at_place(
    file: Path, place: int, in_lines: bool, message: str, path: Any, found: object, expected: str | None
) -> ConfigError:
    """What is wrong with a row, by its line, or by its number where the file has no lines."""
    if in_lines:
        return ConfigError(message, file=file, line=place, path=path, found=found, expected=expected)
    said = f"row {place}: {message}" if message else f"row {place}"
    return ConfigError(said, file=file, path=path, found=found, expected=expected)


def _objects(file: Path) -> Iterator[tuple[int, Any]]:
    """A value a line, or the error of what is none."""
    for line, data in read_bytes(file):
        if data.strip():
            try:
                yield line, json.loads(decoded(data, file, line))
            except ConfigError as error:
                yield line, error
            except (ValueError, RecursionError) as error:
                yield line, ConfigError(f"not JSON: {error}")


def _items(file: Path) -> Iterator[tuple[int, Any]]:
    """The items of one list, of which no more than one and a window are held; what is cut off is an error."""
    decoder, text, at, place = json.JSONDecoder(), "", 0, 1
    try:
        with file.open(encoding="utf-8-sig") as opened:
            text = opened.read(WINDOW)
            at = text.index("[") + 1
            while True:
                at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
                if text.startswith("]", at):
                    return
                try:
                    value, at = decoder.raw_decode(text, at)
                except ValueError as error:  # it is not all here, or it is wrong
                    more = opened.read(max(WINDOW, len(text))) if len(text) < LONGEST else ""
                    if not more:
                        yield place, ConfigError(f"not JSON, or cut off: {error.args[0]}")
                        return
                    text, at = text[at:] + more, 0
                else:
                    yield place, value
                    place += 1
    except (OSError, ValueError, RecursionError) as error:
        yield place, ConfigError(f"cannot be read: {reason(error)}")


def _parquet(file: Path) -> Source:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = list(pq.ParquetFile(file).schema_arrow.names)
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"this Parquet file cannot be read: {reason(error)}", file=file) from None

    def chunks(_: Expand | None) -> Iterator[Raw]:
        rows = 0
        try:
            with pq.ParquetFile(file) as opened:
                for batch in opened.iter_batches(CHUNK):
                    columns = dict(zip(names, batch.columns, strict=True))
                    yield Raw(range(rows + 1, rows + 1 + batch.num_rows), columns)
                    rows += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            message = f"row {rows + 1} and those behind it cannot be read: {reason(error)}"
            yield Raw([], {}, [ConfigError(message, file=file)])

    return Source(file, names, False, chunks)


def _cut(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """Rows in lists of `CHUNK`."""
    rest = iter(rows)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _raw(chunk: list[tuple[int, Any]], columns: dict[str, Any]) -> Raw:
    errors = [row for _, row in chunk if isinstance(row, ConfigError)]
    places = [place for place, row in chunk if not isinstance(row, ConfigError)] if errors else [p for p, _ in chunk]
    return Raw(places, columns, errors)
