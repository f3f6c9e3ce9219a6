"""What every request must be, whatever form it was recorded in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simulator.workload.requests.importers import Columns
from simulator.workload.requests.limit import cut_off
from simulator.workload.requests.recorded.cells import Cells, Floats, Mask, lengths

LONGEST = 1e12
"""Seconds that a trace may go on."""


def check(cells: Cells, columns: Columns, named: Mapping[str, str]) -> None:
    """Takes out the rows that are no requests; `named` are the names of our columns in the form of the file.

    Tokens are 1 or more and times 0 or more, none before the row above; a prefix, a context or blocks are not longer
    than what they are part of; an answer is no longer than its limit; who waits stands behind the one waited for.
    """

    def refuse(wrong: Mask, column: str, expected: str) -> None:
        if wrong.any():
            cells.refuse(wrong, named.get(column, column), columns[column], expected)

    prompt, answer = columns["input_tokens"], columns["output_tokens"]
    with np.errstate(invalid="ignore"):  # what is not there is not wrong
        refuse(prompt < 1, "input_tokens", "1 or more")
        refuse(answer < 1, "output_tokens", "1 or more")
        refuse(columns["max_tokens"] < answer, "max_tokens", "no less than the tokens of the answer")
        refuse(columns["prefix_tokens"] > prompt, "prefix_tokens", "no more than the prompt has")
        refuse(columns["context_tokens"] > prompt, "context_tokens", "no more than the prompt has")
        refuse(columns["think_s"] < 0, "think_s", "0 or more")
        refuse(columns["slo"] <= 0, "slo", "above 0")
    _check_names(cells, columns, named)
    _check_blocks(cells, columns, named)
    if "arrival_s" in columns:
        refuse(columns["arrival_s"] > LONGEST, "arrival_s", f"at most {LONGEST:g} s")
        refuse(~(columns["arrival_s"] >= 0), "arrival_s", "0 s or more")
        _check_order(cells, columns["arrival_s"], named.get("arrival_s", "arrival_s"))
    _leave_out_who_waits(cells, ~np.isnan(columns["think_s"]))


def _check_names(cells: Cells, columns: Columns, named: Mapping[str, str]) -> None:
    """What has tokens of a prefix or a session names it; who waits is of the session of the row above."""
    prefix, session = (columns[name].is_null().to_numpy(zero_copy_only=False) for name in ("prefix_id", "session_id"))
    without = prefix != np.isnan(columns["prefix_tokens"])
    cells.refuse(without, named.get("prefix_id", "prefix_id"), "one without the other", "a prefix and its tokens")
    waits = ~np.isnan(columns["think_s"])
    alone = session & (waits | ~np.isnan(columns["context_tokens"]))
    cells.refuse(alone, named.get("session_id", "session_id"), "nothing", "the session that it is part of")
    if waits.any():
        names = columns["session_id"].to_pylist()
        above = [cells.origin.get("session"), *names[:-1]]
        lost = waits & np.array([one != other for one, other in zip(names, above, strict=True)], dtype=np.bool_)
        cells.refuse(
            lost, named.get("session_id", "session_id"), names, "the session of the row above, which it awaits"
        )
    if len(cells):
        cells.origin["session"] = columns["session_id"][-1].as_py()


def _leave_out_who_waits(cells: Cells, waits: Mask) -> None:
    """Who waits for a row that is out never comes."""
    out = cut_off(~cells.kept, waits, cells.origin.get("broken", False))
    cells.leave_out(out, "waits for a row that is left out")
    if len(cells):
        cells.origin["broken"] = bool(out[-1])


def _check_blocks(cells: Cells, columns: Columns, named: Mapping[str, str]) -> None:
    """Blocks have a size, and are no more than prompt and answer fill."""
    size, number = columns["block_tokens"], lengths(columns["block_ids"])
    without = np.isnan(number) != np.isnan(size)
    cells.refuse(without, named.get("block_ids", "block_ids"), "one without the other", "blocks and their tokens")
    with np.errstate(invalid="ignore"):
        cells.refuse(size < 1, named.get("block_tokens", "block_tokens"), size, "1 or more")
        most = np.ceil((columns["input_tokens"] + columns["output_tokens"]) / size)
        cells.refuse(number > most, named.get("block_ids", "block_ids"), number, "at most what prompt and answer fill")


def _check_order(cells: Cells, arrival: Floats, name: str) -> None:
    """No request arrives before one above it that is right itself."""
    latest = np.maximum.accumulate(np.where(cells.kept, arrival, -np.inf))
    before = np.maximum(np.concatenate([[-np.inf], latest[:-1]]), cells.origin.get("latest", -np.inf))
    with np.errstate(invalid="ignore"):
        early = arrival < before
    cells.refuse(early, name, arrival, "a time that is not before that of the row above")
    if len(cells):
        cells.origin["latest"] = max(float(latest[-1]), cells.origin.get("latest", -np.inf))
