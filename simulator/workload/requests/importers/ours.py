"""Our own form: CSV, Parquet or JSON lines whose columns are the fields of a `Request`."""

from __future__ import annotations

from simulator.registry import register
from simulator.workload.requests.importers import Importer
from simulator.workload.requests.recorded.cells import Cells
from simulator.workload.requests.request import schema

MUST = [field.name for field in schema() if not field.nullable]

register("requests", "tiersim")(
    Importer({name: name for name in schema().names}, known_by=MUST, clock=Cells.numbers, closed=True)
)
