from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from simulator.errors import ConfigError, TiersimError
from simulator.provenance import Provenance
from simulator.study import execute as module
from simulator.study.execute import columns_of, execute
from simulator.study.store import Manifest, Store, open_store

POINTS, CHUNK = 1_000, 30


def sweep(seconds: float = 0.0, log: Path | None = None, points: int = POINTS) -> Any:
    """Points of which some fail; an evaluation sleeps so long, and notes the process and its points in the log.

    Its functions are pickled by value: no other process can import this file.
    """

    def columns(start, stop):
        point = np.arange(start, stop)
        return {"x": point % 7 * 0.1, "y": point // 7, "kind": np.array(["a", "b"], dtype=object)[point % 2]}

    def evaluate(axes):
        import os
        import time

        time.sleep(seconds)
        if log:
            with log.open("a") as file:
                file.write(f"{os.getpid()} {len(axes['x'])}\n")
        error = np.where(axes["y"] % 10 == 3, "y ends in 3", "").astype(object)
        return {"cost_s": np.where(error == "", np.exp(axes["x"]) + axes["y"], np.nan), "error": error}

    return SimpleNamespace(points=points, units={"cost_s": "s"}, columns=columns, evaluate=evaluate)


def opened(folder: Path, points: int = POINTS) -> Store:
    return open_store(folder, Manifest.of(Provenance({"toy": 1}, 5, "1.0"), points, CHUNK))


def files(folder: Path) -> dict[str, bytes]:
    """What is in a store, by file; not the lock, and nothing half written."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".tiersim.lock"}


def parts(folder: Path) -> dict[str, bytes]:
    """The chunks in a store."""
    return {path.name: path.read_bytes() for path in folder.glob("part-*")}


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an uninterrupted run in this process."""
    folder = tmp_path_factory.mktemp("store")
    with opened(folder) as store:
        execute(sweep(), store, workers=1)
    assert len(files(folder)) == -(-POINTS // CHUNK) + 1
    return files(folder)


@pytest.fixture
def all_in_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TASK_SECONDS", 0.0)


# --- on this machine


def test_each_point_is_computed_once(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        seen: list[tuple[int, int]] = []
        counts = execute(sweep(), store, workers=1, progress=lambda done, points: seen.append((done, points)))
        frame = store.frame()
    assert counts.computed == POINTS and counts.stored == 0 and counts.failed == (frame["error"] != "").sum() == 98
    assert str(counts) == "1,000 points computed, 98 of them failed"
    assert seen[0] == (0, POINTS) and seen[-1] == (POINTS, POINTS) and seen == sorted(seen)
    axes = sweep().columns(0, POINTS)
    assert frame["point"].tolist() == list(range(POINTS))
    assert frame["cost_s"].equals(frame["cost_s"].where(frame["error"] == ""))
    good = (frame["error"] == "").to_numpy()
    assert np.array_equal(frame["cost_s"][good], (np.exp(axes["x"]) + axes["y"])[good])


@pytest.mark.usefixtures("all_in_the_pool")
def test_two_processes_write_the_same_files(tmp_path: Path, expected: dict[str, bytes]) -> None:
    log = tmp_path / "log"
    with opened(tmp_path / "store") as store:
        counts = execute(sweep(seconds=0.005, log=log), store, workers=2)
    assert files(tmp_path / "store") == expected
    assert (counts.computed, counts.failed) == (POINTS, 98)
    processes = {line.split()[0] for line in log.read_text().splitlines()}
    assert len(processes - {str(os.getpid())}) == 2


def test_the_same_again_computes_nothing(tmp_path: Path, expected: dict[str, bytes]) -> None:
    for _ in range(2):
        with opened(tmp_path / "store") as store:
            counts = execute(sweep(log=tmp_path / "log"), store)
    assert counts.computed == 0 and counts.stored == POINTS
    assert str(counts) == "all 1,000 points were there: nothing to compute"
    computed = [int(line.split()[1]) for line in (tmp_path / "log").read_text().splitlines()]
    assert sum(computed) == POINTS + 1  # the first point also alone, for the columns
    assert files(tmp_path / "store") == expected


def test_only_what_is_missing_is_computed(tmp_path: Path, expected: dict[str, bytes]) -> None:
    with opened(tmp_path / "store") as store:
        execute(sweep(), store, workers=1)
        gone, damaged = sorted((tmp_path / "store").glob("part-*"))[3:5]
        gone.unlink()
        damaged.write_bytes(damaged.read_bytes()[:-9])
        counts = execute(sweep(log=tmp_path / "log"), store, workers=1)
    assert str(counts) == "60 points computed, 7 of them failed, 940 were there"
    assert [line.split()[1] for line in (tmp_path / "log").read_text().splitlines()] == ["30", "30"]
    assert files(tmp_path / "store") == expected


def test_a_sweep_without_points(tmp_path: Path) -> None:
    with opened(tmp_path, points=0) as store:
        assert execute(sweep(points=0), store).computed == 0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("all_in_the_pool")
def test_fail_fast_names_the_point(tmp_path: Path, workers: int) -> None:
    with opened(tmp_path) as store:
        with pytest.raises(ConfigError, match=r"point 21 \(x 0\.0, y 3, kind b\) failed: y ends in 3"):
            execute(sweep(points=200), store, workers, fail_fast=True)
        assert (0, CHUNK) in store.missing()
        assert execute(sweep(), store, workers=1).stored < POINTS
        assert store.missing() == []


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("all_in_the_pool")
def test_a_fault_of_the_evaluation_is_raised_and_the_rest_stays(
    tmp_path: Path, workers: int, expected: dict[str, bytes]
) -> None:
    faulty = sweep()

    def evaluate(axes, evaluate=faulty.evaluate):
        if 100 in axes["y"]:
            raise ZeroDivisionError("a fault")
        return evaluate(axes)

    faulty.evaluate = evaluate
    with opened(tmp_path) as store:
        with pytest.raises(ZeroDivisionError, match="a fault"):
            execute(faulty, store, workers)
        assert store.missing()
        execute(sweep(), store, workers=1)
    assert parts(tmp_path).items() <= expected.items() and len(parts(tmp_path)) == len(expected) - 1


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("all_in_the_pool")
def test_an_interrupt_leaves_a_store_to_go_on_with(tmp_path: Path, workers: int, expected: dict[str, bytes]) -> None:
    def interrupt(done: int, points: int) -> None:
        if done >= POINTS / 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), opened(tmp_path) as store:
        execute(sweep(0.002), store, workers, progress=interrupt)
    with opened(tmp_path) as store:
        counts = execute(sweep(), store, workers=1)
    assert counts.stored >= POINTS / 4 and counts.computed > 0
    assert files(tmp_path) == expected


@pytest.mark.usefixtures("all_in_the_pool")
def test_a_process_that_is_ended_is_said_to_be(tmp_path: Path) -> None:
    job, here = sweep(), os.getpid()
    job.evaluate = lambda axes: {} if os.getpid() == here else os._exit(1)
    with opened(tmp_path) as store:
        store.fix(columns_of(sweep()))
        with pytest.raises(TiersimError, match="a process was ended"):
            execute(job, store, workers=2)


def test_columns_are_those_of_the_first_point_that_does_not_fail() -> None:
    def evaluate(axes):
        if axes["n"][0] < 2:
            return {"steps": np.array([np.nan]), "binds": np.array([np.nan]), "error": np.array(["no"], object)}
        return {"steps": axes["n"], "binds": np.array(["hbm"], object), "error": np.array([""], object)}

    job = SimpleNamespace(
        points=5, units={}, evaluate=evaluate, columns=lambda start, stop: {"n": np.arange(start, stop)}
    )
    assert [(column.name, column.dtype) for column in columns_of(job)] == [
        ("point", "int64"), ("n", "int64"), ("steps", "int64"), ("binds", "text"), ("error", "text"),
    ]  # fmt: skip
    job.points = 2
    assert [column.dtype for column in columns_of(job)] == ["int64", "int64", "float64", "float64", "text"]


def test_an_evaluation_without_errors_is_a_fault(tmp_path: Path) -> None:
    job = SimpleNamespace(points=1, units={}, columns=lambda start, stop: {"x": np.zeros(1)}, evaluate=lambda axes: {})
    with opened(tmp_path, points=1) as store, pytest.raises(ValueError, match="no column 'error'"):
        execute(job, store)


def test_a_task_is_as_many_chunks_as_take_the_least_time() -> None:
    queue = module._Queue([(i, i + 1) for i in range(100)])
    assert len(queue.take(2)) == 1  # nothing is known of how long they take
    queue.took(module._Outcome(chunks=1, points=1, failed=0, seconds=0.5))  # slow to start
    queue.took(module._Outcome(chunks=2, points=2, failed=0, seconds=0.1))
    assert len(queue.take(2)) == 10
    assert len(queue.take(8)) == 5  # 89 are left for 8 workers
    queue.took(module._Outcome(chunks=1, points=1, failed=0, seconds=1.0))
    assert len(queue.take()) == 1


# --- killed


def main(folder: str, workers: int, seconds: float, points: int, dies: str) -> None:
    """The sweep in a process of its own, which may kill itself at the sixth write, and there at some step."""
    real, writes = {"fsync": os.fsync, "replace": Path.replace}, []

    def fsync(descriptor: int) -> None:
        writes.append(1)
        if dies == "half written" and len(writes) == 6:
            os.ftruncate(descriptor, 1000)
            os.kill(os.getpid(), signal.SIGKILL)
        real["fsync"](descriptor)

    def rename(path: Path, target: Path) -> Path:
        if dies == "before the rename" and len(writes) == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        done = real["replace"](path, target)
        if dies == "after the rename" and len(writes) == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    if dies:
        os.fsync, Path.replace = fsync, rename
    module.TASK_SECONDS = 0.0
    with opened(Path(folder), points) as store:
        execute(sweep(seconds, points=points), store, workers)


def started(
    folder: Path, workers: int = 1, seconds: float = 0.0, points: int = POINTS, dies: str = ""
) -> subprocess.Popen[bytes]:
    arguments = (str(folder), workers, seconds, points, dies)
    code = f"import runpy; runpy.run_path({__file__!r})['main'](*{arguments!r})"
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)  # joblib tidies up after the dead


def test_killed_while_it_writes_and_resumed(tmp_path: Path, expected: dict[str, bytes]) -> None:
    computed = 0
    for dies in ("half written", "before the rename", "after the rename"):
        assert started(tmp_path, dies=dies).wait() == -signal.SIGKILL
        there = files(tmp_path)
        assert parts(tmp_path).items() <= expected.items()
        assert len(parts(tmp_path)) > computed
        computed = len(parts(tmp_path))
        assert bool([name for name in there if name.endswith(".tmp")]) == (dies != "after the rename")
    with opened(tmp_path) as store:
        assert len(store.missing()) == len(expected) - 1 - computed
        execute(sweep(), store, workers=1)
    assert files(tmp_path) == expected


@pytest.mark.slow
def test_killed_at_twenty_random_moments_and_resumed(tmp_path: Path) -> None:
    points, rng, there = 10 * POINTS, random.Random(7), 0
    with opened(tmp_path / "whole", points) as store:
        execute(sweep(points=points), store, workers=1)
    expected, folder = files(tmp_path / "whole"), tmp_path / "store"
    for _ in range(20):
        process = started(folder, 2, 0.05, points=points)
        wanted = there + rng.randrange(5)
        while len(parts(folder)) < wanted and process.poll() is None:
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.1))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert parts(folder).items() <= expected.items()
        there = len(parts(folder))
    assert 0 < there < len(parts(tmp_path / "whole"))
    assert started(folder, 2, points=points).wait() == 0
    assert files(folder) == expected


# --- on a cluster


Cluster = tuple[str, list[subprocess.Popen[bytes]]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with started_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@contextmanager
def started_cluster(folder: Path) -> Iterator[Cluster]:
    """A scheduler and two workers on this machine, each a process: its address, and the workers."""
    pytest.importorskip("distributed")
    said = folder / "scheduler.json"
    common = ["--scheduler-file", str(said), "--no-dashboard"]
    dask = [sys.executable, "-m", "dask"]
    local = ["--host", "127.0.0.1"]
    with (folder / "dask.log").open("wb") as log:
        processes = [subprocess.Popen([*dask, "scheduler", *local, "--port", "0", *common], stdout=log, stderr=log)]
        try:
            for name in ("one", "two"):
                command = [*dask, "worker", *local, *common, "--name", name, "--nthreads", "1", "--no-nanny"]
                own = ["--local-directory", str(folder / name)]
                processes.append(subprocess.Popen([*command, *own], stdout=log, stderr=log))
            while not said.exists():
                time.sleep(0.05)
            import distributed

            with distributed.Client(scheduler_file=str(said), set_as_default=False) as client:
                client.wait_for_workers(2)
                address = client.scheduler.address
            yield address, processes[1:]
        finally:
            for process in processes[::-1]:
                process.kill()
                process.wait()


def test_a_cluster_writes_the_same_files(tmp_path: Path, expected: dict[str, bytes], cluster: Any) -> None:
    log = tmp_path / "log"
    with opened(tmp_path / "store") as store:
        counts = execute(sweep(0.01, log), store, cluster=cluster[0])
    assert files(tmp_path / "store") == expected
    assert (counts.computed, counts.failed) == (POINTS, 98)
    processes = {int(line.split()[0]) for line in log.read_text().splitlines()}
    assert processes == {os.getpid(), *(worker.pid for worker in cluster[1])}  # here the columns alone


@pytest.mark.slow
def test_another_worker_takes_what_a_killed_one_had(
    tmp_path: Path, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TASK_SECONDS", 0.1)

    def kill(done: int, points: int) -> None:
        if done >= points / 4 and workers[0].poll() is None:
            workers[0].kill()
            workers[0].wait()

    with started_cluster(tmp_path) as (address, workers), opened(tmp_path / "store") as store:
        counts = execute(sweep(0.03), store, cluster=address, progress=kill)
    assert workers[0].returncode == -signal.SIGKILL
    assert counts.computed == POINTS
    assert parts(tmp_path / "store").items() <= expected.items()
    with opened(tmp_path / "store") as store:
        assert execute(sweep(), store).computed == 0
    assert files(tmp_path / "store") == expected


def test_a_cluster_says_what_a_point_or_an_evaluation_did_wrong(tmp_path: Path, cluster: Any) -> None:
    with opened(tmp_path / "store") as store:
        with pytest.raises(ConfigError, match=r"point 21 \(x 0\.0, y 3, kind b\) failed: y ends in 3"):
            execute(sweep(0.01), store, cluster=cluster[0], fail_fast=True)
        faulty = sweep()
        faulty.evaluate = lambda axes: 1 / 0
        with pytest.raises(ZeroDivisionError):
            execute(faulty, store, cluster=cluster[0])


def test_workers_that_see_another_folder_are_refused(tmp_path: Path, cluster: Any) -> None:
    with opened(tmp_path / "store") as store:
        store.fix(columns_of(sweep()))
        (tmp_path / "store" / "sweep.json").unlink()
        with pytest.raises(ConfigError, match="does not see the folder"):
            execute(sweep(), store, cluster=cluster[0])


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        ("lokal", "cluster: found 'lokal', expected tcp://host:port of a Dask scheduler, local or slurm"),
        ("tcp://127.0.0.1:1", "no Dask scheduler answers"),
        ("slurm", "how many workers"),
    ],
)
def test_a_cluster_that_cannot_be_had(tmp_path: Path, cluster: str, says: str) -> None:
    distributed = pytest.importorskip("distributed")
    impatient = distributed.client.dask.config.set({"distributed.comm.timeouts.connect": "200ms"})
    with impatient, opened(tmp_path) as store, pytest.raises(ConfigError, match=says):
        execute(sweep(), store, cluster=cluster)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Slurm that runs its jobs here at once; dask-jobqueue is set up for it."""
    distributed = pytest.importorskip("distributed")
    pytest.importorskip("dask_jobqueue")
    programs = {
        "sbatch": 'cp "$1" "$1.job"; setsid bash "$1.job" >/dev/null 2>&1 & echo "Submitted batch job $!"',
        "scancel": 'for job in "$@"; do kill -TERM -- "-$job"; done',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    said = {"cores": 1, "memory": "1GB", "interface": "lo", "local-directory": str(tmp_path)}
    with distributed.client.dask.config.set({f"jobqueue.slurm.{name}": value for name, value in said.items()}):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_slurm_gives_workers(tmp_path: Path, expected: dict[str, bytes]) -> None:
    with opened(tmp_path / "store") as store:
        assert execute(sweep(), store, workers=1, cluster="slurm").computed == POINTS
    assert files(tmp_path / "store") == expected


def test_without_dask_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with opened(tmp_path) as store, pytest.raises(ConfigError, match=r"pip install 'tiersim\[cluster\]'"):
        execute(sweep(), store, cluster="local")
