"""Requests of a service: one, and many of them as a stream of column chunks that is never held whole."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

    Batch: TypeAlias = pa.RecordBatch

Segment: TypeAlias = tuple[Hashable, int]
"""A stretch of tokens: what names its content, and how many they are."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request: when it arrives, how long prompt and answer are, and which of its tokens others have too.

    `output_tokens` is the true length, which no scheduler may look at; it may know `max_tokens`. Where `think_s` is a
    number, the request arrives so long after the answer to the one before it in its session, and not before
    `arrival_s`. `context_tokens` is how much of the prompt is the session so far, prompts and answers. `slo` is how
    many seconds after its arrival the first token is due; a greater `priority` goes first.
    """

    request_id: str
    arrival_s: float
    input_tokens: int
    output_tokens: int
    max_tokens: int | None = None
    model: str | None = None
    prefix_id: str | None = None
    prefix_tokens: int | None = None
    session_id: str | None = None
    context_tokens: int | None = None
    think_s: float | None = None
    priority: int | None = None
    slo: float | None = None
    block_tokens: int | None = None
    block_ids: list[int] | None = None

    def segments(self, tokens: int) -> tuple[Segment, ...]:
        """Its first `tokens` tokens, prompt and then answer, as far as others may have them too.

        Two requests have the same tokens as long as their segments are equal, and in the first two that differ, the
        fewer tokens of both where these have one name; what lies behind the last segment is of this request alone.
        Recorded blocks are a segment each; else there are the prefix, and the session where it is known to grow.
        So `segments(input_tokens)` is what to look for, and with the answer's tokens what stays for those to come.
        """
        if self.block_ids is not None and self.block_tokens is not None:
            size, prompt = self.block_tokens, -(-self.input_tokens // self.block_tokens)
            known = tokens if len(self.block_ids) > prompt else min(tokens, self.input_tokens)  # of the answer, or not
            left = range(known, 0, -size)
            return tuple((name, min(size, rest)) for name, rest in zip(self.block_ids, left, strict=False))
        prefix = min(self.prefix_tokens or 0, tokens)
        shared: tuple[Segment, ...] = ((self.prefix_id, prefix),) if prefix else ()
        grows = self.session_id is not None and self.context_tokens is not None
        return (*shared, (self.session_id, tokens - prefix)) if grows and tokens > prefix else shared


@dataclass(frozen=True)
class Stream:
    """Requests in the order of `arrival_s`, read or made anew by each pass over them.

    `batches()` gives chunks as `pyarrow.RecordBatch`es of `schema()`, whose columns are the fields of `Request`; only
    the first four never have nulls. Iterating gives the same one `Request` at a time. Where `in_flight` is a number,
    it is a closed loop: the next request arrives as soon as fewer are being served, and not before `arrival_s`.
    Requests that wait for an answer (`think_s`) stand right behind the one before them in their session. `left_out`
    counts what a pass over a trace has left out, by the reason.
    """

    batches: Callable[[], Iterator[Batch]]
    in_flight: int | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Request]:
        for batch in self.batches():
            yield from map(Request, *(values(column) for column in batch.columns))


def values(column: Any) -> list[Any]:
    """The values of a column as Python's own, None for a null."""
    if column.null_count == len(column):
        return [None] * len(column)
    plain = column.null_count == 0 and str(column.type) in ("double", "int64")
    made: list[Any] = column.to_numpy().tolist() if plain else column.to_pylist()
    return made


def schema() -> pa.Schema:
    """The columns of a chunk, which are those of our form in a file: names of the fields of `Request`."""
    import pyarrow as pa

    text, number, seconds = pa.string(), pa.int64(), pa.float64()
    must = {"request_id": text, "arrival_s": seconds, "input_tokens": number, "output_tokens": number}
    may = {
        "max_tokens": number,
        "model": text,
        "prefix_id": text,
        "prefix_tokens": number,
        "session_id": text,
        "context_tokens": number,
        "think_s": seconds,
        "priority": number,
        "slo": seconds,
        "block_tokens": number,
        "block_ids": pa.list_(number),
    }
    fields = [pa.field(name, kind, nullable=False) for name, kind in must.items()]
    return pa.schema(fields + [pa.field(name, kind) for name, kind in may.items()])
