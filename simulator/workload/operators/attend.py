"""What every kind of attention shares: scores, softmax and values over the cache, phase by phase."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.core.resource import Quantity, plain
from simulator.workload.batch import Batch, PhaseName, Ragged, Sequences, Shard
from simulator.workload.model.attention import Attention
from simulator.workload.operators.operator import FLOPS_PER_ELEMENT, Apart, Operand, Split
from simulator.workload.operators.tape import Tape, Tensor


@dataclass(frozen=True, eq=False, slots=True)
class Phase:
    """The sequences of a batch that are in one phase, added up.

    Attributes:
        name: `prefill` or `decode`.
        sequences: how many there are.
        tokens: new tokens.
        pairs: pairs of a new token and a key that it sees.
        keys: keys that any new token sees, which is what is read of the cache.
        window: keys that a token sees at most; None: all before it.
        bidirectional: tokens see those behind them too.
        all_pairs, all_keys: as many as there would be if each token saw all before it: what an indexer ranks.
        apart: of keys on several devices, the rounds over them and the keys that come from another; None: all are here.
    """

    name: PhaseName
    sequences: Quantity
    tokens: Quantity
    pairs: Quantity
    keys: Quantity
    all_pairs: Quantity
    all_keys: Quantity
    window: int | None = None
    bidirectional: bool = False
    apart: tuple[int, Quantity] | None = None


def phases(batch: Batch, attention: Attention | None = None) -> list[Phase]:
    """The phases of a batch, for layers with this attention; without one, of a layer that has none."""
    names: tuple[PhaseName, ...] = ("prefill", "decode")
    by_phase = {name: [group for group in batch if group.phase == name] for name in names}
    return [_phase(name, groups, attention) for name, groups in by_phase.items() if groups]


def _phase(name: PhaseName, groups: list[Sequences | Ragged | Shard], a: Attention | None) -> Phase:
    def total(of: Callable[[Sequences | Ragged | Shard], Quantity]) -> Quantity:
        return sum((of(group) for group in groups), start=0.0)

    pairs, keys = total(lambda g: g.pairs()), total(lambda g: g.keys())
    ratio = a.compression.ratio if a and a.compression else 1
    seen_pairs, seen_keys = pairs, keys
    if a and a.compression:  # the window, and the entries that are seen
        top = a.top_k and a.top_k * ratio
        entries = total(lambda g: g.pairs(top)), keys if name == "prefill" else total(lambda g: g.keys(top))
        seen_pairs = total(lambda g: g.pairs(a.window)) + entries[0] / ratio
        seen_keys = total(lambda g: g.keys(a.window)) + entries[1] / ratio
    elif a and a.bidirectional:
        chunk_ = a.chunk
        seen_pairs, pairs = total(lambda g: g.mutual_pairs(chunk_)), total(lambda g: g.mutual_pairs(None))
    elif a and a.chunk:
        chunk = a.chunk
        seen_pairs, seen_keys = total(lambda g: g.chunk_pairs(chunk)), total(lambda g: g.chunk_keys(chunk))
    elif a and (a.window or a.top_k):
        limit = min(filter(None, (a.window, a.top_k)))
        seen_pairs = total(lambda g: g.pairs(limit))
        if a.window or name == "decode":  # tokens of a prompt choose different keys, which all are read
            seen_keys = total(lambda g: g.keys(limit))
    tokens, sequences = total(lambda g: g.tokens), total(lambda g: g.count)
    window, both = a.window if a else None, a is not None and a.bidirectional
    apart = _apart([group for group in groups if isinstance(group, Shard)], a.window or a.chunk if a else None)
    return Phase(name, sequences, tokens, seen_pairs, seen_keys, pairs / ratio, keys / ratio, window, both, apart)


def _apart(shards: list[Shard], window: int | None) -> tuple[int, Quantity] | None:
    """The rounds over keys on several devices, and the keys that come from another."""
    if not shards:
        return None
    return 1 if window else shards[0].rounds, sum((shard.passed(window) for shard in shards), start=0.0)


def reach(phase: Phase, size: Quantity, sums: Quantity = 0.0) -> Apart | None:
    """How an operator that reads `size` bytes of keys or values reaches those on other devices.

    `sums`: log-sum-exps of its output, where that may be a partial one: not in a window, whose keys are all gathered.
    """
    if phase.apart is None:
        return None
    rounds, keys = phase.apart
    one_round = phase.name == "prefill" and rounds == 1
    return Apart(rounds, size * (keys / phase.keys), 0.0 if one_round else sums)


def rope(tape: Tape, name: str, x: Tensor, turned: Quantity, split: Split = "heads", ways: int | None = None) -> Tensor:
    """Rotates `turned` elements of `x` by their position."""
    flops = turned * FLOPS_PER_ELEMENT["rope"]
    return tape.record(f"attention.{name}", "rope", x, flops=flops, output=x.bytes, split=split, ways=ways)


def cache(
    tape: Tape, keys: Tensor, values: Tensor, *, written: Quantity, ways: int, split: Split = "heads"
) -> tuple[Tensor, Tensor]:
    """Writes the bytes that new tokens add to the KV cache, and gives what attention reads keys and values from.

    That is the cache; its edges carry no bytes: who reads it counts `kv_read`. Without one, they are handed on as made.
    """
    if not tape.cached:
        return keys, values
    kv = tape.record(
        "attention.cache", "cache", keys, values, flops=0.0, output=0.0, operands={"kv_write": written}, split=split,
        ways=ways,
    )  # fmt: skip
    return kv, kv


def read(tape: Tape, size: Quantity) -> dict[Operand, Quantity]:
    """Bytes read of the KV cache, where there is one."""
    return {"kv_read": size} if tape.cached else {}


def attend(
    tape: Tape,
    phase: Phase,
    queries: tuple[Tensor, ...],
    keys: tuple[Tensor, ...],
    values: tuple[Tensor, ...],
    *,
    heads: int,
    k_dim: int,
    v_dim: int,
    k_read: Quantity,
    v_read: Quantity,
    ways: int,
    latent: Mapping[str, float] | None = None,
) -> Tensor:
    """Scores, softmax and values of one phase: `softmax(Q K^T / sqrt(d)) V`.

    The two products take `2 heads k_dim pairs` and `2 heads v_dim pairs` FLOPs: only what the causal mask and the
    window show. `k_read` and `v_read` are bytes of the KV cache; the scores are `heads x pairs` activations, which a
    kernel that holds all three operators keeps to itself (FlashAttention, arXiv 2205.14135). `latent`: the sizes of
    latent attention, for its shape.
    """
    weights = heads * phase.pairs
    sizes = latent or ({"kv_heads": ways, "head_dim": k_dim} if k_dim == v_dim else None)
    shape = _shape(tape, phase, heads) | dict(sizes) if sizes else {}
    copies = ways if tape.cached else None
    scores = tape.record(
        f"attention.scores.{phase.name}", "attention", *queries, *keys, flops=2 * k_dim * weights,
        output=weights * tape.bytes, operands=read(tape, k_read), split="heads", ways=copies, phase=phase.name,
        shape=shape, apart=reach(phase, k_read),
    )  # fmt: skip
    biased = tape.model.positions.kind in ("alibi", "relative")
    shown = tape.record(
        f"attention.softmax.{phase.name}", "softmax", scores,
        flops=weights * (FLOPS_PER_ELEMENT["softmax"] + biased * FLOPS_PER_ELEMENT["bias"]),
        output=weights * tape.bytes, split="heads", phase=phase.name, apart=reach(phase, 0.0),
    )  # fmt: skip
    return tape.record(
        f"attention.values.{phase.name}", "attention", shown, *values, flops=2 * v_dim * weights,
        output=phase.tokens * heads * v_dim * tape.bytes, operands=read(tape, v_read), split="heads", ways=copies,
        phase=phase.name, shape={"kv_dtype": tape.model.dtypes.kv},
        apart=reach(phase, v_read, heads * phase.tokens),
    )  # fmt: skip


def _shape(tape: Tape, phase: Phase, heads: int) -> dict[str, Any]:
    """The mean sequence of a phase, as a kernel sees it: its queries, the keys that they see, and their heads.

    Prompts whose lengths differ are as many as long as the mean that see as many pairs, `keys = pairs / tokens +
    (queries - 1) / 2`.
    """
    number = np.maximum(phase.sequences, 1.0)
    queries, keys = phase.tokens / number, phase.keys / number
    if phase.bidirectional:
        keys = phase.pairs / np.maximum(phase.tokens, 1.0)
    elif phase.name == "prefill":
        seen = phase.pairs / np.maximum(phase.tokens, 1.0) + (queries - 1) / 2
        keys = plain(np.where(np.equal(phase.pairs, phase.all_pairs), np.maximum(seen, queries), keys))
    return {
        "batch": phase.sequences, "heads": heads, "seq_q": queries, "seq_kv": keys, "window": phase.window or 0,
        "kv_dtype": tape.model.dtypes.kv, "causal": not phase.bidirectional,
    }  # fmt: skip
