"""Requests of a serving run with the times of each, from the first arrival on: two rows a request, TTFT and TPOT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simulator.registry import register
from simulator.validation.measured.importers import Importer

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = ("input_len", "output_len", "arrival_s", "scheduled_s", "first_token_s", "last_token_s")
COLUMNS = ("source", "device", "n_devices", "tp", "ep", "model", "engine", "dtype", "request", *NUMBERS)


def tidy(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    """TTFT = first token - arrival; TPOT = (last token - first token) / (output - 1). The KV cache is of `dtype`."""
    import pandas as pd

    rows = table.assign(phase="server", unit="s", kv_dtype=table["dtype"], inferred="kv_dtype")
    ttft = rows["first_token_s"] - rows["arrival_s"]
    tpot = (rows["last_token_s"] - rows["first_token_s"]) / (rows["output_len"] - 1)
    both = pd.concat([rows.assign(metric="ttft", value=ttft), rows.assign(metric="tpot", value=tpot)])
    return both[both["value"].notna()].sort_index(kind="stable")  # an answer of one token has no TPOT


register("importer", "requests")(Importer(COLUMNS, tidy, NUMBERS))
