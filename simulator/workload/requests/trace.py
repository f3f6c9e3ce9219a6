"""A file of requests: which form it is in, and its requests as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.config.choose import check_name
from simulator.data import folder
from simulator.errors import ConfigError, one_of, unknown
from simulator.workload.requests.importers import Columns, Importer, importer
from simulator.workload.requests.recorded.cells import Cells
from simulator.workload.requests.recorded.check import check
from simulator.workload.requests.recorded.open import open_source
from simulator.workload.requests.recorded.source import Source
from simulator.workload.requests.request import schema

if TYPE_CHECKING:
    from simulator.workload.requests.request import Batch

TRACES = "workloads/traces"


@dataclass(frozen=True)
class Trace:
    """Requests that were recorded, in a form that is known; without times where `timed` is false (all are 0 then).

    What a pass over them leaves out, and why, it counts in `left_out`: always what the form says is no request, and
    with `skip_bad` rows that are wrong, of which the first is an error otherwise.
    """

    source: Source
    form: str
    importer: Importer
    skip_bad: bool = False
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def timed(self) -> bool:
        return self.importer.timed

    def batches(self) -> Iterator[Batch]:
        """Chunks of requests.

        Raises:
            ConfigError: with the line, or the row, and the column: what is wrong, unless it is skipped.
        """
        self.left_out.clear()
        origin: dict[str, Any] = {}
        rows = 0
        for raw in self.source.chunks(self.importer.expand):
            cells = Cells(self.source.file, self.source.in_lines, raw, origin, left_out=self.left_out)
            columns = _tidied(cells, self.importer)
            check(cells, columns, self.importer.columns)
            self._count(cells.errors)
            yield _batch(cells, columns, rows)
            rows += len(cells)
        if not rows:
            expected = "a row for each request"
            raise ConfigError("there are no requests", file=self.source.file, line=1, expected=expected)

    def _count(self, errors: list[tuple[int, ConfigError]]) -> None:
        if errors and not self.skip_bad:
            raise min(errors, key=lambda placed: placed[0])[1]
        for _, error in errors:
            what = ".".join(map(str, error.path)) if error.path else error.message
            reason = f"{what}: expected {error.expected}" if error.expected else what
            self.left_out[reason] = self.left_out.get(reason, 0) + 1


def open_trace(file: str | Path, skip_bad: bool = False) -> Trace:
    """The trace in a file, in our form or a public one, told by its columns; or one of ours, by its name.

    Raises:
        ConfigError: it cannot be read, is in no form that is known, or has a column that ours has not; a name that is
            none of ours.
    """
    path = trace_file(file)
    if path == Path(path.name) and not path.suffix and not path.exists():
        ours = sorted(each.stem for each in folder(TRACES).glob("*.csv"))
        expected = f"a file, or {one_of(ours, path.name)}"
        raise unknown(path.name, ours, f"nothing in {TRACES} has this name", expected=expected)
    source = open_source(path)
    form, reads = importer(source.names, path)
    for name in source.names if reads.closed else ():
        check_name(name, list(reads.columns), message="no such column", file=path)
    return Trace(source, form, reads, skip_bad)


def trace_file(name: str | Path) -> Path:
    """The file of that name; where there is none, the trace of `workloads/traces` that it names."""
    ours = folder(TRACES) / f"{name}.csv"
    return ours if not Path(name).exists() and ours.is_file() else Path(name)


def _tidied(cells: Cells, reads: Importer) -> Columns:
    """Columns of our form, as floats where they are numbers: NaN where there is none."""
    import pyarrow as pa

    columns: Columns = {}
    for ours in schema():
        name = reads.columns.get(ours.name)
        if ours.name == "arrival_s":
            if name is not None:
                columns[ours.name] = reads.clock(cells, name) / reads.ticks
        elif pa.types.is_list(ours.type):
            columns[ours.name] = pa.nulls(len(cells), ours.type) if name is None else cells.lists(name)
        elif pa.types.is_string(ours.type):
            columns[ours.name] = pa.nulls(len(cells), ours.type) if name is None else cells.texts(name)
        elif name is None:
            columns[ours.name] = np.full(len(cells), np.nan)
        elif ours.name == "priority" or pa.types.is_floating(ours.type):
            columns[ours.name] = cells.numbers(name, ours.nullable)
        else:
            columns[ours.name] = cells.counts(name, ours.nullable)
    if reads.tidy is not None:
        reads.tidy(cells, columns)
    return columns


def _batch(cells: Cells, columns: Columns, before: int) -> Batch:
    """The rows that are kept; who has no name is named by its number, from 0 on."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kept = np.flatnonzero(cells.kept)
    arrays = []
    for ours in schema():
        column = columns.get(ours.name, np.zeros(len(cells)))
        if isinstance(column, np.ndarray):
            array = pa.array(column[kept], from_pandas=True).cast(ours.type)  # from_pandas: NaN is a null
        else:
            array = column.take(pa.array(kept)) if len(kept) < len(cells) else column
        if ours.name == "request_id" and array.null_count:
            array = pc.coalesce(array, pa.array(kept + before).cast(pa.string()))
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=schema())
