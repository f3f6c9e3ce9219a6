"""Predicts work that was not measured on a machine made by `fit_machine`, and measures it: is the machine true?

The products are a chain, as the layers of a network are: each multiplies the result of the one before. The reads are of
chunks and threads between those that are measured, one lot after another. Both go through the cost model that all else
goes through: a graph of operators lowered to the machine's engine, and reads of its flash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from simulator.errors import ConfigError
from simulator.extra import imported
from simulator.hardware import System, load_system
from simulator.validation.fitted.chain import chain, chain_seconds
from simulator.validation.fitted.disk import DISK, MANY, read_seconds
from simulator.validation.fitted.fit_machine import Of
from simulator.validation.measure.disk import direct, file_to_read, span
from simulator.validation.measure.host import cores
from simulator.validation.measure.run import Progress
from simulator.validation.measure.sample import sampled, summary

ROWS, WIDTHS = 48, (440, 700, 520, 660, 440)
"""A chain of products: rows, and the widths from layer to layer."""

READS = ((12 * 2**10, 3), (48 * 2**10, 6), (192 * 2**10, 3), (768 * 2**10, 2))
"""Chunks that are read, each with the threads that read it."""

LOT = 0.1
"""About how many seconds each of the reads goes on."""

ROUNDS = 12
"""How often products and reads are measured, in turns: what else the machine does then is the same for both."""

SECONDS = 0.5
"""How long the chain is repeated in a round."""


@dataclass(frozen=True)
class Check:
    """One workload: what the machine predicts, and the repeats' least and median time and spread, in seconds.

    `parts` are of the whole above them, and not counted again.
    """

    workload: str
    predicted: float
    least: float
    median: float
    spread: float
    of: Of
    part: bool = False

    @property
    def measured(self) -> float:
        return self.least if self.of == "least" else self.median

    @property
    def error(self) -> float:
        """Predicted over measured, less 1."""
        return self.predicted / self.measured - 1


def check_machine(
    machine: str | Path | System,
    *,
    file: str | Path | None = None,
    size: int | None = None,
    threads: int | None = None,
    of: Of = "least",
    progress: Progress | None = None,
) -> list[Check]:
    """Predict a chain of products, and reads of a file, on a machine that `fit_machine` made here, and measure both.

    Args:
        machine: by name or path.
        file: an existing file to read; with neither this nor `size`, the products alone are checked.
        size: bytes of a file to make in the present folder, to read, and to delete.
        threads: that compute, as the machine was made for; all cores unless given.
        of: which of the repeats' times counts, as the machine was made of.
        progress: told after each round.

    Raises:
        ConfigError: what `check` raises; a file that cannot be read.
    """
    system = machine if isinstance(machine, System) else load_system(machine)
    count = threads or cores()
    if file is None and size is None:
        return check(system, None, count, of, progress)
    with file_to_read(Path.cwd() / system.name, None if file is None else Path(file), size) as readable:
        read, length = direct(readable), span(readable)
        return check(system, lambda reads, chunk, n: read(reads, chunk, n, length), count, of, progress)


def check(
    system: System,
    reader: Callable[[int, int, int], float] | None,
    threads: int = 1,
    of: Of = "least",
    progress: Progress | None = None,
) -> list[Check]:
    """Predict the chain and the reads, and measure both in turns.

    Args:
        system: a machine of `fit_machine`.
        reader: seconds that so many reads of a chunk take by so many threads; without one, the chain alone.
        threads: that compute, as the machine was made for.
        of: which of the repeats' times counts, as the machine was made of.
        progress: told after each round.

    Raises:
        ConfigError: a machine without a disk where there is a reader; threadpoolctl is not installed.
    """
    run, chains, lots = chain(ROWS, WIDTHS, "fp32"), [], reader and _lots(system)
    reads: dict[Lot, list[float]] = {lot: [] for lot in lots or ()}
    with imported("threadpoolctl", "measure", "measuring").threadpool_limits(limits=threads, user_api="blas"):
        for turn in range(ROUNDS):
            chains.append(sampled(run, SECONDS / ROUNDS))
            for lot, times in reads.items():
                times.append(reader(*lot) if reader else 0.0)
            if progress:
                progress("rounds", turn + 1, ROUNDS)
    rounds = summary([sample.value for sample in chains])
    least = min(sample.least for sample in chains)
    name, predicted = f"{len(WIDTHS) - 1} products of {ROWS} rows", chain_seconds(system, ROWS, WIDTHS, "fp32")
    products = Check(name, predicted, least, rounds.value, rounds.spread, of)
    return [products, *(_reads(system, reads, of) if reads else ())]


Lot: TypeAlias = tuple[int, int, int]
"""Reads, bytes of each, and the threads that read."""


def _lots(system: System) -> list[Lot]:
    """As many reads of each chunk as the machine does in about `LOT` seconds."""
    if not any(name.endswith(f".{DISK}") for name in system.tiers):
        raise ConfigError(f"{system.name}: no tier '{DISK}'", expected="a machine made of reads of a disk too")
    each = {lot: read_seconds(system, MANY, *lot) / MANY for lot in READS}
    return [(max(1, round(LOT / seconds / n)) * n, chunk, n) for (chunk, n), seconds in each.items()]


def _reads(system: System, measured: Mapping[Lot, Sequence[float]], of: Of) -> list[Check]:
    """All reads together, and each of their lots as a part."""
    parts = []
    for lot, times in measured.items():
        reads, chunk, threads = lot
        sample, name = summary(times), f"{reads} of {chunk // 1024} KiB by {threads}"
        parts.append(Check(name, read_seconds(system, *lot), sample.least, sample.value, sample.spread, of, part=True))
    rounds = summary([sum(each) for each in zip(*measured.values(), strict=True)])
    predicted, least = (sum(getattr(part, key) for part in parts) for key in ("predicted", "least"))
    return [Check("reads of a file", predicted, least, rounds.value, rounds.spread, of), *parts]
