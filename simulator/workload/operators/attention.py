"""The operators of self-attention with keys and values per KV head (MHA, GQA, MQA), from projection to projection."""

from __future__ import annotations

from dataclasses import replace

from simulator.core.resource import Quantity
from simulator.workload.batch import Batch
from simulator.workload.operators.attend import Phase, attend, cache, phases, rope
from simulator.workload.operators.latent import latent_attention
from simulator.workload.operators.tape import Tape, Tensor


def attention(tape: Tape, x: Tensor, batch: Batch, window: int | None) -> Tensor:
    """Self-attention of the normalised `x`: Q, K and V, the cache, scores, softmax, values, output projection.

    Prefill and decode sequences of a mixed batch share the projections, and have scores, softmax and values apart.
    """
    model, a = tape.model, tape.model.attention
    each = phases(batch, window)
    tokens: Quantity = sum((phase.tokens for phase in each), start=0.0)
    seen = latent_attention(tape, x, tokens, each, a.mla) if a.mla else _per_head(tape, x, tokens, each)
    width = a.heads * a.v_head_dim
    return tape.linear(
        "attention.o_proj", *seen, rows=tokens, n_in=width, n_out=model.hidden, bias=a.output_bias, split="rows"
    )


def _per_head(tape: Tape, x: Tensor, tokens: Quantity, each: list[Phase]) -> list[Tensor]:
    """What each phase sees: `kv_heads` keys and values, each for `heads / kv_heads` queries."""
    model, a = tape.model, tape.model.attention
    dim, groups, q_width, kv_width = a.head_dim, a.kv_heads, a.heads * a.head_dim, a.kv_heads * a.head_dim

    def project(name: str, n_out: int, ways: int | None = None) -> Tensor:
        return tape.linear(
            f"attention.{name}", x, rows=tokens, n_in=model.hidden, n_out=n_out, bias=a.qkv_bias, ways=ways
        )

    if a.fused_qkv:
        qkv = project("qkv_proj", q_width + 2 * kv_width)
        q = replace(qkv, bytes=tokens * q_width * tape.bytes)
        k = v = replace(qkv, bytes=tokens * kv_width * tape.bytes)
    else:
        q, k, v = project("q_proj", q_width), project("k_proj", kv_width, groups), project("v_proj", kv_width, groups)
    if a.qk_norm:
        q = tape.norm("attention.q_norm", q, rows=tokens * a.heads, width=dim, split="heads")
        k = tape.norm("attention.k_norm", k, rows=tokens * groups, width=dim, split="heads", ways=groups)
    if model.positions.kind == "rope":
        turned = tokens * (model.positions.rotary_dim or dim)
        q = rope(tape, "q_rope", q, turned * a.heads)
        k = rope(tape, "k_rope", k, turned * groups, ways=groups)
    keys, values = cache(tape, k, v, elements=2 * tokens * kv_width, ways=groups)

    seen = []
    for phase in each:
        query = replace(q, bytes=phase.tokens * q_width * tape.bytes)
        size = phase.keys * kv_width * tape.kv_bytes
        seen.append(
            attend(
                tape, phase, (query,), (keys,), (values,), k_dim=dim, v_dim=dim, k_read=size, v_read=size, ways=groups
            )
        )
    return seen
