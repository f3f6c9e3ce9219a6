"""LLMServingSim (Cho et al., IISWC 2024): nanoseconds; single requests, perhaps with their tokens, and sessions.

Of the tokens of prompt and answer become ids of blocks, each of all tokens up to its end, so that equal ids are an
equal prefix. A session is a chain of calls: each comes when the one before it is answered and its tool has run. Whether
its calls share a prefix is known where there are tokens. Both kinds may stand in one file.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import numpy as np

from simulator.errors import ConfigError, described
from simulator.registry import register
from simulator.workload.requests.importers import Columns, Importer
from simulator.workload.requests.recorded.cells import Cells, lengths

BLOCK = 16
"""Tokens of a block, as serving engines have them."""


def calls(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The calls of a session, each behind the tool that ran before it; a request that stands alone is one."""
    if "sub_requests" not in record:
        yield record
        return
    waits = None
    if not isinstance(record["sub_requests"], list):
        raise ConfigError(path="sub_requests", found=described(record["sub_requests"]), expected="a list")
    for call in record["sub_requests"]:
        if not isinstance(call, dict):
            raise ConfigError(path="sub_requests", found=described(call), expected="an object for each call")
        session = {name: record.get(name) for name in ("session_id", "arrival_time_ns")}
        yield {**call, **session, "waits_ns": waits}
        waits = call.get("tool_duration_ns", 0)


def blocks(cells: Cells, columns: Columns) -> None:
    """Ids of the blocks of each request whose tokens are known, and how long it waits for a tool."""
    import pyarrow as pa

    if "waits_ns" in cells.raw.columns:
        columns["think_s"] = cells.numbers("waits_ns", optional=True) / 1e9
    prompts, answers = cells.lists("input_tok_ids"), cells.lists("output_tok_ids")
    number = lengths(prompts)
    wrong = ~np.isnan(number) & (number != columns["input_tokens"])
    cells.refuse(wrong, "input_tok_ids", number, "as many tokens as input_toks says")
    both = zip(prompts.to_pylist(), answers.to_pylist(), strict=True)
    ids = [None if prompt is None else chained(prompt + (answer or [])) for prompt, answer in both]
    columns["block_ids"] = pa.array(ids, pa.list_(pa.int64()))
    columns["block_tokens"] = np.where(np.isnan(number), np.nan, float(BLOCK))


def chained(tokens: list[int]) -> list[int]:
    """An id for each block of a sequence: a hash of 63 bits of the block and of the id before it."""
    data, ids = np.array(tokens, dtype=np.int64).tobytes(), []
    before = b""
    for start in range(0, len(data), 8 * BLOCK):
        before = blake2b(before + data[start : start + 8 * BLOCK], digest_size=8).digest()
        ids.append(int.from_bytes(before, "little") >> 1)
    return ids


COLUMNS = {
    "arrival_s": "arrival_time_ns",
    "input_tokens": "input_toks",
    "output_tokens": "output_toks",
    "session_id": "session_id",
}

register("requests", "llmservingsim")(Importer(COLUMNS, ticks=1e9, tidy=blocks, expand=calls))
register("requests", "llmservingsim_sessions")(
    Importer(COLUMNS, known_by=["session_id", "sub_requests"], ticks=1e9, tidy=blocks, expand=calls)
)
