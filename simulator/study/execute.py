"""The missing points of a sweep, computed: on the cores of this machine, or on a Dask cluster that sees its folder.

A task is a few chunks; whoever computes a chunk writes its file, so that no results travel. What is computed, and into
which files, is the same wherever it is done: here only who does it is decided.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from shutil import which
from typing import Any, Protocol
from uuid import uuid4

import numpy as np

from simulator.errors import ConfigError, TiersimError
from simulator.extra import imported
from simulator.files import forget
from simulator.study import store as _store
from simulator.study.space.columns import Columns, Evaluate
from simulator.study.store import ERROR, MANIFEST, Chunk, Column, Manifest, Store

TASK_SECONDS = 0.5  # the least a task should take: handing one out costs milliseconds
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
LOOKED_AT = 16  # points, at most, to find one that does not fail


class Job(Protocol):
    """Points, numbered from 0, and what to compute of each; `columns` and `evaluate` can be pickled by cloudpickle.

    Every call of `evaluate` gives the same metrics, of the same kinds. On a cluster it is called in as many threads at
    once as a worker has.
    """

    @property
    def points(self) -> int: ...

    @property
    def units(self) -> Mapping[str, str]:
        """Of the columns that have one."""

    @property
    def evaluate(self) -> Evaluate: ...

    def columns(self, start: int, stop: int, /) -> Columns:
        """The axes of the points from `start` to before `stop`."""


@dataclass(frozen=True)
class Counts:
    """Of one run: points that were there before, that it computed, that failed of these; seconds on a clock."""

    stored: int = 0
    computed: int = 0
    failed: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        if not self.computed:
            return f"all {self.stored:,} points were there: nothing to compute"
        before = f", {self.stored:,} were there" if self.stored else ""
        failed = f", {self.failed:,} of them failed" if self.failed else ""
        return f"{self.computed:,} points computed{failed}{before}"


def execute(
    sweep: Job,
    store: Store,
    workers: int | None = None,
    cluster: str | None = None,
    fail_fast: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Counts:
    """Compute what the store misses. Whatever ends it, the store holds whole chunks, and a new run computes the rest.

    `workers` are processes: as many as cores by default, and 1 is this process alone; or those to ask a cluster for.
    `cluster` is the address of a Dask scheduler (`tcp://host:8786`), `local`, or `slurm` (set up as dask-jobqueue reads
    it). Its workers have this release of tiersim and see the store's folder under the same path; a chunk whose worker
    is lost is computed by another. `progress` is called with the points that are there, and with those in all.

    Raises:
        ConfigError: with `fail_fast`, a point failed; the cluster cannot be had, or its workers see another folder.
        Exception: what `evaluate` raises, as it is.
    """
    start, missing = time.perf_counter(), store.missing()
    counts = Counts(stored=sweep.points - sum(stop - start for start, stop in missing))
    tell = progress or (lambda done, points: None)
    tell(counts.stored, sweep.points)
    if sweep.points and not store.manifest.columns:
        store.fix(columns_of(sweep))
    if missing:
        task = _Task(sweep.columns, sweep.evaluate, store.folder, store.manifest, fail_fast)
        queue = _Queue(missing)
        results = _on_cluster(task, queue, cluster, workers) if cluster else _locally(task, queue, workers)
        with closing(results):
            for outcome in results:
                queue.took(outcome)
                computed, failed = counts.computed + outcome.points, counts.failed + outcome.failed
                counts = replace(counts, computed=computed, failed=failed)
                tell(counts.stored + counts.computed, sweep.points)
    return replace(counts, seconds=time.perf_counter() - start)


def columns_of(sweep: Job) -> tuple[Column, ...]:
    """The columns of a sweep: those of its first point that does not fail, or of the very first, evaluated alone."""
    points: list[tuple[Columns, Columns]] = []
    for point in range(min(sweep.points, LOOKED_AT)):
        axes = sweep.columns(point, point + 1)
        points.append((axes, sweep.evaluate(axes)))
        if not _failed(points[-1][1]).any():
            return _store.laid_out(*points[-1], sweep.units)
    return _store.laid_out(*points[0], sweep.units)


# --- a task: what is done, wherever it is done


@dataclass(frozen=True)
class _Task:
    """What it takes to compute a chunk of a sweep and write its file."""

    columns: Callable[[int, int], Columns]
    evaluate: Evaluate
    folder: Path
    manifest: Manifest
    fail_fast: bool
    number: str = field(default_factory=lambda: uuid4().hex)
    """What tells it from an earlier one, of files that have changed since."""


@dataclass(frozen=True)
class _Outcome:
    chunks: int
    points: int
    failed: int
    seconds: float


def _run(task: _Task, chunks: Sequence[Chunk]) -> _Outcome:
    """Compute and write some chunks."""
    start, failed = time.perf_counter(), 0
    for chunk in chunks:
        axes = task.columns(*chunk)
        metrics = task.evaluate(axes)
        failures = np.flatnonzero(_failed(metrics))
        if failures.size and task.fail_fast:
            row = int(failures[0])
            values = ", ".join(f"{name} {values[row]}" for name, values in axes.items())
            raise ConfigError(f"point {chunk[0] + row} ({values}) failed: {metrics[ERROR.name][row]}")
        _store.write(task.folder, task.manifest, chunk, axes, metrics)
        failed += failures.size
    points = sum(stop - start for start, stop in chunks)
    return _Outcome(len(chunks), points, failed, time.perf_counter() - start)


def _failed(metrics: Columns) -> Any:
    if ERROR.name not in metrics:
        raise ValueError(f"the evaluation gives no column '{ERROR.name}'")
    return metrics[ERROR.name] != ""


class _Queue:
    """The chunks to hand out, so many at a time that a task takes `TASK_SECONDS`, and fewer towards the end."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks, self._seconds = deque(chunks), float("inf")

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def took(self, outcome: _Outcome) -> None:
        """Learn from a task how long a chunk takes: as long as in the quickest, for some were slow to start."""
        self._seconds = min(self._seconds, outcome.seconds / outcome.chunks)

    def take(self, workers: int | None = None) -> list[Chunk]:
        """The chunks of the next task for one of so many workers; else the next chunk."""
        wanted = min(TASK_SECONDS / max(self._seconds, 1e-6), len(self._chunks) / (2 * workers)) if workers else 1
        return [self._chunks.popleft() for _ in range(max(1, int(wanted)))]


# --- on this machine


def _locally(task: _Task, queue: _Queue, workers: int | None) -> Generator[_Outcome]:
    """In this process as long as it would take to start others, or there are to be none; then in processes."""
    from joblib import Parallel, cpu_count, delayed

    workers = workers or cpu_count()
    start = time.perf_counter()
    while queue and (workers == 1 or time.perf_counter() - start < TASK_SECONDS):
        yield _run(task, queue.take())
    if queue:
        packed, parent = _packed(task), os.getpid()

        def tasks() -> Iterator[Any]:
            while queue:
                yield delayed(_of_parent)(parent, packed, queue.take(workers))

        pool = Parallel(workers, "loky", "generator_unordered", batch_size=1, pre_dispatch=2 * workers)
        results = pool(tasks())
        try:
            while (outcome := next(results, None)) is not None:  # yield from would close them itself
                yield outcome
        except BrokenProcessPool:
            raise TiersimError("a process was ended (too little memory?); run the sweep again to go on") from None
        finally:
            with warnings.catch_warnings(action="ignore"):  # that tasks were cut short: their chunks are just missing
                results.close()


def _of_parent(parent: int, packed: bytes, chunks: Sequence[Chunk]) -> _Outcome:
    _end_with(parent)
    return _run(_unpacked(packed), chunks)


@lru_cache(maxsize=1)
def _end_with(parent: int) -> None:
    """End this process soon after its parent: loky's live on for minutes, and go on writing, if that is killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _packed(task: _Task) -> bytes:
    data: bytes = import_module("cloudpickle").dumps(task)
    return data


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> _Task:
    """The task, one object for all its chunks in a process, so that an evaluation may keep what it lowered."""
    forget()
    task: _Task = import_module("pickle").loads(packed)
    return task


# --- on a cluster


def _on_cluster(task: _Task, queue: _Queue, cluster: str, workers: int | None) -> Generator[_Outcome]:
    """On the workers of a Dask cluster, late ones too, whose scheduler gives the task of a lost one to another."""
    distributed = imported("distributed", "cluster", "a cluster")
    packed = _packed(task)
    with ExitStack() as stack:
        client = stack.enter_context(_client(stack, distributed, cluster, workers))
        finished, running = distributed.as_completed(loop=client.loop), 0
        while queue or running:
            try:
                threads = max(1, sum(client.nthreads().values()))
            except OSError:
                raise _lost() from None
            while queue and running < 2 * threads:
                finished.add(client.submit(_of_cluster, packed, queue.take(threads), pure=False))
                running += 1
            future = next(finished)
            running -= 1
            try:
                outcome = future.result()
            except distributed.KilledWorker as error:
                raise TiersimError(f"a task ended every worker that took it (too little memory?): {error}") from None
            except CancelledError:
                raise _lost() from None
            yield outcome


def _lost() -> TiersimError:
    return TiersimError("lost the Dask scheduler; run the sweep again to go on from where it was")


def _of_cluster(packed: bytes, chunks: Sequence[Chunk]) -> _Outcome:
    _keep_memory()
    task = _unpacked(packed)
    try:
        text = (task.folder / MANIFEST).read_text(encoding="utf-8")
    except OSError:
        text = ""
    if text != task.manifest.text():
        raise ConfigError(
            f"a worker on {socket.gethostname()} does not see the folder of the sweep", file=task.folder,
            expected="a folder that all workers share under this path",
        )  # fmt: skip
    return _run(task, chunks)


@lru_cache(maxsize=1)
def _keep_memory() -> None:
    """Let malloc reuse what arrays free, as glibc does unless told otherwise.

    Dask tells it to give all back at once, and to fetch it anew takes as long as what cheap points compute.
    """
    with suppress(AttributeError, OSError):  # another C library has no such thing
        mallopt = ctypes.CDLL(None).mallopt
        for option, size in ((M_MMAP_THRESHOLD, 32 << 20), (M_TRIM_THRESHOLD, 64 << 20)):
            mallopt(option, size)


def _client(stack: ExitStack, distributed: Any, cluster: str, workers: int | None) -> Any:
    """A client of the cluster; one that is started here ends with the stack."""
    if cluster == "local":
        started = distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
        return distributed.Client(stack.enter_context(started), set_as_default=False)
    if cluster == "slurm":
        if workers is None:
            raise ConfigError("how many workers to ask Slurm for", path="workers", expected="a number")
        if which("sbatch") is None:
            raise ConfigError("this is no machine of a Slurm cluster: there is no sbatch", path="cluster")
        try:
            started = stack.enter_context(imported("dask_jobqueue", "cluster", "a cluster").SLURMCluster())
        except ValueError as error:
            reason = str(error).split("\n")[0]
            raise ConfigError(f"dask-jobqueue is not set up for Slurm: {reason}", path="cluster") from None
        started.scale(workers)
        return distributed.Client(started, set_as_default=False)
    if "://" not in cluster:
        expected = "tcp://host:port of a Dask scheduler, local or slurm"
        raise ConfigError(path="cluster", found=repr(cluster), expected=expected)
    try:
        return distributed.Client(cluster, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"no Dask scheduler answers: {error}", path="cluster", found=repr(cluster)) from None
