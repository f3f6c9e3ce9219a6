"""Rows of JSON: an object a line, or the items of one list, which is never held whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from simulator.errors import ConfigError, described
from simulator.files import decoded, read_bytes, reason
from simulator.workload.requests.recorded import source
from simulator.workload.requests.recorded.source import Expand, Raw, Source, at_place

WINDOW = 2**20
"""Characters of a list that are read at once."""
LONGEST = 2**28
"""Characters of one of its items."""
_BETWEEN = re.compile(r"[\s,]*")


def records(file: Path, in_lines: bool) -> Source:
    """Objects in JSON, a line each or the items of one list; the keys of the first one name the columns."""
    read = _objects if in_lines else _items
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
            objects = [record for _, record in chunk if isinstance(record, dict)]
            names = dict.fromkeys(name for record in objects for name in record)
            columns = {name: [record.get(name) for record in objects] for name in names}
            errors = [(place, row) for place, row in chunk if isinstance(row, ConfigError)]
            yield Raw([place for place, row in chunk if isinstance(row, dict)], columns, errors)

    return Source(file, list(first), in_lines, chunks)


def _no_object(value: Any) -> ConfigError:
    return ConfigError("no request", found=described(value), expected="an object")


def _placed(error: ConfigError, file: Path, place: int, in_lines: bool) -> ConfigError:
    """The error with the place of its row."""
    return at_place(file, place, in_lines, error.message, error.path, error.found, error.expected)


def _objects(file: Path) -> Iterator[tuple[int, Any]]:
    """A value a line, or the error of what is none."""
    for line, data in read_bytes(file):
        if data.strip():
            try:
                yield line, json.loads(decoded(data, file, line).rstrip())
            except ConfigError as error:
                yield line, error
            except json.JSONDecodeError as error:
                yield line, ConfigError("not JSON", found=f"column {error.colno}: {error.msg}")
            except (ValueError, RecursionError) as error:  # a number without end, or lists in lists
                yield line, ConfigError("not JSON that can be read", found=reason(error))


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


def _cut(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """Rows in lists of `source.CHUNK`."""
    rest = iter(rows)
    while chunk := list(islice(rest, source.CHUNK)):
        yield chunk
