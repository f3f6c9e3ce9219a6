"""Token rates of models that lie in several tiers: their machines and where what lies are text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simulator.registry import register
from simulator.validation.measured.importers import Importer

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "source", "machine", "model", "quantization", "placement", "phase", "batch", "input_len", "output_len", "metric",
    "value", "unit", "note",
)  # fmt: skip


def tidy(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    """The machine is the device, and the quantisation the type of the weights."""
    return table.rename(columns={"machine": "device", "quantization": "dtype"})


register("importer", "offload")(Importer(COLUMNS, tidy))
