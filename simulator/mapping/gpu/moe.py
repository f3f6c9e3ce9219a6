"""Time of the routed experts of a layer on a GPU: two grouped GEMMs, whose tiles each expert's rows are rounded to.

The form is our own, fitted on tables of measured kernels (`docs/accuracy.md`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from simulator.config.section import Section
from simulator.errors import ConfigError
from simulator.files import remembered
from simulator.mapping.gpu.chip import Chip, width
from simulator.mapping.gpu.kernel import (
    Array,
    GpuKernel,
    Overlap,
    ReachedOfDram,
    Shapes,
    column,
    in_cache,
    norm,
    passed,
    text,
)
from simulator.mapping.gpu.products import COMPUTES
from simulator.mapping.gpu.tiles import FEED, waves
from simulator.mapping.gpu.traffic import STEP
from simulator.units import Unit

ROWS = (16, 32, 64, 128)
"""Rows of the tiles that a library has for an expert's tokens."""
MOST = (32, 96, 512, np.inf)
"""The most tokens of a layer for which each is picked, where they alone decide (fused_moe of vLLM, untuned)."""
COLUMNS = 128
"""Columns of such a tile."""
DRAWS = 5
"""Draws of a random load, of which the time is that of the mean."""


class MoeLibrary(Section):
    """What a library makes of a chip, in routed experts; the defaults are those of NVIDIA's on Hopper."""

    t0: Annotated[float, Unit("s"), Field(ge=1e-6, le=3e-4)] = 3e-5
    """Seconds of all kernels when they do nothing: routing, permutation, two products, activation, summation."""
    expert: Annotated[float, Unit("s"), Field(ge=1e-12, le=1e-5)] = 3e-8
    """Seconds that an expert with tokens adds."""
    emax: Annotated[float, Unit("1"), Field(ge=0.05, le=1)] = 0.7
    """The fraction of the peak rate that a large tile reaches."""
    feed: Annotated[float, Unit("1"), Field(ge=0.05, le=8)] = 1.0
    """How long a tile's operands take to its SM, over those of a plain GEMM."""
    ebw: ReachedOfDram = 0.8
    """The fraction of DRAM's bandwidth that is reached."""
    l2f: Annotated[float, Unit("1"), Field(ge=0.02, le=4)] = 1.0
    """What tiles read of the L2 cache, over 64 B a clock an SM."""
    rows: Annotated[float, Unit("1"), Field(ge=0, le=50)] = 1.0
    """Passes over the rows of all experts, beside the products."""
    p: Overlap = 3.0
    """The power in which compute, L2 and DRAM overlap."""
    tile: Literal["fastest", "tokens"] = "fastest"
    """How the library picks a tile: the fastest, as it was tuned; or by the tokens of the layer alone."""
    passes: Literal["own", "all"] = "own"
    """Whose rows its passes go over: of the device's experts; or of all, the picks of others left empty."""


class Load(NamedTuple):
    """What experts of one device get: rows in all, experts with any, tiles of each of `ROWS`; means of the draws."""

    rows: float
    active: float
    tiles: tuple[float, ...]


def counts(tokens: int, experts: int, top_k: int, ways: int, distribution: str, seed: int = 0) -> Array:
    """Tokens of each expert of the device with most of them, a row a draw (of `balanced`, one).

    `balanced`: token i picks the experts `i + j E / k`. `power_law_A`: loads are drawn from a density `x^-A` (from 1 to
    0.8 of the tokens; of fewer picks than experts, from 0.01 to 2), scaled to `k` a token and rounded, what is over or
    short going to the most loaded; no expert has more than all tokens. So the package aiconfigurator-core draws them.

    Raises:
        ConfigError: no such distribution; experts that the devices cannot share.
    """
    if experts % ways:
        raise ConfigError(path="ep", found=ways, expected=f"a divisor of the {experts} experts")
    if distribution == "balanced":
        stride = -(-experts // top_k)
        first = np.arange(tokens) * (1.0 if tokens >= stride else stride / tokens)
        picked = (first[:, None] + np.arange(top_k) * stride).astype(int) % experts
        return np.bincount(picked.ravel(), minlength=experts)[None, : experts // ways].astype(float)
    kind, _, exponent = distribution.rpartition("_")
    if kind != "power_law":
        raise ConfigError(path="distribution", found=f"'{distribution}'", expected="balanced, or power_law_1.2")
    rng = np.random.default_rng((seed, tokens, experts, top_k))
    power = 1 - float(exponent)
    least, most = (1.0, tokens * 0.8) if tokens * top_k > experts else (0.01, 2.0)
    most = max(most, least * 1.0001)
    drawn = (least**power + (most**power - least**power) * rng.random((DRAWS, experts))) ** (1 / power)
    loads = np.array([_rounded(each / each.sum() * tokens * top_k, tokens, tokens * top_k) for each in drawn])
    devices = loads.reshape(DRAWS, ways, experts // ways)
    chosen: Array = devices[np.arange(DRAWS), devices.sum(axis=2).argmax(axis=1)]
    return chosen


def _rounded(load: Array, most: int, total: int) -> Array:
    """Whole loads of `most` at most that add up to `total`: what is over goes to, and comes from, the most loaded."""
    rounded = np.minimum(np.round(load), most)
    order = np.argsort(-rounded)
    while (missing := int(total - rounded.sum())) != 0:
        room = most - rounded[order] if missing > 0 else rounded[order]
        some = order[room > 0][: abs(missing)]
        rounded[some] += np.sign(missing)
    return rounded


@remembered(65536)
def load_of(tokens: int, experts: int, top_k: int, ways: int, distribution: str, seed: int = 0) -> Load:
    """The load of the device with most tokens (`counts`)."""
    drawn = counts(tokens, experts, top_k, ways, distribution, seed)
    tiles = tuple(float(np.ceil(drawn / rows).sum(axis=1).mean()) for rows in ROWS)
    return Load(float(drawn.sum(axis=1).mean()), float((drawn > 0).sum(axis=1).mean()), tiles)


@remembered(16)
def _loads(picks: bytes, distributions: tuple[str, ...], seed: int) -> Array:
    """Of many loads, by column: rows in all, experts with any, tiles of each of `ROWS`; a fit asks for them often."""
    keys = np.frombuffer(picks).reshape(4, -1).astype(int).T
    pairs = zip(keys.tolist(), distributions, strict=True)
    loads = [load_of(key[0], key[1], key[2], key[3], kind, seed) for key, kind in pairs]
    return np.array([(each.rows, each.active, *each.tiles) for each in loads]).T


class _Experts(NamedTuple):
    """Columns of routed experts on one device; `stored` are bytes of an element of the weights in DRAM."""

    tokens: Array
    picks: Array
    hidden: Array
    inner: Array
    gates: Array
    rows: Array
    active: Array
    tiles: Array
    dtype: str
    size: float
    warm: Array
    stored: Array


def _experts(shapes: Shapes) -> _Experts:
    numbers = [column(shapes, name) for name in ("m", "experts", "top_k", "n", "k")]
    ways = [column(shapes, name, 1.0) for name in ("tp", "ep")]
    tokens, experts, top_k, inner, hidden, tensor, expert = np.broadcast_arrays(*numbers, *ways)
    rows, active, tiles = _load(shapes, tokens, experts, top_k, expert)
    dtype = str(np.ravel(text(shapes, "dtype", "bf16"))[0])
    size = _SIZE.get(dtype) or width(COMPUTES.get(dtype, dtype))
    return _Experts(
        tokens=tokens,
        picks=top_k,
        hidden=hidden,
        inner=inner / tensor,
        gates=column(shapes, "matrices", 3.0) - 1,
        rows=rows,
        active=active,
        tiles=tiles,
        dtype=_COMPUTE.get(dtype, COMPUTES.get(dtype, dtype)),
        size=size,
        stored=column(shapes, "stored", size),
        warm=column(shapes, "warm", 1.0),
    )


def _load(shapes: Shapes, tokens: Array, experts: Array, top_k: Array, ways: Array) -> tuple[Array, Array, Array]:
    """Rows in all, experts with any, tiles of each of `ROWS`: as the shape says, each expert alike; else drawn."""
    if "rows" in shapes:
        rows, active = np.broadcast_arrays(column(shapes, "rows"), column(shapes, "active"))
        each = rows / np.maximum(active, 1e-9)
        return rows, active, np.stack([active * np.ceil(each / size) for size in ROWS])
    distribution = np.broadcast_to(text(shapes, "distribution", "balanced"), tokens.shape)
    seed = int(np.ravel(column(shapes, "seed", 0.0))[0])
    picks = np.stack([each.ravel() for each in (tokens, experts, top_k, ways)])
    loads = _loads(picks.tobytes(), tuple(map(str, distribution.ravel())), seed)
    drawn = [each.reshape(tokens.shape) for each in loads]
    return drawn[0], drawn[1], np.stack(drawn[2:])


_COMPUTE = {"int4_wo": "bf16", "int8_wo": "bf16", "w4a16_mxfp4": "bf16"}
_SIZE = {"int4_wo": 0.5, "int8_wo": 1.0, "w4a16_mxfp4": 0.53125}
"""Formats of weights that compute in another, and their bytes an element."""


def _moe_parts(shapes: Shapes, chip: Chip, library: MoeLibrary) -> dict[str, Array]:
    """Seconds of the launches, of compute, L2 and DRAM of both products, of the passes over rows; `products` is their
    overlapped sum."""
    e = _experts(shapes)
    parts = {name: np.zeros(e.tokens.shape) for name in ("compute", "l2", "dram", "products")}
    for columns, depth in ((e.gates * e.inner, e.hidden), (e.hidden, e.inner)):
        step = STEP / max(e.size, 1.0)
        deep = np.ceil(depth / step) * step
        weights = e.active * columns * depth * e.stored
        dram = weights * (1 - e.warm * in_cache(weights, chip, 8.0)) / (library.ebw * chip.bandwidth)
        best: Any = np.inf
        chosen: tuple[Any, Any] = (0.0, 0.0)
        for above, most, rows, tiles in zip((0, *MOST), MOST, ROWS, e.tiles, strict=False):
            blocks = tiles * np.ceil(columns / COLUMNS)
            feed = library.feed * FEED * (1 / rows + 1 / COLUMNS) / chip.clock
            flop = chip.sms / chip.rate(e.dtype) / library.emax + feed
            compute = waves(blocks, chip.sms) * (2.0 * rows * COLUMNS) * deep * flop
            l2 = blocks * (rows + COLUMNS) * deep * e.size / (library.l2f * chip.l2_bandwidth)
            time = norm(library.p, compute, l2, dram)
            if library.tile == "tokens":
                time = np.where((e.tokens > above) & (e.tokens <= most), time, np.inf)
            faster = time < best
            best = np.where(faster, time, best)
            chosen = (np.where(faster, compute, chosen[0]), np.where(faster, l2, chosen[1]))
        added = {"compute": chosen[0], "l2": chosen[1], "dram": dram, "products": best}
        parts = {name: parts[name] + added[name] for name in parts}
    passed_rows = e.rows if library.passes == "own" else e.tokens * e.picks
    moved = 2.0 * (passed_rows * (3 * e.hidden + (e.gates + 2) * e.inner) + 2 * e.tokens * e.hidden)
    launch = library.t0 + library.expert * e.active
    return {"launch": launch, **parts, "rows": library.rows * passed(moved, chip)}


def _moe(shapes: Shapes, chip: Chip, library: MoeLibrary) -> Array:
    """Seconds of the routed experts of a layer on one device: `t0 + per expert + both products + passes over rows`."""
    parts = _moe_parts(shapes, chip, library)
    seconds: Array = parts["launch"] + parts["products"] + parts["rows"]
    return seconds


def _named(shapes: Shapes, chip: Chip, library: MoeLibrary) -> dict[str, Array]:
    parts = _moe_parts(shapes, chip, library)
    return {name: value for name, value in parts.items() if name != "products"}


def _work(shapes: Shapes) -> tuple[Array, Array]:
    e = _experts(shapes)
    weights = (e.gates + 1) * e.inner * e.hidden
    return 2 * e.rows * weights, e.active * weights * e.size + 4.0 * e.tokens * e.hidden


def _variant(shapes: Shapes) -> Any:
    """The format, and whether experts have a gate."""
    plain = np.where(column(shapes, "matrices", 3.0) < 3, " ungated", "")
    return np.char.add(text(shapes, "dtype", "bf16").astype(str), plain)


MOE = GpuKernel(
    "moe", MoeLibrary, ("moe_ffn",), ("m", "n", "k", "experts", "top_k"), _variant, _moe, _named, _work, ("tp", "ep")
)
