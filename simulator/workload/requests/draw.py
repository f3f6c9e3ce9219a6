"""Requests as a form draws them, or takes them from a trace: a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.workload.requests.arrivals import (
    BLOCK,
    ClosedArrivals,
    Floats,
    Process,
    Random,
    RecordedArrivals,
    generators,
)
from simulator.workload.requests.form import Prefixes, RequestsForm
from simulator.workload.requests.request import Stream, schema
from simulator.workload.requests.sessions import Turns
from simulator.workload.requests.trace import Trace, open_trace

if TYPE_CHECKING:
    from simulator.workload.requests.request import Batch


def stream_of(form: RequestsForm) -> Stream:
    """The stream that a form asks for: equal forms give equal requests."""
    flight = form.arrivals.in_flight if isinstance(form.arrivals, ClosedArrivals) else None
    drawn: Callable[[], Iterator[Batch]]
    left_out: Mapping[str, int] = {}
    if form.trace is not None:
        trace = open_trace(form.trace, form.skip_bad)
        drawn, left_out = partial(_retimed, form, trace), trace.left_out
    else:
        drawn = partial(_single if form.sessions is None else _in_sessions, form)
    return Stream(lambda: _first(_within(drawn(), form.seconds), form.requests), flight, left_out)


def _first(batches: Iterator[Batch], number: int | None) -> Iterator[Batch]:
    """The first requests of a stream, or all."""
    for batch in batches:
        if number is not None and number <= batch.num_rows:
            yield batch.slice(0, number)
            return
        number = None if number is None else number - batch.num_rows
        yield batch


def _within(batches: Iterator[Batch], seconds: float | None) -> Iterator[Batch]:
    """Requests that come in so many seconds, turns of a session by their start and the times to think alone."""
    import pyarrow as pa

    latest = 0.0  # seconds from the start of the session that was read last to its last turn
    for batch in batches:
        if seconds is None or not batch.num_rows:
            yield batch
            continue
        starts, think = batch.column("arrival_s").to_numpy(), batch.column("think_s")
        first = think.is_null().to_numpy(zero_copy_only=False)
        waited = latest + np.cumsum(np.where(first, 0.0, think.to_numpy(zero_copy_only=False)))
        waited -= np.maximum.accumulate(np.where(first, waited, 0.0))
        latest = float(waited[-1])
        yield batch.filter(pa.array(starts + waited <= seconds))
        if starts[-1] > seconds:
            return


def _retimed(form: RequestsForm, trace: Trace) -> Iterator[Batch]:
    """Those of a trace, at times that are scaled, or of a process; answers end at the limit, where there is one."""
    arrivals = form.arrivals or RecordedArrivals(kind="recorded")
    times = _scaled(trace, arrivals) if isinstance(arrivals, RecordedArrivals) else _anew(trace, arrivals, form.seed)
    for batch, seconds in times:
        limited = {} if form.max_tokens is None else _limited(batch, form.max_tokens)
        yield _with(batch, {"arrival_s": seconds, **limited})


def _scaled(trace: Trace, arrivals: RecordedArrivals) -> Iterator[tuple[Batch, Floats]]:
    for batch in trace.batches():
        yield batch, batch.column("arrival_s").to_numpy() / arrivals.speed


def _anew(trace: Trace, process: Process, seed: int) -> Iterator[tuple[Batch, Floats]]:
    """A time of the process for each request, but for those that wait for another: they have that of the one before."""
    starts, latest = _Starts(process, generators(seed)[0]), 0.0
    for batch in trace.batches():
        first = batch.column("think_s").is_null().to_numpy(zero_copy_only=False)
        times = np.concatenate([[latest], starts.take(int(first.sum()))])[np.cumsum(first)]
        latest = float(times[-1]) if len(times) else latest
        yield batch, times


def _limited(batch: Batch, limit: int) -> dict[str, Any]:
    """Answers that end at a limit, with their blocks; prompts stay as they were recorded."""
    answers = np.minimum(batch.column("output_tokens").to_numpy(), limit)
    columns = {"output_tokens": answers, "max_tokens": np.full(batch.num_rows, limit)}
    ids = batch.column("block_ids")
    if ids.null_count < len(ids):
        tokens = (batch.column("input_tokens").to_numpy() + answers).tolist()
        both = zip(ids.to_pylist(), batch.column("block_tokens").to_pylist(), tokens, strict=True)
        columns["block_ids"] = [each and each[: -(-length // size)] for each, size, length in both]
    return columns


class _Starts:
    """Times of a process, taken in any numbers from blocks of one size: what is taken at once changes nothing."""

    def __init__(self, process: Process, random: Random) -> None:
        self._blocks = process.times(repeat(BLOCK), random)
        self._rest: Floats = np.empty(0)

    def take(self, number: int) -> Floats:
        """The next so many."""
        while len(self._rest) < number:
            self._rest = np.concatenate([self._rest, next(self._blocks)])
        times, self._rest = self._rest[:number], self._rest[number:]
        return times


def _single(form: RequestsForm) -> Iterator[Batch]:
    """Requests that are drawn one by one, in whole blocks, without end: the first are the same, however many."""
    assert form.arrivals is not None and form.lengths is not None
    assert not isinstance(form.arrivals, RecordedArrivals)
    times_of, lengths_of, others = generators(form.seed)
    number = 0
    for times in form.arrivals.times(repeat(BLOCK), times_of):
        prompts, answers = form.lengths.draw(BLOCK, lengths_of)
        columns = {"arrival_s": times, **_prefixed(form.prefixes, BLOCK, others)}
        columns["input_tokens"] = prompts + (form.prefixes.tokens if form.prefixes else 0)
        columns["output_tokens"] = answers if form.max_tokens is None else np.minimum(answers, form.max_tokens)
        yield _batch(form, columns, number)
        number += BLOCK


def _in_sessions(form: RequestsForm) -> Iterator[Batch]:
    """Requests that are drawn by their sessions, without end: the turns of one stand behind one another."""
    assert form.sessions is not None and form.arrivals is not None and form.lengths is not None
    assert not isinstance(form.arrivals, RecordedArrivals)
    times_of, lengths_of, others = generators(form.seed)
    starts, size = _Starts(form.arrivals, times_of), form.sessions.block
    prefix = form.prefixes.tokens if form.prefixes else 0
    number, session = 0, 0
    while True:
        prefixes = _prefixed(form.prefixes, size, others)
        turns = Turns(form.sessions, form.lengths, prefix, form.max_tokens, others, lengths_of)
        columns = {name: values[turns.session] for name, values in prefixes.items()}
        columns |= {
            "arrival_s": starts.take(size)[turns.session],
            "input_tokens": turns.input,
            "output_tokens": turns.output,
            "session_id": turns.session + session,
            "context_tokens": turns.context,
            "think_s": turns.think,
        }
        yield _batch(form, columns, number)
        number, session = number + len(turns.session), session + size


def _prefixed(prefixes: Prefixes | None, number: int, random: Random) -> dict[str, Any]:
    """Which beginning each of so many prompts has, by Zipf's law."""
    if prefixes is None:
        return {}
    weight = np.cumsum(np.arange(1, prefixes.number + 1, dtype=np.float64) ** -prefixes.exponent)
    lot = np.searchsorted(weight, random.random(number) * weight[-1], side="right")
    return {"prefix_id": np.minimum(lot, prefixes.number - 1), "prefix_tokens": np.full(number, prefixes.tokens)}


NAMES = {"request_id": "", "prefix_id": "p", "session_id": "s"}
"""What stands before the number of a request, a prefix or a session."""


def _batch(form: RequestsForm, columns: dict[str, Any], number: int) -> Batch:
    """Columns as a chunk, with the numbers of its requests and the limit of their answers."""
    import pyarrow as pa

    rows = len(columns["arrival_s"])
    columns["request_id"] = np.arange(number, number + rows)
    if form.max_tokens is not None:
        columns["max_tokens"] = np.full(rows, form.max_tokens)
    empty = pa.RecordBatch.from_arrays([pa.nulls(rows, each.type) for each in schema()], schema().names)
    return _with(empty, columns)


def _with(batch: Batch, columns: dict[str, Any]) -> Batch:
    """A chunk with some columns in place of its own."""
    import pyarrow as pa
    import pyarrow.compute as pc

    arrays = []
    for ours, old in zip(schema(), batch.columns, strict=True):
        new = columns.get(ours.name)
        if new is not None:
            old = pa.array(new, from_pandas=True).cast(ours.type)  # NaN is a null
            if ours.name in NAMES:
                old = pc.binary_join_element_wise(NAMES[ours.name], old, "")
        arrays.append(old)
    return pa.RecordBatch.from_arrays(arrays, schema=schema())
