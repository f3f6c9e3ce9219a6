"""What each request saw, as rows of a Parquet file, written as they end; and their figures together."""

from __future__ import annotations

from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from simulator.serving.record.digest import Percentiles
from simulator.serving.saturation import trend
from simulator.serving.service.sequence import Sequence

WAITS = 4096
"""Waits that are kept at least, of a run that has so many, to tell the trend of its queue."""
ROWS = 65_536
"""Rows of a group, which are held until it is written."""
COLUMNS = {
    "request_id": "string",
    "replica": "int32",
    "arrival_s": "double",
    "scheduled_s": "double",
    "first_token_s": "double",
    "last_token_s": "double",
    "input_tokens": "int64",
    "output_tokens": "int64",
    "cached_tokens": "int64",
    "preemptions": "int32",
}


def row(served: Sequence, replica: int) -> tuple[Any, ...]:
    """A row of `COLUMNS`."""
    return (
        served.request.request_id, replica, served.came, served.scheduled, served.first, served.last, served.input,
        served.output, served.hits, served.preemptions,
    )  # fmt: skip


class Rows:
    """A Parquet file of rows; whole when it is closed, and marked where it is partial."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._rows: list[tuple[Any, ...]] = []
        self._writer: Any = None

    def add(self, served: Sequence, replica: int) -> None:
        self._rows.append(row(served, replica))
        if len(self._rows) == ROWS:
            self._flush()

    def close(self, partial: bool = False) -> None:
        """Write what is left; `partial`: the run was broken off."""
        self._flush()
        self._writer.add_key_value_metadata({"partial": "true" if partial else "false"})
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([(name, getattr(pa, _TYPES[kind])()) for name, kind in COLUMNS.items()])
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.file, schema)
        columns = zip(*self._rows, strict=True) if self._rows else ((),) * len(COLUMNS)
        arrays = [pa.array(list(values), field.type) for values, field in zip(columns, schema, strict=True)]
        self._writer.write_table(pa.table(arrays, schema=schema))
        self._rows = []


_TYPES = {"string": "string", "int32": "int32", "int64": "int64", "double": "float64"}


class Figures:
    """What the requests of a run saw together.

    Attributes:
        ttft, tpot, e2e, queue, service, normalised: percentiles over requests: to the first token; between tokens, of
            answers of several; to the last token; until a request is first chosen; from then to its first token; to the
            last token by the tokens of its answer.
        ended: requests.
        good: those of them that kept the objective: TTFT and TPOT of at most so many seconds.
    """

    def __init__(self, ttft: float | None = None, tpot: float | None = None) -> None:
        self.objective = (ttft, tpot)
        self.ttft, self.tpot, self.e2e, self.queue, self.service, self.normalised = (Percentiles() for _ in range(6))
        self.ended = self.good = self.input = self.output = self.cached = 0
        self.first_arrival, self.last_token = nan, nan
        self._waits: list[tuple[float, float]] = []
        self._each = 1

    def add(self, served: Sequence) -> None:
        ttft, e2e = served.first - served.came, served.last - served.came
        tpot = (served.last - served.first) / (served.output - 1) if served.output > 1 else 0.0
        self.ttft.add(ttft)
        self.e2e.add(e2e)
        self.queue.add(served.scheduled - served.came)
        self.service.add(served.first - served.scheduled)
        self.normalised.add(e2e / served.output)
        if served.output > 1:
            self.tpot.add(tpot)
        if self.ended % self._each == 0:
            self._waits.append((served.came, served.scheduled - served.came))
            if len(self._waits) == 2 * WAITS:
                self._waits, self._each = self._waits[::2], 2 * self._each
        self.ended += 1
        self.input += served.input
        self.output += served.output
        self.cached += served.hits
        most, between = self.objective
        if served.request.slo is not None:
            most = served.request.slo if most is None else min(most, served.request.slo)
        self.good += (most is None or ttft <= most) and (between is None or tpot <= between)
        if not served.came >= self.first_arrival:
            self.first_arrival = served.came
        if not served.last <= self.last_token:
            self.last_token = served.last

    @property
    def seconds(self) -> float:
        """From the first arrival to the last token."""
        return self.last_token - self.first_arrival

    @property
    def keeps_up(self) -> tuple[bool | None, str]:
        """Whether the queue stays short; None where the run does not tell, and why."""
        waits = np.array([wait for _, wait in sorted(self._waits)])
        return trend(waits, self.service.percentile(100) if self.ended else 0.0, self.ended)
