"""The measurements of a kind of device, into a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from simulator.errors import ConfigError
from simulator.validation.measure.cpu import cpu_bench
from simulator.validation.measure.disk import CHUNKS, THREADS, disk_bench
from simulator.validation.measure.gpu import gpu_bench
from simulator.validation.measure.run import Measured, Progress, run

What: TypeAlias = Literal["gpu", "cpu", "disk"]


def measure(
    what: What,
    rows: str | Path,
    *,
    dtypes: Sequence[str] = (),
    threads: Sequence[int] = (),
    chunks: Sequence[int] = CHUNKS,
    file: str | Path | None = None,
    size: int | None = None,
    budget: float | None = None,
    progress: Progress | None = None,
) -> Measured:
    """Measure what of a GPU, the CPU or a disk a table lacks, and append it, row by row, as it comes.

    Args:
        what: `gpu`, `cpu` or `disk`.
        rows: the CSV; made where there is none, gone on with where there is one. Nothing else is written, but for the
            file that `size` asks for.
        dtypes: of products: of a GPU bf16, of a CPU fp32 unless given.
        threads: of a CPU, one and all cores unless given; of a disk, reads in flight.
        chunks: bytes of a read of a disk.
        file: an existing file on the disk to read.
        size: bytes of a file to make beside the table, to read, and to delete.
        budget: seconds after which no further row is begun.
        progress: told after each row.

    Raises:
        ConfigError: what is there is no table of measurements; a device, a library or a file that is not there.
    """
    table = Path(rows)
    if not table.parent.is_dir():
        raise ConfigError("no such folder", file=table, found=str(table.parent), expected="a folder that is there")
    if what == "gpu":
        return run(gpu_bench(tuple(dtypes) or ("bf16",)), table, budget, progress)
    if what == "cpu":
        return run(cpu_bench(threads, tuple(dtypes) or ("fp32",)), table, budget, progress)
    with disk_bench(table, None if file is None else Path(file), size, chunks, tuple(threads) or THREADS) as bench:
        return run(bench, table, budget, progress)
