"""A run as trace events of Chrome, which ui.perfetto.dev opens: iterations, requests, room, queue of each replica."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from simulator.serving.service.engines import Replica, pools_of
from simulator.serving.service.pool import Pool
from simulator.serving.service.sequence import Sequence

MICROSECONDS = 1e6


class Timeline:
    """A file of events, written as they come.

    A replica is a process: a track of iterations (a run of those that decode is one slice), of a pipeline one for each
    that is in flight, counters of blocks that are
    held, of sequences that run and that wait, and for each request a slice from arrival to its end, in which it waits,
    is computed and decodes.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.open("w", encoding="utf-8")
        self._file.write('{"displayTimeUnit":"ms","traceEvents":[\n')
        self._first = True

    def close(self) -> None:
        self._file.write("\n]}\n")
        self._file.close()

    def begin(self, replicas: Iterable[Replica]) -> None:
        """Name the tracks of replicas, and watch these."""
        for place, replica in enumerate(replicas):
            self._event(ph="M", pid=place, name="process_name", args={"name": f"replica {place}"})
            pools = pools_of([replica])
            for track, pool in enumerate(pools):
                of = f" {track}" if len(pools) > 1 else ""
                self._event(ph="M", pid=place, tid=track, name="thread_name", args={"name": f"iterations{of}"})
                pool.watch = self._watch(place, track, of)

    def ended(self, served: Sequence, replica: int) -> None:
        """A request from its arrival to its last token."""
        name = served.request.request_id
        about = {"input": served.input, "output": served.output, "cached": served.hits, "preempted": served.preemptions}
        self._span(name, replica, name, served.came, served.last, about)
        for part, start, end in (
            ("waits", served.came, served.scheduled),
            ("prefill", served.scheduled, served.first),
            ("decode", served.first, served.last),
        ):
            self._span(name, replica, part, start, end, {})

    def _span(self, id: str, replica: int, name: str, start: float, end: float, about: dict[str, Any]) -> None:
        same: dict[str, Any] = {"pid": replica, "cat": "request", "id": id, "name": name}
        self._event(ph="b", ts=start * MICROSECONDS, args=about, **same)
        self._event(ph="e", ts=end * MICROSECONDS, **same)

    def _watch(self, place: int, track: int, of: str) -> Any:
        def watch(pool: Pool, start: float, number: int, decoding: int, tokens: int) -> None:
            if number:
                alone = "prefill" if tokens else "experts of others"
                name = ("prefill and decode" if tokens else "decode") if decoding else alone
                args = {"iterations": number, "prompt_tokens": tokens, "decoding": decoding}
                lasts = (pool.now - start) * MICROSECONDS
                self._event(ph="X", pid=place, tid=track, ts=start * MICROSECONDS, dur=lasts, name=name, args=args)
            at = pool.now * MICROSECONDS
            for name, value in (
                ("blocks held", pool.store.total - pool.store.free),
                ("running", len(pool.running)),
                ("waiting", len(pool.waiting)),
            ):
                self._event(ph="C", pid=place, ts=at, name=name + of, args={name: value})

        return watch

    def _event(self, **event: Any) -> None:
        self._file.write(("" if self._first else ",\n") + json.dumps(event))
        self._first = False
