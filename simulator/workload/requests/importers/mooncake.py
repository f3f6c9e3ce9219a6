"""Mooncake (Qin et al., FAST 2025): milliseconds, and an id for each block of 512 tokens of a prompt.

Equal ids at equal places are an equal prefix. What is known is the prompt: its last block may be short, and of the
answer there are no ids.
"""

from __future__ import annotations

import numpy as np

from simulator.registry import register
from simulator.workload.requests.importers import Columns, Importer
from simulator.workload.requests.recorded.cells import Cells, lengths

BLOCK = 512


def blocks(cells: Cells, columns: Columns) -> None:
    """An id for each block of the prompt."""
    ids = cells.lists("hash_ids")
    wrong = lengths(ids) != np.ceil(columns["input_tokens"] / BLOCK)
    cells.refuse(wrong & ~np.isnan(columns["input_tokens"]), "hash_ids", lengths(ids), f"an id for each {BLOCK} tokens")
    columns |= {"block_ids": ids, "block_tokens": np.full(len(cells), float(BLOCK))}


register("requests", "mooncake")(
    Importer(
        {"arrival_s": "timestamp", "input_tokens": "input_length", "output_tokens": "output_length"},
        known_by=["timestamp", "input_length", "output_length", "hash_ids"],
        ticks=1e3,
        tidy=blocks,
    )
)
