"""Requests into a file in our form, as they come: CSV, or Parquet, which is smaller and read faster."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import ConfigError, unknown, warn
from simulator.files import replacement
from simulator.workload.requests.request import Stream, schema, values

if TYPE_CHECKING:
    from simulator.workload.requests.request import Batch

SUFFIXES = (".csv", ".parquet")


def write_requests(requests: Stream, file: str | Path) -> int:
    """Write a stream into a file, whole or not at all; returns how many requests it has.

    Warns of a closed loop: a file has times of arrival, and there all are 0.

    Raises:
        ConfigError: the name ends in neither `.csv` nor `.parquet`, or it cannot be written; what is wrong in a trace.
    """
    path = Path(file)
    if path.suffix.lower() not in SUFFIXES:
        message = "requests are written as CSV or Parquet"
        raise unknown(path.suffix, SUFFIXES, message, file=path, expected=" or ".join(SUFFIXES))
    if requests.in_flight is not None:
        expected = f"arrivals={{kind: closed, in_flight: {requests.in_flight}}} where it is used"
        warn(ConfigError("a file does not say how many are in flight", file=path, expected=expected))
    write = _csv if path.suffix.lower() == ".csv" else _parquet
    with replacement(path) as unfinished:
        return write(requests, unfinished)


def _parquet(requests: Stream, path: Path) -> int:
    import pyarrow.parquet as pq

    number = 0
    with pq.ParquetWriter(path, schema()) as writer:
        for batch in requests.batches():
            writer.write_batch(batch)
            number += batch.num_rows
    return number


def _csv(requests: Stream, path: Path) -> int:
    """The columns that a request must have, and those of which a first pass has met a value."""
    used = {field.name for field in schema() if not field.nullable}
    for batch in requests.batches():
        used |= {name for name, column in zip(batch.schema.names, batch.columns, strict=True) if _has_values(column)}
    names = [name for name in schema().names if name in used]
    number = 0
    with path.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(names)
        for batch in requests.batches():
            writer.writerows(_rows(batch, names))
            number += batch.num_rows
    return number


def _has_values(column: Any) -> bool:
    return bool(column.null_count < len(column))


def _rows(batch: Batch, names: Iterable[str]) -> Iterator[tuple[Any, ...]]:
    """Rows of cells; ids of blocks with spaces between them."""
    columns = {name: values(batch.column(name)) for name in names}
    if "block_ids" in columns:
        columns["block_ids"] = [ids and " ".join(map(str, ids)) for ids in columns["block_ids"]]
    return zip(*columns.values(), strict=True)
