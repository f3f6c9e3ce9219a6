"""Rows of Parquet, so many at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from simulator.errors import ConfigError
from simulator.files import UNREADABLE, reason
from simulator.workload.requests.recorded import source
from simulator.workload.requests.recorded.source import Expand, Raw, Source


def parquet(file: Path) -> Source:
    """A Parquet file. Raises `ConfigError`: it is cut off, or none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = list(pq.ParquetFile(file).schema_arrow.names)
    except (pa.ArrowException, *UNREADABLE) as error:
        raise ConfigError(f"this Parquet file cannot be read: {reason(error)}", file=file) from None

    def chunks(_: Expand | None) -> Iterator[Raw]:
        rows = 0
        try:
            with pq.ParquetFile(file) as opened:
                for group in range(opened.num_row_groups):  # asked for more, it would hold all of them
                    for batch in opened.iter_batches(source.CHUNK, [group]):
                        batch.validate(full=True)  # texts are UTF-8
                        columns = dict(zip(names, batch.columns, strict=True))
                        yield Raw(range(rows + 1, rows + 1 + batch.num_rows), columns)
                        rows += batch.num_rows
        except (pa.ArrowException, *UNREADABLE) as error:
            message = f"row {rows + 1} and those behind it cannot be read: {reason(error)}"
            yield Raw([], {}, [(rows + 1, ConfigError(message, file=file))])

    return Source(file, names, False, chunks)
