"""Requests as vLLM logged them: `arrival_time` is of the clock on the wall, all other times of another clock.

What the engine made of a request (when it was scheduled, its first and last token) is no part of the request.
"""

from __future__ import annotations

from simulator.registry import register
from simulator.workload.requests.importers import Importer

register("requests", "vllm")(
    Importer(
        {
            "request_id": "request_id",
            "arrival_s": "arrival_time",
            "input_tokens": "input_toks",
            "output_tokens": "output_toks",
        }
    )
)
