"""10,000,000 requests: drawn, written, read again, summed up and taken one at a time, and never held whole.

Bounds: no step needs more than 400 MiB of resident memory, nor 64 MiB more than with a tenth of the requests; and
requests in a second of the processor (`LEAST`), for others run beside it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from store import Peak

from simulator.workload.requests.load import load_requests
from simulator.workload.requests.request import Stream
from simulator.workload.requests.summary import summary
from simulator.workload.requests.trace import open_trace
from simulator.workload.requests.write import write_requests

MOST, MORE = 400, 64  # MiB
LAWS = ["arrivals={kind: gamma, rate: 100, variation: 2}", "lengths={kind: log_normal, input: 1000, output: 250}"]
CHAT = ["sessions={turns: 5}", "prefixes={tokens: 500, number: 100}"]
LEAST = {
    "drawn": 1_000_000, "drawn in sessions": 500_000, "written as Parquet": 300_000, "written as CSV": 100_000,
    "read from Parquet": 500_000, "read from CSV": 500_000, "one at a time": 100_000, "summed up": 300_000,
}  # fmt: skip


def count(stream: Stream) -> int:
    return sum(batch.num_rows for batch in stream.batches())


def steps(number: int, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    drawn = load_requests({}, [f"requests={number}", *LAWS])
    parquet, csv = folder / "day.parquet", folder / "day.csv"
    yield "drawn", lambda: count(drawn)
    yield "drawn in sessions", lambda: count(load_requests({}, [f"requests={number}", *LAWS, *CHAT]))
    yield "written as Parquet", lambda: write_requests(drawn, parquet)
    yield "written as CSV", lambda: write_requests(drawn, csv)
    yield "read from Parquet", lambda: count(Stream(open_trace(parquet).batches))
    yield "read from CSV", lambda: count(Stream(open_trace(csv).batches))
    yield "one at a time", lambda: sum(1 for _ in load_requests(parquet))
    yield "summed up", lambda: summary(load_requests(parquet))


def measured(number: int) -> dict[str, tuple[float, float]]:
    """Seconds and MiB of each step."""
    made = {}
    with TemporaryDirectory() as folder:
        for name, step in steps(number, Path(folder)):
            start = time.process_time()
            with Peak() as peak:
                step()
            made[name] = (time.process_time() - start, peak.bytes / 2**20)
    return made


def alone(number: int) -> dict[str, tuple[float, float]]:
    """As `measured`, in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(measured, number).result()


if __name__ == "__main__":
    number = int(float(sys.argv[1])) if len(sys.argv) > 1 else 10_000_000
    few, many = (alone(each) for each in (number // 10, number))
    late = []
    for name, (seconds, size) in many.items():
        rate, more = number / seconds, size - few[name][1]
        print(f"{name}: {rate:,.0f} requests/s; {size:.0f} MiB, {more:+.0f}")
        late += [f"{name}: {rate:,.0f}/s"] if rate < LEAST[name] else []
        late += [f"{name}: {size:.0f} MiB, {more:+.0f}"] if size > MOST or more > MORE else []
    sys.exit("; ".join(late) or 0)
