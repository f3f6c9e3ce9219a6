"""A form of requests: a gateway's log, in milliseconds, with calls that were refused among the others."""

from __future__ import annotations

from simulator.plugin import Cells, RequestColumns, RequestImporter, register

COLUMNS = {"arrival_s": "ms", "input_tokens": "prompt", "output_tokens": "completion", "request_id": "call"}


def answered(cells: Cells, columns: RequestColumns) -> None:
    """Those that the gateway let through; the others were never served."""
    cells.leave_out(cells.counts("status") != 200, "calls that the gateway refused")


register("requests", "gateway")(RequestImporter(COLUMNS, known_by=["call", "ms", "status"], ticks=1e3, tidy=answered))
