"""A disk, as a tier of flash of a machine, from what was measured of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from simulator.core.closed_form import alone
from simulator.errors import ConfigError
from simulator.hardware import System
from simulator.mapping.flash_read import flash_read
from simulator.units import show
from simulator.validation.fitted.cpu import Section, Statistic, tell_misfit
from simulator.validation.measure.rows import Row, of

DISK, MEMORY = "disk", "dram"
FEWEST = 6
"""Rows that its three figures need at least."""

LEAST, MOST = np.array([1e-9, 1e-9, 1e3]), np.array([1e3, 1e3, 1e13])
"""Bounds of the three figures: seconds, seconds, bytes a second."""

MANY = 10_000
"""Reads that are timed together, so that the first and the last count for nothing."""


def fitted_disk(
    file: Path, rows: Sequence[Row], statistic: Statistic, source: str, system_of: Callable[[Section], System]
) -> Section:
    """The tier, as a section of a machine's YAML.

    A read of c bytes takes `fixed + c / bandwidth` by itself, of which `each + c / bandwidth` are the controller's, or
    the host's, that serves one read at a time. The three figures are those for which the machine's own reads
    (`mapping/flash_read.py`) take the measured times: least squares of the log. `system_of` makes the machine with such
    a tier. Warns where the figures miss many of the reads.

    Raises:
        ConfigError: fewer rows than the figures need, or of fewer than two chunks or numbers of threads.
    """
    reads = list(of(rows, "file_read"))
    capacity = next((row.sample.value for row in of(rows, "disk")), None)
    chunks, depths = ({getattr(row.point, key) for row in reads} for key in ("bytes", "threads"))
    if capacity is None or len(reads) < FEWEST or len(chunks) < 2 or len(depths) < 2:
        found = f"{len(reads)} of 'file_read', {len(chunks)} chunks and {len(depths)} numbers of threads"
        found += "" if capacity else "; no capacity"
        expected = f"{FEWEST} or more, of two chunks and two numbers of threads, and one of 'disk'"
        raise ConfigError("too few rows", file=file, found=found, expected=expected)
    times = np.array([statistic(row.sample) for row in reads])
    sizes = np.array([float(row.point.bytes or 0) for row in reads])
    depth = max(row.point.threads or 1 for row in reads)

    def tier(logs: NDArray[np.float64], write: Callable[[float, str], object]) -> Section:
        wait, each, bandwidth = np.exp(logs).tolist()
        return {
            "kind": "flash",
            "capacity": {
                "value": f"{capacity:.0f} B",
                "source": "the operating system, of the file system",
                "role": "input",
            },
            "granularity": {"value": "4 KiB", "source": "what the reads were aligned to", "role": "input"},
            "bandwidth": write(bandwidth, "B/s"),
            "flash": {
                "queue_depth": {"value": depth, "source": f"{source}: reads in flight at most", "role": "input"},
                "reads": {"kind": "two_constant", "fixed": write(wait + each, "s"), "stream": write(bandwidth, "B/s")},
                "controller": {"each": write(each, "s"), "stream": write(bandwidth, "B/s")},
            },
        }

    def misfit(logs: NDArray[np.float64]) -> NDArray[np.float64]:
        system = system_of(tier(logs, lambda value, unit: value))
        modelled = [read_seconds(system, MANY, row.point.bytes or 0, row.point.threads or 1) / MANY for row in reads]
        apart: NDArray[np.float64] = np.log(np.array(modelled) / times)
        return apart

    begin = np.log(np.clip([times.max() / 10, times.min(), float(np.max(sizes / times))], 2 * LEAST, MOST / 2))
    fit = least_squares(misfit, begin, bounds=(np.log(LEAST), np.log(MOST)), diff_step=1e-3)
    tell_misfit(file, "reads", np.exp(fit.fun) - 1)

    def figure(value: float, unit: str) -> Section:
        return {"value": show(value, unit), "source": f"{source}: reads by chunk and threads", "role": "calibration"}

    return tier(fit.x, figure)


def read_seconds(system: System, reads: int, chunk: int, threads: int) -> float:
    """Seconds in which so many threads read chunks of a disk into memory, as the machine has it."""
    device, _ = system.device()
    return float(alone(flash_read(system, reads, chunk, f"{device}.{DISK}", f"{device}.{MEMORY}", threads)))
