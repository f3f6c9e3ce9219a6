"""Requests that are too long for what serves them: told, or left out; and who waited for one of these."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.workload.requests.request import Stream

if TYPE_CHECKING:
    from simulator.workload.requests.request import Batch

Mask = NDArray[np.bool_]


def up_to(requests: Stream, tokens: int, what: str, skip_bad: bool = False) -> Stream:
    """Requests whose prompt and answer together have at most so many tokens, which is `what` (a context, a room).

    With `skip_bad` a longer one is left out and counted, with those that wait for it. Passes over the result raise:

        ConfigError: a request is longer: its name and its number in the stream, counted from 1.
    """
    left_out = dict(requests.left_out)

    def batches() -> Iterator[Batch]:
        number, broken, longer = 0, False, 0
        for batch in requests.batches():
            total = batch.column("input_tokens").to_numpy() + batch.column("output_tokens").to_numpy()
            out: Mask = total > tokens
            if out.any() and not skip_bad:
                raise _too_long(batch, int(np.argmax(out)), number, tokens, what)
            waits = batch.column("think_s").is_valid().to_numpy(zero_copy_only=False)
            out = cut_off(out, waits, broken)
            number, longer = number + batch.num_rows, longer + int(out.sum())
            broken = bool(out[-1]) if len(out) else broken
            yield batch.filter(~out) if out.any() else batch
        left_out.clear()
        left_out.update(requests.left_out)
        if longer:
            left_out[f"longer than {what} of {tokens:,} tokens"] = longer

    return Stream(batches, requests.in_flight, left_out)


def cut_off(out: Mask, waits: Mask, broken: bool) -> Mask:
    """Which rows are out if so are those that wait for a row that is out; `broken`: the row before the first is."""
    start = np.maximum.accumulate(np.where(waits, -1, np.arange(len(out))))  # of the chain that a row is in
    fallen = np.concatenate([[0], np.cumsum(out)])
    since: Mask = fallen[1:] > fallen[np.maximum(start, 0)]
    return since | (broken & (start < 0))


def _too_long(batch: Batch, row: int, before: int, tokens: int, what: str) -> ConfigError:
    name = batch.column("request_id")[row].as_py()
    prompt, answer = (batch.column(each)[row].as_py() for each in ("input_tokens", "output_tokens"))
    found = f"{prompt:,} tokens and {answer:,} of the answer"
    return ConfigError(f"request {before + row + 1} ('{name}')", found=found, expected=f"{what} of {tokens:,} at most")
