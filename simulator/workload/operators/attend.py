"""What every kind of attention shares: scores, softmax and values over the cache, phase by phase."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.core.resource import Quantity
from simulator.workload.batch import Batch, PhaseName
from simulator.workload.operators.operator import FLOPS_PER_ELEMENT, Operand, Split
from simulator.workload.operators.tape import Tape, Tensor


@dataclass(frozen=True, eq=False, slots=True)
class Phase:
    """The sequences of a batch that are in one phase, added up.

    Attributes:
        name: `prefill` or `decode`.
        tokens: new tokens.
        pairs: pairs of a new token and a key that it sees.
        keys: keys that any new token sees, which is what is read of the cache.
    """

    name: PhaseName
    tokens: Quantity
    pairs: Quantity
    keys: Quantity


def phases(batch: Batch, window: int | None) -> list[Phase]:
    """The phases of a batch, for layers with this sliding window."""
    found = []
    names: tuple[PhaseName, ...] = ("prefill", "decode")
    for name in names:
        groups = [group for group in batch if group.phase == name]
        if groups:
            tokens: Quantity = sum((group.tokens for group in groups), start=0.0)
            pairs: Quantity = sum((group.pairs(window) for group in groups), start=0.0)
            keys: Quantity = sum((group.keys(window) for group in groups), start=0.0)
            found.append(Phase(name, tokens, pairs, keys))
    return found


def rope(tape: Tape, name: str, x: Tensor, turned: Quantity, split: Split = "heads", ways: int | None = None) -> Tensor:
    """Rotates `turned` elements of `x` by their position."""
    flops = turned * FLOPS_PER_ELEMENT["rope"]
    return tape.record(f"attention.{name}", "rope", x, flops=flops, output=x.bytes, split=split, ways=ways)


def cache(
    tape: Tape, keys: Tensor, values: Tensor, *, elements: Quantity, ways: int, split: Split = "heads"
) -> tuple[Tensor, Tensor]:
    """Writes what new tokens add to the KV cache, and gives what attention reads keys and values from.

    That is the cache; its edges carry no bytes: who reads it counts `kv_read`. Without one, they are handed on as made.
    """
    if not tape.cached:
        return keys, values
    written = elements * tape.kv_bytes
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
    k_dim: int,
    v_dim: int,
    k_read: Quantity,
    v_read: Quantity,
    ways: int,
) -> Tensor:
    """Scores, softmax and values of one phase: `softmax(Q K^T / sqrt(d)) V`.

    The two products take `2 heads k_dim pairs` and `2 heads v_dim pairs` FLOPs: only what the causal mask and the
    window show. `k_read` and `v_read` are bytes of the KV cache; the scores are `heads x pairs` activations, which a
    kernel that holds all three operators keeps to itself (FlashAttention, arXiv 2205.14135).
    """
    heads = tape.model.attention.heads
    weights = heads * phase.pairs
    copies = ways if tape.cached else None
    scores = tape.record(
        f"attention.scores.{phase.name}", "attention", *queries, *keys, flops=2 * k_dim * weights,
        output=weights * tape.bytes, operands=read(tape, k_read), split="heads", ways=copies, phase=phase.name,
    )  # fmt: skip
    biased = tape.model.positions.kind in ("alibi", "relative")
    shown = tape.record(
        f"attention.softmax.{phase.name}", "softmax", scores,
        flops=weights * (FLOPS_PER_ELEMENT["softmax"] + biased * FLOPS_PER_ELEMENT["bias"]),
        output=weights * tape.bytes, split="heads", phase=phase.name,
    )  # fmt: skip
    return tape.record(
        f"attention.values.{phase.name}", "attention", shown, *values, flops=2 * v_dim * weights,
        output=phase.tokens * heads * v_dim * tape.bytes, operands=read(tape, v_read), split="heads", ways=copies,
        phase=phase.name,
    )  # fmt: skip
