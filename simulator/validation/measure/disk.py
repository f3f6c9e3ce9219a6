"""Measures a disk: direct reads of a file at random places, by chunk, threads and the stretch of the file.

Reads go past the operating system's page cache (`O_DIRECT`) into aligned buffers. Each thread waits for its read before
it asks for the next, so that as many are in flight as there are threads. The file is the user's, which is only read; or
one of bytes at random that is made beside the table and deleted at the end.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import numpy as np

from simulator.errors import ConfigError
from simulator.files import reason
from simulator.units import show
from simulator.validation.measure.rows import Point, Sample
from simulator.validation.measure.run import Bench
from simulator.validation.measure.sample import summary

CHUNKS = (4 * 2**10, 16 * 2**10, 64 * 2**10, 256 * 2**10, 2**20)
"""Bytes of a read."""

THREADS = (1, 2, 4, 8)
"""Reads in flight."""

GRAIN = 4096
"""What places and lengths of direct reads are multiples of."""

LEAST_SPAN = 64 * 2**20
"""The shortest stretch of a file to read in: a shorter one would lie in the caches of a disk."""

WINDOWS, WINDOW = 12, 0.1
"""Repeats of a point, and about how many seconds each takes."""

Reader: TypeAlias = Callable[[int, int, int, int], float]
"""Seconds that so many reads of a chunk take by so many threads within a span: of reads, chunk, threads, span."""


@contextmanager
def disk_bench(
    table: Path,
    file: Path | None = None,
    size: int | None = None,
    chunks: Sequence[int] = CHUNKS,
    threads: Sequence[int] = THREADS,
) -> Iterator[Bench]:
    """The disk that a file lies on.

    Args:
        table: that the rows go to; a file that is made lies beside it.
        file: an existing file to read.
        size: bytes of a file to make, where none is given.
        chunks: bytes of a read.
        threads: reads in flight.

    Raises:
        ConfigError: what `file_to_read` and `direct` raise; a chunk that is no multiple of 4 KiB.
    """
    for path, counts, least in (("chunks", chunks, GRAIN), ("threads", threads, 1)):
        wrong = next((count for count in counts if count < least or count % least), None)
        if wrong is not None:
            raise ConfigError(path=path, found=wrong, expected=f"multiples of {least}")
    with file_to_read(table, file, size) as readable:
        yield bench(*_described(readable), chunks, threads, direct(readable))


@contextmanager
def file_to_read(beside: Path, file: Path | None, size: int | None) -> Iterator[Path]:
    """A file that is there, or one of so many bytes made beside another, and deleted at the end.

    Raises:
        ConfigError: neither or both of file and size; a file that is too short; no room for the one to make, or one of
            its name.
    """
    if (file is None) == (size is None):
        found = "neither" if file is None else "both"
        raise ConfigError("what to read", found=found, expected="a file that is there, or the size of one to make")
    if file is not None:
        yield file
    elif size is not None:
        with _made(beside.with_name(f".{beside.name}.read"), size) as made:
            yield made


def span(file: Path) -> int:
    """Bytes of a file that may be read at random places. Raises `ConfigError` as `file_to_read` does."""
    return _described(file)[1]


def bench(
    device: str, length: int, capacity: int, chunks: Sequence[int], threads: Sequence[int], read: Reader
) -> Bench:
    """The points of a disk, each read by `read`."""
    points = [Point(device, "disk", metric="capacity", n_devices=None, engine=ENGINE)]
    points += [
        Point(device, "file_read", bytes=chunk, threads=count, span_bytes=length, engine=ENGINE)
        for chunk in chunks
        for count in threads
    ]

    def sample(point: Point) -> Sample:
        if point.op == "disk":
            return Sample(float(capacity), float(capacity))
        return read_sample(read, point.bytes or 0, point.threads or 0, length)

    return Bench("measured by tiersim: pread at random places, O_DIRECT, from threads of Python", points, sample)


ENGINE = "pread, O_DIRECT"


def read_sample(read: Reader, chunk: int, threads: int, span: int) -> Sample:
    """Seconds a read, so many in flight: windows of as many reads as come in about `WINDOW` seconds."""
    reads = 4 * threads
    seconds = read(reads, chunk, threads, span)
    reads = max(reads, threads * round(WINDOW / max(seconds / reads, 1e-7) / threads))
    return summary([read(reads, chunk, threads, span) / reads for _ in range(WINDOWS)])


def direct(file: Path) -> Reader:
    """Reads a file past the page cache.

    Raises:
        ConfigError: the file cannot be read so.
    """
    flag = getattr(os, "O_DIRECT", None)
    if flag is None or not hasattr(os, "preadv"):
        raise ConfigError("no reads past the page cache", file=file, found=os.name, expected="Linux")
    draw = np.random.default_rng(0)

    def read(reads: int, chunk: int, threads: int, span: int) -> float:
        opened = os.open(file, os.O_RDONLY | flag)
        each = reads // threads
        places = draw.integers(0, (span - chunk) // GRAIN + 1, (threads, each)) * GRAIN

        def thread(own: list[int]) -> None:
            with mmap.mmap(-1, chunk) as page:  # of whole pages, and so aligned
                buffers, get = [page], os.preadv
                for place in own:
                    if get(opened, buffers, place) != chunk:
                        raise OSError(0, "shorter than it was", str(file))

        try:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(thread, [[]] * threads))  # starts the threads
                start = time.perf_counter()
                list(pool.map(thread, places.tolist()))
                return time.perf_counter() - start
        finally:
            os.close(opened)

    try:
        read(1, GRAIN, 1, GRAIN)
    except OSError as error:
        expected = "a file on a disk; tmpfs and some network file systems have no direct reads"
        raise ConfigError(f"cannot be read directly: {reason(error)}", file=file, expected=expected) from None
    return read


def _described(file: Path) -> tuple[str, int, int]:
    """The disk that a file lies on, by its device; the bytes of the file; and those of the file system."""
    try:
        about = file.stat()
        if about.st_size < LEAST_SPAN or not file.is_file():
            found = show(about.st_size, "B") if file.is_file() else "no file"
            raise ConfigError(file=file, found=found, expected=f"a file of {show(LEAST_SPAN, 'B')} or more")
        holds = os.statvfs(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {reason(error)}", file=file) from None
    return _device(about.st_dev), about.st_size // GRAIN * GRAIN, holds.f_frsize * holds.f_blocks


def _device(number: int) -> str:
    """The name that the system has for a block device, and the model of the disk where it says."""
    folder = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    name, model = f"disk {os.major(number)}:{os.minor(number)}", ""
    with suppress(OSError):
        name = folder.resolve(strict=True).name
        model = next((each.read_text().strip() for each in folder.resolve().glob("**/device/model")), "")
    return f"{model} ({name})" if model else name


@contextmanager
def _made(file: Path, size: int) -> Iterator[Path]:
    """A file of bytes at random, written through to the disk, that is deleted at the end; never one that was there."""
    size = size // 2**20 * 2**20
    if size < LEAST_SPAN:
        raise ConfigError(path="size", found=show(size, "B"), expected=f"{show(LEAST_SPAN, 'B')} or more")
    try:
        room = os.statvfs(file.parent)
        if room.f_bavail * room.f_frsize < size + LEAST_SPAN:
            found = show(room.f_bavail * room.f_frsize, "B")
            raise ConfigError("no room for the file to read", file=file, found=found, expected=show(size, "B"))
        opened = file.open("xb")
    except OSError as error:
        raise ConfigError(f"cannot be made: {reason(error)}", file=file) from None
    try:
        with opened:
            draw = np.random.default_rng(0)
            for _ in range(size // 2**20):
                opened.write(draw.bytes(2**20))
            opened.flush()
            os.fsync(opened.fileno())
        yield file
    except OSError as error:
        if error.filename not in (None, str(file)):
            raise
        raise ConfigError(f"cannot be written or read: {reason(error)}", file=file) from None
    finally:
        file.unlink(missing_ok=True)
