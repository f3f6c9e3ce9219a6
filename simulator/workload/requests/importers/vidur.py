"""Vidur (Agrawal et al., MLSys 2024): processed traces in seconds, and tables of lengths without times."""

from __future__ import annotations

from simulator.registry import register
from simulator.workload.requests.importers import Columns, Importer
from simulator.workload.requests.recorded.cells import Cells

LENGTHS = {"input_tokens": "num_prefill_tokens", "output_tokens": "num_decode_tokens"}


def adds_up(cells: Cells, columns: Columns) -> None:
    """The total of a row is the sum of prompt and answer."""
    total = cells.counts("num_total_tokens")
    cells.refuse(total != columns["input_tokens"] + columns["output_tokens"], "num_total_tokens", total, "their sum")


register("requests", "vidur")(Importer({"arrival_s": "arrived_at", **LENGTHS}))
register("requests", "vidur_lengths")(Importer(LENGTHS, known_by=[*LENGTHS.values(), "num_total_tokens"], tidy=adds_up))
