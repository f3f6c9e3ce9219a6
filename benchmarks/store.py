"""10,000,000 points of 6 axes and 8 metrics to Parquet, in two processes, and read back a batch at a time.

The evaluation is a few numpy operations, so that it is the store that is measured. Bounds: 60 s, and 2 GiB of resident
memory, in this process and all its children together; reading adds at most 256 MiB. Beside it, a ruler for the
machine: seconds of 1,000 `numpy.multiply` passes over 1,000,000 doubles.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np

from simulator.provenance import Provenance
from simulator.study.execute import execute
from simulator.study.space.columns import Columns
from simulator.study.store import Manifest, Store, open_store

POINTS, WORKERS = 10_000_000, 2
MODELS = np.array([f"model-{i}" for i in range(25)], dtype=object)


def axes(start: int, stop: int) -> Columns:
    """Half of them from lists and half drawn, as in a design that is no grid: these do not compress."""
    rng, points = np.random.default_rng(start), np.arange(start, stop)
    drawn = rng.random((3, stop - start))
    return {
        "hbm_bandwidth": 1e12 + 7e12 * drawn[0], "hbm_capacity": 16e9 + 240e9 * drawn[1],
        "link_bandwidth": 1e10 + 1e12 * drawn[2], "batch": 2 ** (points % 10), "context": 2 ** (7 + points // 10 % 10),
        "model": MODELS[points // 100 % len(MODELS)],
    }  # fmt: skip


def evaluate(axes: Columns) -> Columns:
    moved = 1e9 + axes["batch"] * axes["context"] * 1e3
    compute = axes["batch"] * 1.4e-6
    hbm, link = moved / axes["hbm_bandwidth"], axes["batch"] * 8192 / axes["link_bandwidth"]
    latency = np.maximum(compute, hbm) + link
    return {
        "latency_s": latency, "tokens_per_s": axes["batch"] / latency, "compute_s": compute, "hbm_s": hbm,
        "link_s": link, "energy_j": moved * 3e-11, "free_b": axes["hbm_capacity"] - moved, "bound": hbm > compute,
        "error": np.where(moved < axes["hbm_capacity"], "", "does not fit").astype(object),
    }  # fmt: skip


def ruler() -> float:
    a = np.ones(1_000_000)
    out = np.empty_like(a)
    start = time.perf_counter()
    for _ in range(1000):
        np.multiply(a, 1.0001, out=out)
    return time.perf_counter() - start


def resident(process: str = "self") -> int:
    """Bytes of a process and its children, now; memory that they share counts in each."""
    status = Path(f"/proc/{process}/statm")
    try:
        pages = int(status.read_text().split()[1])
        children = " ".join(tasks.read_text() for tasks in status.parent.glob("task/*/children")).split()
    except OSError:  # it has just ended
        return 0
    return pages * 4096 + sum(resident(child) for child in children)


class Peak:
    """The most that was resident while it was entered, looked at 20 times a second."""

    def __enter__(self) -> Peak:
        self.bytes, self._end = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._end.wait(0.05):
            self.bytes = max(self.bytes, resident())

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        self._thread.join()


def read(store: Store) -> Iterator[int]:
    for batch in store.read():
        yield batch.num_rows


if __name__ == "__main__":
    job = SimpleNamespace(points=POINTS, units={"latency_s": "s"}, columns=axes, evaluate=evaluate)
    unit = ruler()
    with TemporaryDirectory() as folder:
        with Peak() as peak, open_store(Path(folder), Manifest.of(Provenance({}), POINTS)) as store:
            counts = execute(job, store, WORKERS)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        before = resident()
        with Peak() as peak_read:
            start = time.perf_counter()
            rows = sum(read(store))
            took = time.perf_counter() - start
    table = POINTS * (13 * 8 + 1) + 2 * POINTS * 4  # of doubles, integers and a bool; texts by their numbers
    print(f"written: {counts}, in {counts.seconds:.1f} s = {counts.seconds / unit:.1f} rulers: "
          f"{table / 1e6 / counts.seconds:.0f} MB/s of {table / 1e9:.2f} GB, {size / 1e6:.0f} MB in files")  # fmt: skip
    print(f"read: {rows:,} rows in {took:.1f} s = {took / unit:.1f} rulers")
    print(
        f"{peak.bytes / 2**20:.0f} MiB resident in all processes while writing, {peak_read.bytes / 2**20:.0f} reading"
    )
    late = [f"{counts.seconds:.0f} s, more than 60"] if counts.seconds > 60 else []
    late += [f"{peak.bytes / 2**30:.2f} GiB, more than 2"] if max(peak.bytes, peak_read.bytes) > 2**31 else []
    more = peak_read.bytes - before
    late += [f"{more / 2**20:.0f} MiB more while reading, more than 256"] if more > 2**28 else []
    late += ["rows were lost"] if rows != POINTS else []
    sys.exit("; ".join(late) or 0)
