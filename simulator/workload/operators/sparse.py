"""The operators of sparse attention: the indexer that ranks keys, and the entries that stand for several tokens."""

from __future__ import annotations

from simulator.core.resource import Quantity
from simulator.workload.formats.dtypes import INDEX_BYTES
from simulator.workload.model.attention import Attention, Compression
from simulator.workload.model.weights import projections
from simulator.workload.operators.attend import Phase, read, rope
from simulator.workload.operators.operator import FLOPS_PER_ELEMENT
from simulator.workload.operators.tape import Tape, Tensor

AVERAGED = 3
"""FLOPs of an element beside those of a softmax: a bias, and a product and a sum of the weighted mean."""


def choose(
    tape: Tape, queries: Tensor, x: Tensor, tokens: Quantity, each: list[Phase], a: Attention
) -> dict[str, tuple[Tensor, ...]]:
    """By phase, the keys that each new token sees: those of the `top_k` highest scores of an indexer.

    Scores take `2 heads head_dim` FLOPs a pair of a new token and a key (or entry) before it, whatever is seen later;
    the keys of the indexer are kept beside the KV cache, and all are read. Nothing where a layer has no indexer.
    """
    indexer = a.indexer
    if indexer is None or a.top_k is None:
        return {}
    widths = projections(a, tape.model.hidden)
    heads, dim = indexer.heads, indexer.head_dim

    def project(name: str, source: Tensor) -> Tensor:
        n_in, n_out = widths[f"indexer_{name}"]
        return tape.linear(f"attention.indexer_{name}_proj", source, rows=tokens, n_in=n_in, n_out=n_out, split="none")

    q = rope(tape, "indexer_q_rope", project("q", queries), tokens * heads * dim, split="none")
    k, written = project("k", x), tokens * dim * tape.stored.kv_bytes(a)
    if a.compression:
        k, written = _entries(tape, "indexer_k", k, project("k_gate", x), tokens, dim, a.compression, written)
    elif indexer.norm != "none":
        k = tape.norm("attention.indexer_k_norm", k, rows=tokens, width=dim)
    if tape.cached:
        k = tape.record("attention.indexer_cache", "cache", k, flops=0.0, output=0.0, operands={"kv_write": written})
    inputs = (q, k, project("weights", x)) if indexer.weighted else (q, k)
    chosen: dict[str, tuple[Tensor, ...]] = {}
    for phase in each:
        scores = tape.record(
            f"attention.indexer_scores.{phase.name}", "attention", *inputs, flops=2 * heads * dim * phase.all_pairs,
            output=phase.all_pairs * tape.bytes, operands=read(tape, phase.all_keys * dim * tape.stored.kv_bytes(a)),
            phase=phase.name,
        )  # fmt: skip
        chosen[phase.name] = (
            tape.record(
                f"attention.choose.{phase.name}", "choose", scores,
                flops=phase.all_pairs * FLOPS_PER_ELEMENT["choose"], output=phase.pairs * INDEX_BYTES, phase=phase.name,
            ),
        )  # fmt: skip
    return chosen


def compress(
    tape: Tape, x: Tensor, k: Tensor, tokens: Quantity, a: Attention, written: Quantity
) -> tuple[Tensor, Quantity]:
    """Keys of the window with the entries that new tokens make, and what both write to the cache."""
    assert a.compression
    widths = projections(a, tape.model.hidden)

    def project(name: str) -> Tensor:
        n_in, n_out = widths[name]
        return tape.linear(f"attention.{name}_proj", x, rows=tokens, n_in=n_in, n_out=n_out, split="none")

    size = tokens * a.head_dim * tape.stored.kv_bytes(a)
    kv, gate = project("compressor_kv"), project("compressor_gate")
    made, more = _entries(tape, "compressor", kv, gate, tokens, a.head_dim, a.compression, size)
    return tape.elementwise("attention.entries", "add", "add", k, made), written + more


def _entries(
    tape: Tape, name: str, kv: Tensor, gate: Tensor, tokens: Quantity, width: int, c: Compression, written: Quantity
) -> tuple[Tensor, Quantity]:
    """One entry for `ratio` tokens: the mean of projections, weighted by the softmax of others, and normalised."""
    elements = tokens * width * (1 + c.overlap)
    pooled = tape.record(
        f"attention.{name}_mean", "combine", kv, gate, flops=elements * (FLOPS_PER_ELEMENT["softmax"] + AVERAGED),
        output=tokens * width / c.ratio * tape.bytes,
    )  # fmt: skip
    normed = tape.norm(f"attention.{name}_norm", pooled, rows=tokens / c.ratio, width=width)
    return normed, written / c.ratio
