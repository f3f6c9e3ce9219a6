"""Opens a file of requests as what its first bytes say that it is."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from simulator.errors import ConfigError
from simulator.files import read_bytes
from simulator.workload.requests.recorded.parquet import parquet
from simulator.workload.requests.recorded.records import records
from simulator.workload.requests.recorded.source import Source
from simulator.workload.requests.recorded.tables import table

PARQUET = b"PAR1"
MARK = b"\xef\xbb\xbf"  # of UTF-8


def open_source(file: Path) -> Source:
    """A file of CSV, JSON (an object a line, or one list) or Parquet.

    Raises:
        ConfigError: it cannot be read, is empty, or holds nothing that has columns.
    """
    if file.is_dir():
        raise ConfigError("cannot be read", file=file, found="a folder", expected="a file of requests")
    with closing(read_bytes(file)) as lines:
        start = next((data for _, data in lines if data.strip()), b"").removeprefix(MARK).lstrip()
    if not start:
        raise ConfigError("the file is empty", file=file, line=1, expected="a header and a row for each request")
    if start.startswith(PARQUET):
        return parquet(file)
    return records(file, start.startswith(b"{")) if start.startswith((b"{", b"[")) else table(file)
