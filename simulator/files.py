"""Files of text, tables and arrays as a user gives them; and files that are written whole or not at all."""

from __future__ import annotations

import csv
import os
import struct
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast
from zipfile import BadZipFile

from simulator.errors import ConfigError, described

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[np.generic]]

MOST_BYTES = 2**30
"""Of a line of text, and of a text that is held whole."""

_REMEMBERED: list[Callable[[], None]] = []
F = TypeVar("F", bound=Callable[..., object])


def remembered(most: int | None) -> Callable[[F], F]:
    """Keep what a function gives for its last `most` arguments, which name files, until `forget`."""

    def keep(function: F) -> F:
        kept = lru_cache(maxsize=most)(function)
        _REMEMBERED.append(kept.cache_clear)
        return cast(F, kept)

    return keep


def forget() -> None:
    """Read all files anew, for a new question: they may have changed."""
    for clear in _REMEMBERED:
        clear()


UNREADABLE = (
    OSError, ValueError, EOFError, KeyError, AttributeError, TypeError, RuntimeError, MemoryError, SyntaxError,
    BadZipFile, zlib.error, struct.error,
)  # fmt: skip
"""What numpy and zipfile raise for an archive that is none, or is broken, or holds objects."""


def read_lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file of text in UTF-8, with or without a byte order mark: their numbers, and each with its end.

    Raises:
        ConfigError: it cannot be read, has a line that is too long, or is in another encoding; with the line.
    """
    for number, data in read_bytes(file):
        if text := decoded(data, file, number):  # not a mark alone
            yield number, text


def read_bytes(file: Path) -> Generator[tuple[int, bytes], None, None]:
    """The lines of a file, whatever is in them: their numbers, and each with its end.

    Raises:
        ConfigError: it cannot be read, or has a line that is too long.
    """
    try:
        with file.open("rb") as opened:
            for number, data in enumerate(iter(lambda: opened.readline(MOST_BYTES + 1), b""), start=1):
                if len(data) > MOST_BYTES:
                    raise ConfigError("a line too long", file=file, line=number, expected=f"{MOST_BYTES:,} bytes")
                yield number, data
    except (OSError, ValueError) as error:  # a name with a zero in it
        raise ConfigError(f"cannot be read: {reason(error)}", file=file) from None


def decoded(data: bytes, file: Path, line: int) -> str:
    """A line as text; the first one less its byte order mark. Raises `ConfigError` for what is not UTF-8."""
    try:
        return data.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        found = f"the byte 0x{error.object[error.start]:02x}"
        raise ConfigError("cannot be read: it is not UTF-8 text", file=file, line=line, found=found) from None


def read_text(file: Path) -> str:
    """The text of a file of at most `MOST_BYTES`. Raises `ConfigError` as `read_lines` does."""
    parts, size = [], 0
    for _, text in read_lines(file):
        parts.append(text)
        size += len(text)
        if size > MOST_BYTES:
            raise ConfigError("cannot be read", file=file, found="a larger file", expected=f"{MOST_BYTES:,} bytes")
    return "".join(parts)


def read_rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file that are not empty, the header first, each with the line that it ends in.

    Cells are as long as they are. Raises `ConfigError` as `read_lines` does, and for what is no CSV: a text in quotes
    that does not end, or a row with more or fewer cells than the header.
    """
    csv.field_size_limit(sys.maxsize)  # a line has a bound; its cells need no other
    rows = csv.reader((text for _, text in read_lines(file)), strict=True)
    columns = 0
    try:
        for row in rows:
            columns = columns or len(row)
            if row and len(row) != columns:
                found, expected = f"{len(row)} columns", f"{columns}, as in the header"
                raise ConfigError(file=file, line=rows.line_num, found=found, expected=expected)
            if row or not columns:
                yield rows.line_num, row
    except csv.Error as error:
        raise ConfigError(f"not CSV: {error}", file=file, line=rows.line_num) from None


def read_arrays(file: Path) -> Arrays:
    """The arrays of an NPZ archive, by name. Raises `ConfigError`: it cannot be read."""
    import numpy as np

    if not file.is_file():
        raise ConfigError("cannot be read: there is no such file", file=file)
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name]) for name in archive.files}
    except UNREADABLE as error:
        raise ConfigError(f"cannot be read: {reason(error)}", file=file) from None


def reason(error: BaseException) -> str:
    """Why a file cannot be read or written, in a few words."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text if len(text) <= 200 else described(text)


@contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to. It becomes `path` at the end; on an error it goes, and what was there stays.

    Raises:
        ConfigError: it cannot be written: no such folder, no right to, no space left.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        if error.filename not in (None, str(unfinished), unfinished):
            raise
        raise ConfigError(f"cannot be written: {reason(error)}", file=path) from None
    finally:
        unfinished.unlink(missing_ok=True)
