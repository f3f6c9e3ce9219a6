"""Reads and writes of storage by block, depth, threads, span and drives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simulator.registry import register
from simulator.validation.measured.importers import Importer

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "source", "device", "n_devices", "host", "pattern", "rw", "block_bytes", "span_bytes", "queue_depth", "threads",
    "metric", "value", "unit",
)  # fmt: skip


def tidy(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    """An operator by what is done and in which pattern, such as `read_random`; the block is its bytes."""
    named = table.assign(op=table["rw"] + "_" + table["pattern"])
    return named.drop(columns=["rw", "pattern"]).rename(columns={"block_bytes": "bytes"})


register("importer", "storage")(Importer(COLUMNS, tidy))
