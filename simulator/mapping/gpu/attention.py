"""Time of attention on a GPU: of prompts by tiles of queries, and of one token a sequence, split over the KV cache.

Both forms are our own, fitted on tables of measured kernels (`docs/accuracy.md`). A block of threads keeps a tile of
queries and goes over keys and values in steps, as FlashAttention does (arXiv 2205.14135, 2307.08691).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from simulator.config.section import Section
from simulator.mapping.gpu.chip import Chip, width
from simulator.mapping.gpu.kernel import (
    Added,
    Array,
    Floor,
    GpuKernel,
    Overlap,
    Reached,
    ReachedOfDram,
    Shapes,
    column,
    in_cache,
    norm,
    text,
)
from simulator.mapping.gpu.tiles import waves
from simulator.units import Unit

QUERIES, KEYS = 128, 64
"""Rows of a tile of queries, and keys of a step."""
SPLITS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Into how many parts the KV cache of a sequence may be split, each read by a block of its own."""
CAPTURED, GRAPH = 32, 512
"""Parts in a CUDA graph of vLLM (`flash_attn_max_num_splits_for_cuda_graph`), and the most sequences of one."""
WIDE = 32
"""Query heads a KV head beyond which libraries run another kernel."""

DEEP = 256
"""Elements of a head beyond which they do."""

PerStep = Annotated[float, Unit("s"), Field(ge=1e-10, le=3e-6)]
Passes = Annotated[float, Unit("1"), Field(ge=0, le=50)]
L2Share = Annotated[float, Unit("1"), Field(ge=0.02, le=4)]


class PrefillLibrary(Section):
    """What a library makes of a chip, in attention of prompts; the defaults are those of FlashAttention on Hopper."""

    t0: Floor = 1.2e-5
    """Seconds of a kernel that does nothing."""
    emax: Reached = 0.7
    """The fraction of the peak rate that wide heads reach."""
    d0: Annotated[float, Unit("1"), Field(ge=0.01, le=300)] = 25.0
    """The head size at which half of that is reached."""
    step: PerStep = 1e-8
    """Seconds that a block takes for a step beside its products."""
    block: Added = 5e-7
    """Seconds that a block takes beside its steps."""
    tail: Annotated[float, Unit("1"), Field(ge=1e-4, le=1.5)] = 0.5
    """How much of the longest block comes after all others."""
    ebw: ReachedOfDram = 0.8
    """The fraction of DRAM's bandwidth that is reached."""
    p: Overlap = 3.0
    """The power in which compute and DRAM overlap."""
    epi: Passes = 9.0
    """Passes through L2 over queries, keys, values and output, beside the blocks."""
    packed: Literal["one_token", "always"] = "one_token"
    """When the query heads of a KV head share a tile: where a sequence has one token, or always."""


class DecodeLibrary(Section):
    """What a library makes of a chip, in attention of one token; the defaults are those of FlashAttention on Hopper."""

    t0: Floor = 8e-6
    """Seconds of a kernel that does nothing."""
    tau: PerStep = 1e-6
    """Seconds that a block takes for a step at a head size of 128: a chain of loads."""
    step: PerStep = 1e-7
    """Seconds that a block takes for a step of any head size."""
    block: Added = 2.5e-6
    """Seconds that a block takes beside its steps."""
    ebw: ReachedOfDram = 0.9
    """The fraction of DRAM's bandwidth that is reached."""
    l2f: L2Share = 1.5
    """What blocks read of the L2 cache, over 64 B a clock an SM."""
    ts: Added = 2e-6
    """Seconds of the second kernel, which adds what the parts of a split gave."""
    sums: Passes = 14.0
    """Passes through L2 over what the parts gave."""
    copies: Annotated[float, Unit("1"), Field(ge=0.1, le=20)] = 2.0
    """How many times the KV cache counts where it is asked whether that of repeated calls stays in L2."""
    p: Overlap = 3.0
    """The power in which the chain of loads, L2 and DRAM overlap."""
    regroup: Annotated[float, Unit("s"), Field(ge=0, le=2e-5)] = 0.0
    """Seconds of a kernel that puts back the outputs of several groups of heads, where sequences are several."""
    reads: Literal["group", "head"] = "group"
    """Whether the query heads of a KV head read it once, or each by itself."""
    splits: Literal["fastest", "never", "captured"] = "fastest"
    """Into how many parts the library splits: the fastest; one; or as many as were captured in a CUDA graph."""


@dataclass(frozen=True)
class Attention:
    """Columns of attention: batch, heads, KV heads, the mean size of a key and a value, queries, keys; window, format.

    `token` are bytes that the cache has of a token, and `load` the elements of a head that a key and its value load, in
    halves: `size`, but where both are the same latent. `warm` is 0 where no call before left the KV cache in L2.
    """

    batch: Array
    heads: Array
    kv_heads: Array
    size: Array
    queries: Array
    keys: Array
    window: Array
    causal: Any
    dtype: str
    token: Array
    load: Array
    warm: Array

    @property
    def group(self) -> Array:
        """Query heads a KV head."""
        return self.heads / self.kv_heads

    @property
    def seen(self) -> Array:
        """Keys that some query of a sequence sees."""
        return np.minimum(self.keys, self.window + self.queries - 1)

    @property
    def kept(self) -> Array:
        """Bytes of keys and values that are seen."""
        return self.batch * self.seen * self.token

    @property
    def passed(self) -> Array:
        """Bytes of queries and outputs, in 16 bits."""
        return 4.0 * self.batch * self.queries * self.heads * self.size


def attention_of(shapes: Shapes) -> Attention:
    """The attention that columns of shapes tell.

    Raises:
        ConfigError: a size that is missing; no such format.
    """
    heads, queries = column(shapes, "heads"), column(shapes, "seq_q", 1.0)
    keys = column(shapes, "seq_kv") if "seq_kv" in shapes else queries
    window = column(shapes, "window", 0.0)
    dtype = str(np.ravel(text(shapes, "dtype", "bf16"))[0])
    kv_dtype = str(np.ravel(text(shapes, "kv_dtype", dtype))[0])
    causal = np.asarray(["causal" in str(op) or "mla" in str(op) for op in np.ravel(text(shapes, "op", "causal"))])
    kv_heads, size, load = _heads(shapes, heads)
    return Attention(
        batch=column(shapes, "batch", 1.0),
        heads=heads,
        kv_heads=kv_heads,
        size=size,
        queries=queries,
        keys=keys,
        window=np.where(window > 0, window, np.inf),
        causal=causal if causal.size > 1 else causal[0],
        dtype=dtype,
        token=2 * kv_heads * load * width(kv_dtype),
        load=load,
        warm=column(shapes, "warm", 1.0),
    )


def _heads(shapes: Shapes, heads: Array) -> tuple[Array, Array, Array]:
    """KV heads, the mean size of a key and a value, and half of what both of them load, in elements.

    Of latent attention (MLA, arXiv 2405.04434), absorbed, all heads read one latent with its rotary part, as keys of
    `latent + rope` and values of `latent`; expanded, each has keys of `head_dim + rope` and values of `head_dim`.
    """
    if not str(np.ravel(text(shapes, "op", "attention"))[0]).startswith("mla"):
        size = column(shapes, "head_dim")
        return (column(shapes, "kv_heads") if shapes.get("kv_heads") is not None else heads), size, size
    latent, rope = column(shapes, "latent", 512.0), column(shapes, "rope", 64.0)
    expanded = column(shapes, "head_dim", 128.0) + rope / 2
    absorbed = _absorbed(shapes)
    size = np.where(absorbed, latent + rope / 2, expanded)
    return np.where(absorbed, 1.0, heads), size, np.where(absorbed, (latent + rope) / 2, expanded)


def _absorbed(shapes: Shapes) -> Any:
    """Whether the latent is read as it is: in decode, unless the shape says otherwise."""
    decode = np.char.startswith(text(shapes, "op", "mla_decode").astype(str), "mla_decode")
    return np.where(np.isnan(column(shapes, "absorbed", np.nan)), decode, column(shapes, "absorbed", 0.0) > 0)


def _prefill_parts(shapes: Shapes, chip: Chip, library: PrefillLibrary) -> dict[str, Array]:
    """Seconds of blocks over all SMs, of the longest block, of DRAM, of L2 and of the launch.

    A tile of 128 queries takes its steps of 64 keys, with a causal mask up to its last query; a step takes
    `4 * 128 * 64 d` FLOPs at `emax d / (d + d0)` of an SM's peak, and `step`.
    """
    a = attention_of(shapes)
    rate = chip.rate(a.dtype) / chip.sms * library.emax * a.size / (a.size + library.d0)
    step = 4.0 * QUERIES * KEYS * a.size / rate + library.step

    def blocks(rows: Array, heads: Array) -> tuple[Array, Array]:
        """Seconds of all blocks of one SM, and of the longest, where so many rows of a sequence share KV heads."""
        tiles = np.ceil(rows / QUERIES)
        advance = np.minimum(QUERIES * a.queries / rows, a.queries)
        longest = np.ceil(np.minimum(a.keys, a.window + advance) / KEYS)
        first = np.ceil(np.minimum(a.keys - a.queries + advance, a.window + advance) / KEYS)
        mean = np.where(a.causal & (tiles > 1), (np.minimum(np.maximum(first, 1), longest) + longest) / 2, longest)
        return heads * a.batch * tiles * (mean * step + library.block) / chip.sms, longest * step + library.block

    total, longest = blocks(a.queries, a.heads)
    shared, longest_shared = blocks(a.queries * a.group, a.kv_heads)
    pack = (shared < total) & ((library.packed == "always") | (a.queries == 1))
    moved = a.kept + a.passed
    return {
        "launch": np.broadcast_to(library.t0, np.shape(total)),
        "compute": np.where(pack, shared, total),
        "longest": library.tail * np.where(pack, longest_shared, longest),
        "dram": moved * (1 - in_cache(moved, chip)) / (library.ebw * chip.bandwidth),
        "l2": library.epi * moved / chip.l2_bandwidth,
    }


def _prefill(shapes: Shapes, chip: Chip, library: PrefillLibrary) -> Array:
    """Seconds of attention of prompts: `t0 + ((blocks + longest)^p + DRAM^p)^(1/p) + passes through L2`."""
    parts = _prefill_parts(shapes, chip, library)
    seconds: Array = parts["launch"] + norm(library.p, parts["compute"] + parts["longest"], parts["dram"]) + parts["l2"]
    return seconds


def _decode_parts(shapes: Shapes, chip: Chip, library: DecodeLibrary) -> dict[str, Array]:
    """Seconds of the chain of loads, L2, DRAM and the second kernel, for the split that is the fastest.

    A block goes over its part of the keys of one KV head (of one head, where each reads by itself) in steps of 64.
    """
    a = attention_of(shapes)
    each = library.reads == "head"
    readers = a.heads if each else a.kv_heads * np.ceil(a.group / KEYS)
    steps = np.ceil(a.seen / KEYS)
    dram = a.kept * (1 - a.warm * in_cache(a.kept, chip, library.copies)) / (library.ebw * chip.bandwidth)
    l2 = a.kept * readers / a.kv_heads / (library.l2f * chip.l2_bandwidth)
    sums = library.sums * 4.0 * a.batch * a.heads * a.size / chip.l2_bandwidth
    best: Any = np.inf
    chosen: dict[str, Array] = {}
    for split in SPLITS:
        turns = waves(a.batch * readers * split, chip.sms)
        part = np.ceil(steps / split) * (library.tau * a.load / 128 + library.step) + library.block
        parts = {
            "loads": turns * part,
            "split": library.ts + split * sums if split > 1 else 0.0 * sums,
            "blocks": a.batch * readers * split,
        }
        time = norm(library.p, parts["loads"], dram, l2) + parts["split"]
        time = np.where(may_split(library.splits, split, a.batch), time, np.inf)
        faster = time < best
        best = np.where(faster, time, best)
        chosen = {name: np.where(faster, value, chosen.get(name, 0.0)) for name, value in parts.items()}
    several = (a.batch > 1) & (a.kv_heads > 1) & (a.group > 1)
    fixed = library.t0 + a.passed / chip.l2_bandwidth + np.where(several, library.regroup, 0.0)
    return {"launch": np.broadcast_to(fixed, np.shape(best)), **chosen, "dram": dram, "l2": l2}


def may_split(how: str, split: int, batch: Array) -> Any:
    """Whether a library may split into so many parts (`DecodeLibrary.splits`)."""
    if how == "fastest":
        return True
    return split == 1 if how == "never" else split == np.where(batch <= GRAPH, CAPTURED, 1)


def _decode(shapes: Shapes, chip: Chip, library: DecodeLibrary) -> Array:
    """Seconds of attention of one token a sequence: `t0 + min over splits of (chain, L2 and DRAM + second kernel)`."""
    parts = _decode_parts(shapes, chip, library)
    seconds: Array = parts["launch"] + norm(library.p, parts["loads"], parts["dram"], parts["l2"]) + parts["split"]
    return seconds


def _decode_named(shapes: Shapes, chip: Chip, library: DecodeLibrary) -> dict[str, Array]:
    """The parts of `_decode_parts` by what they hang on.

    Where all SMs load, and most of what they load is not in L2, their chains of loads are how DRAM is read.
    """
    parts = _decode_parts(shapes, chip, library)
    a = attention_of(shapes)
    stream = (parts.pop("blocks") >= chip.sms) & (in_cache(a.kept, chip, library.copies) < 0.5)
    return {
        **parts,
        "loads": np.where(stream, 0.0, parts["loads"]),
        "dram": np.where(stream, np.maximum(parts["loads"], parts["dram"]), parts["dram"]),
    }


def _work(shapes: Shapes) -> tuple[Array, Array]:
    """FLOPs of the pairs of query and key that see one another, `4 d` a head and pair, and bytes moved once."""
    a = attention_of(shapes)
    width_ = np.minimum(a.window, a.keys)
    growing = np.clip(width_ - (a.keys - a.queries), 0, a.queries)
    ramp = growing * (a.keys - a.queries + 1) + growing * (growing - 1) / 2 + (a.queries - growing) * width_
    pairs = np.where(a.causal | (a.queries == 1), ramp, a.queries * a.keys)
    return 4.0 * a.batch * a.heads * a.size * pairs, a.kept + a.passed


def _formats(shapes: Shapes) -> Any:
    """The formats, and whether a window cuts what is seen: kernels of their own each."""
    dtype, kv = text(shapes, "dtype", "bf16"), shapes.get("kv_dtype")
    kept = dtype if kv is None else text(shapes, "kv_dtype", "bf16")
    window = np.where(column(shapes, "window", 0.0) > 0, " window", "")
    return np.char.add(np.char.add(np.char.add(dtype.astype(str), " kv "), kept.astype(str)), window)


def _prefill_variant(shapes: Shapes) -> Any:
    wide = np.where(column(shapes, "head_dim") > DEEP, " wide", "")
    return np.char.add(_formats(shapes), wide)


def _decode_variant(shapes: Shapes) -> Any:
    heads = column(shapes, "heads")
    group = heads / (column(shapes, "kv_heads") if shapes.get("kv_heads") is not None else heads)
    deep = column(shapes, "head_dim") > DEEP
    kind = np.select([deep, group <= 1, group <= WIDE], [" deep", " head", " group"], " wide")
    return np.char.add(_formats(shapes), kind)


def _fixed(variant: str) -> tuple[str, ...]:
    """Constants of several heads a KV head, where there is one; heads that read for themselves are one each then."""
    return ("regroup", "reads") if variant.endswith(" head") else ()


_SHAPE = ("batch", "heads", "kv_heads", "head_dim", "seq_q", "seq_kv")
PREFILL = GpuKernel(
    "attention_prefill", PrefillLibrary, ("attention_prefill", "attention_fwd"), _SHAPE, _prefill_variant,
    _prefill, _prefill_parts, _work,
)  # fmt: skip
DECODE = GpuKernel(
    "attention_decode", DecodeLibrary, ("attention_decode",), _SHAPE, _decode_variant,
    _decode, _decode_named, _work, fixed=_fixed,
)  # fmt: skip


def _mla_variant(shapes: Shapes) -> Any:
    """The formats, whether the latent is read as it is, and whether one tile has room for all heads."""
    wide = np.where(_absorbed(shapes) & (column(shapes, "heads") > KEYS), " wide", "")
    return np.char.add(np.char.add(_formats(shapes), np.where(_absorbed(shapes), " absorbed", "")), wide)


_MLA, _SIZES = ("batch", "heads", "seq_q", "seq_kv"), ("latent", "rope", "head_dim")
MLA_PREFILL = GpuKernel(
    "mla_prefill", PrefillLibrary, ("mla_prefill",), _MLA, _mla_variant, _prefill, _prefill_parts, _work, _SIZES
)
MLA_DECODE = GpuKernel(
    "mla_decode", DecodeLibrary, ("mla_decode",), _MLA, _mla_variant, _decode, _decode_named, _work, _SIZES
)
