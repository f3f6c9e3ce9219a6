"""Time of a GEMM on a GPU, from how a library tiles it over the SMs.

The form is our own, chosen and fitted on tables of measured kernels (`docs/accuracy.md`). Of the candidates of
`tiles.py` the fastest counts, as libraries tune for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from simulator.config.section import Section
from simulator.mapping.gpu.chip import Chip, width
from simulator.mapping.gpu.kernel import Added, Array, ReachedOfDram, in_cache, norm, passed
from simulator.mapping.gpu.tiles import FEED, SPLITS, TILES, Candidate, candidates, share_of_k, waves
from simulator.mapping.gpu.traffic import STEP, layout_of
from simulator.units import Unit


class GemmLibrary(Section):
    """What a library makes of a chip, in GEMMs; the defaults are those of NVIDIA's on Hopper."""

    t0: Annotated[float, Unit("s"), Field(ge=5e-7, le=3e-4)] = 2.58e-6
    """Seconds of a kernel that does nothing; where a host launches each, and quantises before, of all of that."""
    vector: Annotated[float, Unit("1"), Field(ge=0.3, le=1)] = 1.0
    """The share of `t0` that the kernel for a single row takes."""
    emax: Annotated[float, Unit("1"), Field(ge=0.2, le=1)] = 1.0
    """The fraction of the peak rate that a large tile reaches."""
    ebw: ReachedOfDram = 0.81
    """The fraction of DRAM's bandwidth that is reached."""
    l2f: Annotated[float, Unit("1"), Field(ge=0.05, le=4)] = 0.95
    """What tiles read of the L2 cache, over 64 B a clock an SM; more than 1 where blocks share what they load."""
    ts: Added = 2.7e-6
    """Seconds that a split of K adds."""
    copies: Annotated[float, Unit("1"), Field(ge=1, le=20)] = 10.1
    """How many times the weights count where it is asked whether operands of repeated calls stay in L2."""
    p: Annotated[float, Unit("1"), Field(ge=1.5, le=12)] = 4.3
    """The power in which compute, L2 and DRAM overlap; infinite: wholly."""
    fill: Annotated[float, Unit("1"), Field(ge=0, le=16)] = 3.1
    """Steps of K that a block takes before its first product and after its last, to fill its stages and to store."""
    epi: Annotated[float, Unit("1"), Field(ge=0, le=8)] = 0.31
    """Passes over the output after the last sum."""
    quantised: Annotated[float, Unit("1"), Field(ge=0, le=20)] = 0.0
    """Passes over the activations in 16 bits before the product, where the library quantises them there."""
    convert: Annotated[float, Unit("s"), Field(ge=0, le=2e-9)] = 0.0
    """Seconds that an SM takes to quantise an element of the activations."""
    row: Annotated[float, Unit("s"), Field(ge=0, le=2e-5)] = 0.0
    """Seconds that an SM takes to quantise a row of them, beside its elements."""
    tile: Literal["fastest", "rows", "traffic"] = "fastest"
    """How the library picks a tile and a split: the fastest, as it was tuned; or, K never split, by the rows alone, or
    the tile that moves least through the caches (`traffic.py`)."""
    wave: Literal["shared", "whole"] = "shared"
    """How long blocks take that fill no wave: part of one, as SMs share what is left; or a whole one."""
    step: Annotated[float, Unit("s"), Field(ge=0, le=1e-6)] = 0.0
    """Seconds that a block waits at each step of K, to scale its sums, where tiles are picked by traffic."""
    alone: Annotated[float, Unit("1"), Field(ge=1, le=8)] = 1.0
    """How much longer a large tile multiplies that is alone in its cluster, where tiles are picked by traffic."""
    launch: Literal["captured", "host"] = "captured"
    """What launches kernels: a CUDA graph; or a host, while the GPU works on those before."""
    host: Annotated[float, Unit("s"), Field(ge=1e-6, le=3e-4)] = 7e-5
    """Seconds in which a host launches a product and what quantises for it."""


class _Work(NamedTuple):
    """What a candidate asks for: FLOPs of one SM, those times `FEED`'s factor, bytes of L2, bytes of partial sums."""

    flops: Any
    fed: Any
    read: Any
    sums: Any


def _work(m: Any, n: Any, k: Any, count: Any, each: Candidate, chip: Chip, library: GemmLibrary, dtype: str) -> _Work:
    part = share_of_k(k, each.split, dtype)
    tiles = np.ceil(m / (each.rows * each.together)) * each.together
    blocks = count * tiles * np.ceil(n / each.columns) * each.split
    filled = part + library.fill * STEP / max(width(dtype), 1.0)
    turns = np.ceil(blocks / chip.sms) if library.wave == "whole" else waves(blocks, chip.sms)
    flops = turns * (2.0 * each.rows * each.columns) * filled
    if each.above > 0 or each.most < np.inf:
        flops = np.where((m > each.above) & (m <= each.most), flops, np.inf)
    sums = _sums(m, n, count, each.split) if each.split > 1 else 0.0 * blocks
    read = blocks * part * ((each.rows + each.columns) * width(dtype))
    return _Work(flops, flops * (1 / each.rows + 1 / each.columns), read, sums)


def _sums(m: Any, n: Any, count: Any, split: int) -> Any:
    """Bytes of partial sums, written and read in fp32, of a K that is split."""
    return 8.0 * split * count * m * n


def _in_tiles(m: Array, n: Array, k: Array, count: Array) -> tuple[Array, Any]:
    """Rows of the output by which candidates tell shapes apart, and which of them each shape has.

    Of shapes that differ by their rows alone, those of whole tiles: few, and each of them for all rows up to it. Else
    the rows themselves, and None.
    """
    if m.ndim != 1 or m.size <= TILES[0][0] or max(n.size, k.size, count.size) > 1:
        return m, None
    tiled, back = np.unique(np.ceil(m / TILES[0][0]), return_inverse=True)
    return tiled * TILES[0][0], back


def resident(m: Any, n: Any, k: Any, count: Any, chip: Chip, copies: float, dtype: str = "bf16") -> Any:
    """The share of the operands that a repeated call finds in L2: `min(1, 0.9 L2 / (copies W + A + C)) ** 4`."""
    size = width(dtype)
    return in_cache(count * (copies * size * n * k + size * m * k + 2.0 * m * n), chip)


def gemm_seconds(
    m: Any,
    n: Any,
    k: Any,
    chip: Chip,
    library: GemmLibrary,
    dtype: str = "bf16",
    *,
    count: Any = 1.0,
    warm: bool = True,
    stored: float | None = None,
) -> Any:
    """Seconds of products (m x k) by (k x n), one or arrays of them; the chip's rates may be arrays instead.

    `t = t0 + min over candidates of ((compute^p + L2^p + DRAM^p)^(1/p) + split) + epilogue`, with

    - compute: `waves * 2 rows columns K / s / emax`, each FLOP at the SM's peak and `FEED (1/rows + 1/columns)` clocks;
    - L2: `blocks (rows + columns) K / s` elements at `l2f` of what the SMs' ports give;
    - DRAM: `(W + A) (1 - resident)` bytes at `ebw` of the bandwidth; nothing is resident unless `warm`;
    - split: `ts`, and 8 bytes of partial sums an output and part through L2;
    - epilogue: `epi` passes over the output, and `quantised` over the activations, in L2 where half of it has room.

    Where the library picks tiles by traffic there is one candidate, whose blocks wait for `step` at each step of K.

    Powers are compared and one root is taken for each split. `count` products of the shape are one kernel. `stored`:
    bytes of an element of the weights in DRAM, where they are kept narrower than they are multiplied.

    Raises:
        ConfigError: the chip does not compute in `dtype`.
    """
    m, n, k, count = (np.asarray(each, float) for each in (m, n, k, count))
    if max(m.size, n.size, k.size, count.size) > CHUNK:
        shape = np.broadcast_shapes(m.shape, n.shape, k.shape, count.shape)
        flat = [np.broadcast_to(each, shape).ravel() for each in (m, n, k, count)]
        parts = []
        for at in range(0, len(flat[0]), CHUNK):
            some = [each[at : at + CHUNK] for each in flat]
            parts.append(_seconds(some[0], some[1], some[2], some[3], chip, library, dtype, warm, stored))
        return np.concatenate(parts).reshape(shape)
    return _seconds(m, n, k, count, chip, library, dtype, warm, stored)


CHUNK = 8192
"""Shapes at a time: their arrays stay in the cache of a CPU."""


def _seconds(
    m: Array,
    n: Array,
    k: Array,
    count: Array,
    chip: Chip,
    library: GemmLibrary,
    dtype: str,
    warm: bool,
    stored: float | None,
) -> Any:
    p = library.p
    fixed, dram = _common(m, n, k, count, chip, library, dtype, warm, stored)
    if library.tile == "traffic":
        return norm(p, *_by_traffic(m, n, k, count, chip, library, dtype), dram) + fixed
    dram_p = dram**p
    read_p = (1 / (library.l2f * chip.l2_bandwidth)) ** p
    costs = {tile: _per_flop(chip, library, dtype, *tile) ** p for tile in TILES}
    best: Any = None
    some = candidates(chip, dtype, library.tile)
    rows, back = _in_tiles(m, n, k, count) if chip.points == 1 else (m, None)
    for works in _by_split([(each, _work(rows, n, k, count, each, chip, library, dtype)) for each in some]):
        least: Any = None
        for each, work in works:
            power = work.flops**p * costs[each.rows, each.columns] + work.read**p * read_p
            least = power if least is None else np.minimum(least, power)
        split = works[0][0].split
        time = ((least if back is None else least[back]) + dram_p) ** (1 / p)
        if split > 1:
            time = time + library.ts + _sums(m, n, count, split) / chip.l2_bandwidth
        best = time if best is None else np.minimum(best, time)
    return best + fixed


def _by_traffic(m: Any, n: Any, k: Any, count: Any, chip: Chip, library: GemmLibrary, dtype: str) -> tuple[Any, Any]:
    """Seconds of compute and of L2 in the tile that moves least through the caches."""
    tile = layout_of(m, n, k, count, chip)
    blocks = count * tile.blocks(m, n)
    turns = np.ceil(blocks / chip.sms) if library.wave == "whole" else waves(blocks, chip.sms)
    length = STEP / max(width(dtype), 1.0)
    steps = np.ceil(k / length) + library.fill
    flop = _per_flop(chip, library, dtype, tile.multiplied, tile.columns) * np.where(tile.alone, library.alone, 1.0)
    compute = turns * steps * (2 * tile.multiplied * tile.columns * length * flop + library.step)
    read = blocks * k * (tile.rows / tile.across + tile.columns / tile.down) * width(dtype)
    return compute, read / (library.l2f * chip.l2_bandwidth)


def _by_split(works: list[tuple[Candidate, _Work]]) -> Iterator[list[tuple[Candidate, _Work]]]:
    """Candidates that may be the fastest, those of one split together.

    Of a single shape, those that another beats on every resource are left out, before any array of rates is made.
    """
    if works[0][1].flops.ndim == 0:
        table = np.array([[float(each) for each in work] for _, work in works])
        split = np.array([each.split for each, _ in works])
        no_worse = (table[:, None] <= table[None]).all(axis=2)
        ahead = (table[:, None] < table[None]).any(axis=2) | (split[:, None] < split[None])
        beaten = (no_worse & ahead & (split[:, None] <= split[None])).any(axis=0)
        works = [works[at] for at in np.flatnonzero(~beaten)]
    for parts in SPLITS:
        of_split = [each for each in works if each[0].split == parts]
        if of_split:
            yield of_split


def _per_flop(chip: Chip, library: GemmLibrary, dtype: str, rows: Any, columns: Any) -> Any:
    """Seconds that one SM takes for a FLOP of a tile."""
    return (chip.sms / chip.rate(dtype) + FEED * (1 / rows + 1 / columns) / chip.clock) / library.emax


def _common(
    m: Any,
    n: Any,
    k: Any,
    count: Any,
    chip: Chip,
    library: GemmLibrary,
    dtype: str,
    warm: bool,
    stored: float | None = None,
) -> tuple[Any, Any]:
    """Seconds that all candidates have in common: launch and epilogue, and DRAM."""
    size, output = width(dtype), 2.0 * count * m * n
    hit = resident(m, n, k, count, chip, library.copies, dtype) if warm else 0.0
    kept = size if stored is None else stored
    dram = count * (kept * n * k + size * m * k) * (1 - hit) / (library.ebw * chip.bandwidth)
    launch = library.t0 * np.where(m == 1, library.vector, 1.0)
    quantising = _quantising(count * m, k, chip, library)
    return launch + quantising + library.epi * passed(output, chip), dram


def _quantising(rows: Any, k: Any, chip: Chip, library: GemmLibrary) -> Any:
    """Seconds of quantising rows of k elements of 16 bits: passes over them, and the arithmetic of all SMs."""
    work = rows * (library.row + library.convert * k)
    return library.quantised * passed(2.0 * rows * k, chip) + work / chip.sms


def gemm_parts(
    m: Any,
    n: Any,
    k: Any,
    chip: Chip,
    library: GemmLibrary,
    dtype: str = "bf16",
    *,
    count: Any = 1.0,
    warm: bool = True,
) -> dict[str, Array]:
    """Seconds of the fastest candidate: `launch`, `compute`, `l2`, `dram`, `split`, `epilogue`, `quantise`.

    `compute`, `l2` and `dram` overlap, so that all together are more than the whole (`gemm_seconds`).
    """
    m, n, k, count = np.broadcast_arrays(*(np.asarray(each, float) for each in (m, n, k, count)))
    fixed, dram = _common(m, n, k, count, chip, library, dtype, warm)
    rows: dict[str, Array] = {}
    best = np.full(np.broadcast_shapes(np.shape(dram), np.shape(chip.clock)), np.inf)
    if library.tile == "traffic":
        compute, l2 = _by_traffic(m, n, k, count, chip, library, dtype)
        rows = {"compute": compute, "l2": l2, "dram": dram, "split": 0.0 * dram}
    for each in [] if rows else candidates(chip, dtype, library.tile):
        work = _work(m, n, k, count, each, chip, library, dtype)
        split = library.ts + work.sums / chip.l2_bandwidth if each.split > 1 else 0.0
        parts = {
            "compute": work.flops * _per_flop(chip, library, dtype, each.rows, each.columns),
            "l2": work.read / (library.l2f * chip.l2_bandwidth),
            "dram": dram,
            "split": split,
        }
        time = sum(parts[name] ** library.p for name in ("compute", "l2", "dram")) ** (1 / library.p) + split
        faster = time < best
        best = np.where(faster, time, best)
        rows = {name: np.where(faster, value, rows.get(name, 0.0)) for name, value in parts.items()}
    epilogue = library.epi * passed(2.0 * count * m * n, chip)
    quantising = _quantising(count * m, k, chip, library)
    return {"launch": fixed - epilogue - quantising, **rows, "epilogue": epilogue, "quantise": quantising}
