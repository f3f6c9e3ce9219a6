"""How kernels lie on the grid of a dataflow engine: stages on compute units (PCUs), buffers on memory units (PMUs).

The operators of a kernel are the stages of a pipeline. Rows stream through it in tiles; between two stages lies a
buffer with room for two tiles, one that is written while the other is read (SN40L, arXiv 2405.07518 section III). With
one tile, weights and keys pass through once, as they arrive; with more, they stay on the chip, to be read by each tile.

All functions work on many kernels at once: arrays have a row a kernel (or one row for all), and a column an operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.core.affine import undominated
from simulator.mapping.dataflow.allocate import Numbers, allocate
from simulator.mapping.dataflow.demands import Demands


@dataclass(frozen=True)
class Grid:
    """The grid of an engine, as kernels may use it.

    Attributes:
        pcus, pmus: how many a kernel may fill.
        engine_pcus: how many the engine has, all together at its peak rate.
        pmu_bytes, pmu_bandwidth: of one PMU, B and B/s.
        tile_rows: rows of a tile.
        stage_latency: seconds that a tile takes through a stage at least.
    """

    pcus: float
    pmus: float
    engine_pcus: float
    pmu_bytes: float
    pmu_bandwidth: float
    tile_rows: int
    stage_latency: float

    def tilings(self, rows: float) -> list[int]:
        """Numbers of tiles worth a try: all rows as one; tiles of `tile_rows`, and smaller ones down to one row."""
        tiles = [1, int(np.ceil(rows / self.tile_rows))]
        while tiles[-1] < rows:
            tiles.append(min(4 * tiles[-1], int(np.ceil(rows))))
        return sorted(set(tiles))


@dataclass(frozen=True, eq=False)
class Sample:
    """What kernels ask at one of the sizes that their program serves.

    Attributes:
        demands: what they ask.
        weight: how many sizes it stands for.
        work: (kernels, operators) PCU-seconds.
        pace: (kernels) seconds that each takes for all but its stages and buffers.
    """

    demands: Demands
    weight: float
    work: Numbers
    pace: Numbers


@dataclass(frozen=True, eq=False)
class Layout:
    """How kernels lie on the grid.

    Attributes:
        tiles: how many tiles pass through the pipeline.
        passes: (kernels) how often weights are read anew, for a lone operator that does not fit on the chip.
        pcus: (kernels, operators) of each stage; 0 for one that only moves data, which address generators do.
        pmus: (kernels, 2 operators + 1) of each buffer: outputs, then weights and keys, then what arrives.
        fits: (kernels) whether the grid holds them.
    """

    tiles: int
    passes: Numbers
    pcus: Numbers
    pmus: Numbers
    fits: NDArray[np.bool_]

    def row(self, kernel: int) -> Layout:
        """The layout of one kernel."""
        cut = slice(kernel, kernel + 1)
        return Layout(self.tiles, self.passes[cut], self.pcus[cut], self.pmus[cut], self.fits[cut])


def balanced(samples: Sequence[Sample], grid: Grid, tiles: int) -> Numbers:
    """(kernels, operators) PCUs of each stage, so that the slowest is as fast as can be.

    The stages are balanced for the mean work of the `samples`. A stage gets at most as many PCUs as leave a tile
    `stage_latency` where it works the most.
    """
    work = _mean(samples, [sample.work for sample in samples])
    most = np.maximum.reduce([sample.work for sample in samples])
    with np.errstate(divide="ignore", invalid="ignore"):
        useful = np.ceil(most / (tiles * grid.stage_latency)) if grid.stage_latency else np.full(work.shape, np.inf)
    least = np.where(work > 0, 1.0, 0.0)
    return allocate(work, grid.pcus, least, np.where(work > 0, np.maximum(useful, 1.0), 0.0))


def lay(largest: Demands, samples: Sequence[Sample], grid: Grid, tiles: int, pcus: Numbers) -> Layout:
    """Stages on `pcus`, as they are balanced, and buffers on PMUs by capacity, then by bandwidth.

    A buffer gets the PMUs that hold two tiles of its `largest` (of weights: all, or with one tile a PMU to stream
    through), and more where its bandwidth would bind at any sample: beyond the seconds that the kernel takes for all
    else there.
    """
    room = np.ceil(buffered(largest, tiles) / grid.pmu_bytes)
    spare = np.maximum(grid.pmus - (room > 0).sum(axis=1), 1.0)  # what rounding up may take
    passes = np.where(room.sum(axis=1) <= grid.pmus, 1.0, np.ceil(room.sum(axis=1) / spare))
    alone = (largest.members.sum(axis=1) == 1) & (tiles == 1)
    room = np.where((alone & (passes > 1))[:, None], np.minimum(room, np.maximum(room // passes[:, None], 1.0)), room)
    busy = [moved(sample.demands, tiles) / grid.pmu_bandwidth for sample in samples]
    enough = room
    for sample, seconds in zip(samples, busy, strict=True):
        pace = np.maximum(sample.pace, tiles * stages(sample.work, tiles, pcus).max(axis=1))
        with np.errstate(divide="ignore", invalid="ignore"):
            enough = np.maximum(enough, np.where(seconds > 0, np.ceil(seconds / pace[:, None]), 0.0))
    pmus = allocate(_mean(samples, busy), grid.pmus, room, enough)
    fits = ((pcus > 0).sum(axis=1) <= grid.pcus) & ((room.sum(axis=1) <= grid.pmus) | alone)
    return Layout(tiles, np.where(alone, passes, 1.0), pcus, pmus, fits)


def holds(demand: Demands, laid: Layout, grid: Grid) -> NDArray[np.bool_]:
    """(rows) whether each buffer of a layout has room for what is asked, in the passes that it makes."""
    held: NDArray[np.bool_] = np.all(buffered(demand, laid.tiles) <= most_room(laid, grid), axis=1)
    return held


def most_room(laid: Layout, grid: Grid) -> Numbers:
    """The most bytes that each buffer of a layout holds: those of which `ceil(bytes / PMU) // passes <= PMUs`."""
    return grid.pmu_bytes * (laid.passes[:, None] * (laid.pmus + 1) - 1)


def _mean(samples: Sequence[Sample], quantities: Sequence[Numbers]) -> Numbers:
    """The mean over samples, each as often as it stands for a size."""
    total: Numbers = np.add.reduce([s.weight * q for s, q in zip(samples, quantities, strict=True)])
    return total / sum(sample.weight for sample in samples)


def stages(work: Numbers, tiles: int, pcus: Numbers) -> Numbers:
    """Seconds that each stage works on a tile, `work / (tiles pcus)`; 0 where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(work > 0, work / (tiles * pcus), 0.0)


def pipeline(demand: Demands, each: Numbers, tiles: int) -> Numbers:
    """Seconds that all tiles take to pass: one through the longest way, the others an interval of the slowest stage."""
    seconds: Numbers = _longest(demand, each) + (tiles - 1) * each.max(axis=1)
    return seconds


@lru_cache(maxsize=64)
def depth(demand: Demands) -> Numbers:
    """Stages on the longest way through each kernel; those that only move data do not count."""
    return _longest(demand, np.array([[float(np.any(o.flops)) for o in demand.operators]]))


def buffers(demand: Demands, grid: Grid, tiles: int, pmus: Numbers) -> Numbers:
    """Seconds for which each buffer is read and written, with the columns of `Layout.pmus`."""
    busy = moved(demand, tiles) / grid.pmu_bandwidth
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(busy > 0, busy / pmus, 0.0)


def moved(demand: Demands, tiles: int) -> Numbers:
    """Bytes into and out of each buffer: an output is written once and read by each reader, weights by each tile."""
    made = demand.made * (1 + np.maximum(demand.readers, 1))
    return _columns(demand, made, demand.kept * (1 + tiles), 2 * demand.arriving)


def buffered(demand: Demands, tiles: int) -> Numbers:
    """Bytes that each buffer holds."""
    kept = demand.kept if tiles > 1 else np.minimum(demand.kept, 1.0)  # with one tile, weights stream through a unit
    return _columns(demand, 2 * demand.made / tiles, kept, 2 * demand.arriving / tiles)


def _columns(demand: Demands, made: Numbers, kept: Numbers, arriving: Numbers) -> Numbers:
    """A quantity of each buffer: of outputs, of what is kept, of what arrives."""
    columns = [demand.members * made, demand.members * kept, arriving[:, None]]
    length = max(map(len, columns))
    return np.hstack([np.broadcast_to(column, (length, column.shape[1])) for column in columns])


def ways(demand: Demands, each: Numbers) -> Numbers:
    """The ways through the operators of one kernel that may be its longest (`_longest`), as rows of coefficients.

    `each` has such a row an operator (`core/affine.py`).
    """
    done: list[Numbers] = []
    for i, feeders in enumerate(demand.feeders):
        before = np.concatenate([done[f] for f in feeders]) if feeders else np.zeros((1, each.shape[1]))
        rows = demand.members[0, i] * (each[i] + before)
        done.append(rows[undominated(rows)])
    rows = np.concatenate(done)
    return rows[undominated(rows)]


def _longest(demand: Demands, each: Numbers) -> Numbers:
    """The longest way through the operators of each kernel, where each operator is as long as `each` says."""
    shape = np.broadcast_shapes(demand.members.shape, each.shape)
    done = np.zeros(shape)
    for i, feeders in enumerate(demand.feeders):
        before = np.max([done[:, f] for f in feeders], axis=0) if feeders else 0.0
        done[:, i] = demand.members[:, i] * (each[:, i] + before)
    longest: Numbers = done.max(axis=1)
    return longest
