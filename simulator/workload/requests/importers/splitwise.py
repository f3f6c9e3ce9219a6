"""Splitwise's simulator (Patel et al., ISCA 2024): seconds; a row is a request to a model that answers in text."""

from __future__ import annotations

from simulator.registry import register
from simulator.workload.requests.importers import Columns, Importer
from simulator.workload.requests.recorded.cells import Cells

TEXT = 2  # `request_type` of a language model; others are of other services


def text_alone(cells: Cells, columns: Columns) -> None:
    """Requests to a language model, one in each row."""
    kind, batch = cells.counts("request_type"), cells.counts("batch_size")
    cells.refuse(kind != TEXT, "request_type", kind, f"{TEXT}, of a language model")
    cells.refuse(batch != 1, "batch_size", batch, "1: a request a row")


register("requests", "splitwise")(
    Importer(
        {
            "request_id": "request_id",
            "arrival_s": "arrival_timestamp",
            "input_tokens": "prompt_size",
            "output_tokens": "token_size",
        },
        known_by=["request_type", "arrival_timestamp", "batch_size", "prompt_size", "token_size"],
        tidy=text_alone,
    )
)
