"""BurstGPT (Wang et al., arXiv 2401.17644): requests to ChatGPT and GPT-4, in seconds from midnight of the first day.

Requests without an answer failed there: they are left out, and counted. Sessions are names alone: whether a prompt has
in it what was said before, the trace does not tell.
"""

from __future__ import annotations

from simulator.registry import register
from simulator.workload.requests.importers import Columns, Importer
from simulator.workload.requests.recorded.cells import Cells


def without_failures(cells: Cells, columns: Columns) -> None:
    """A request with no answer has failed."""
    cells.leave_out(columns["output_tokens"] == 0, "failed requests, with no answer")


register("requests", "burstgpt")(
    Importer(
        {
            "arrival_s": "Timestamp",
            "input_tokens": "Request tokens",
            "output_tokens": "Response tokens",
            "model": "Model",
            "session_id": "Session ID",
        },
        tidy=without_failures,
    )
)
