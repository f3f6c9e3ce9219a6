"""The operators of self-attention with keys and values per KV head (MHA, GQA, MQA), from projection to projection."""

from __future__ import annotations

from dataclasses import replace

from simulator.core.resource import Quantity
from simulator.workload.batch import Batch
from simulator.workload.model.attention import Attention
from simulator.workload.model.weights import projections
from simulator.workload.operators.attend import Phase, attend, cache, phases, rope
from simulator.workload.operators.latent import latent_attention
from simulator.workload.operators.sparse import choose, compress
from simulator.workload.operators.tape import Tape, Tensor


def attention(tape: Tape, x: Tensor, batch: Batch, a: Attention) -> Tensor:
    """Self-attention of the normalised `x`: Q, K and V, the cache, scores, softmax, values, output projection.

    Prefill and decode sequences of a mixed batch share the projections, and have scores, softmax and values apart.
    """
    each = phases(batch, a)
    tokens: Quantity = sum((phase.tokens for phase in each), start=0.0)
    seen = latent_attention(tape, x, tokens, each, a) if a.mla else _per_head(tape, x, tokens, each, a)
    if a.gate:
        seen = [_gated(tape, x, tokens, seen, a)]
    return _output(tape, seen, tokens, a)


def _gated(tape: Tape, x: Tensor, tokens: Quantity, seen: list[Tensor], a: Attention) -> Tensor:
    """What heads see, times the sigmoid of a projection (Qwen3-Next, Step 3)."""
    gate = tape.linear("attention.gate_proj", x, rows=tokens, n_in=tape.model.hidden, n_out=a.heads * a.gate)
    elements = tokens * a.heads * a.v_head_dim
    return tape.record(
        "attention.gate", "multiply", *seen, gate, flops=elements * 2, output=elements * tape.bytes, split="heads"
    )


def _output(tape: Tape, seen: list[Tensor], tokens: Quantity, a: Attention) -> Tensor:
    """The output projection; where heads are grouped, each group into a latent of its own first."""
    hidden, width = tape.model.hidden, a.heads * a.v_head_dim
    if not a.o_lora_rank:
        return tape.linear(
            "attention.o_proj", *seen, rows=tokens, n_in=width, n_out=hidden, bias=a.output_bias, split="rows"
        )
    latents = tape.linear(
        "attention.o_a_proj", *seen, rows=tokens * a.o_groups, n_in=width // a.o_groups, n_out=a.o_lora_rank,
        matrices=a.o_groups, split="heads",
    )  # fmt: skip
    n_in = a.o_groups * a.o_lora_rank
    return tape.linear(
        "attention.o_b_proj", latents, rows=tokens, n_in=n_in, n_out=hidden, bias=a.output_bias, split="rows"
    )


def _per_head(tape: Tape, x: Tensor, tokens: Quantity, each: list[Phase], a: Attention) -> list[Tensor]:
    """What each phase sees: `kv_heads` keys and values, each for `heads / kv_heads` queries."""
    if a.reuses_kv:
        return _reusing(tape, x, tokens, each, a)
    dim, v_dim, groups = a.head_dim, a.v_head_dim, a.kv_heads
    q, k, v, latent = _projected(tape, x, tokens, a)
    if a.qk_norm or a.qk_norm_whole:
        q, k = _normed(tape, "q_norm", q, tokens, a.heads, a), _normed(tape, "k_norm", k, tokens, groups, a)
    if tape.model.positions.kind == "rope":
        turned = tokens * (tape.model.positions.rotary_dim or dim)
        q = rope(tape, "q_rope", q, turned * a.heads)
        k = rope(tape, "k_rope", k, turned * groups, ways=groups)
    element = tape.stored.kv_bytes(a)
    written = tokens * a.cached_width * element
    if a.compression:
        k, written = compress(tape, x, k, tokens, a, written)
    ranked = choose(tape, latent or x, x, tokens, each, a)
    keys, values = cache(tape, k, v, written=written, ways=groups)

    seen = []
    for phase in each:
        query = replace(q, bytes=phase.tokens * a.heads * dim * tape.bytes)
        k_read = phase.keys * groups * dim * element
        v_read = 0.0 if a.values == "shared" else phase.keys * groups * v_dim * element
        seen.append(
            attend(
                tape, phase, (query, *ranked.get(phase.name, ())), (keys,), (values,), heads=a.heads, k_dim=dim,
                v_dim=v_dim, k_read=k_read, v_read=v_read, ways=groups,
            )
        )  # fmt: skip
    return seen


def _reusing(tape: Tape, x: Tensor, tokens: Quantity, each: list[Phase], a: Attention) -> list[Tensor]:
    """What each phase sees of the keys and values that a layer before keeps: queries alone are made."""
    dim, token = a.head_dim, a.kv_heads * tape.stored.kv_bytes(a)
    n_in, n_out = projections(a, tape.model.hidden)["q"]
    q = tape.linear("attention.q_proj", x, rows=tokens, n_in=n_in, n_out=n_out, bias=a.qkv_bias)
    if a.qk_norm:
        q = _normed(tape, "q_norm", q, tokens, a.heads, a)
    if tape.model.positions.kind == "rope":
        q = rope(tape, "q_rope", q, tokens * (tape.model.positions.rotary_dim or dim) * a.heads)
    return [
        attend(
            tape, phase, (replace(q, bytes=phase.tokens * a.heads * dim * tape.bytes),), (), (), heads=a.heads,
            k_dim=dim, v_dim=a.v_head_dim, k_read=phase.keys * token * dim, v_read=phase.keys * token * a.v_head_dim,
            ways=a.kv_heads,
        )
        for phase in each
    ]  # fmt: skip


def _normed(tape: Tape, name: str, x: Tensor, tokens: Quantity, heads: int, a: Attention) -> Tensor:
    """A norm over each head of queries or keys, or over all of them as one vector."""
    rows, width = (tokens, heads * a.head_dim) if a.qk_norm_whole else (tokens * heads, a.head_dim)
    ways = a.kv_heads if heads == a.kv_heads != a.heads else None
    return tape.norm(f"attention.{name}", x, rows=rows, width=width, split="heads", ways=ways)


def _projected(tape: Tape, x: Tensor, tokens: Quantity, a: Attention) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Queries, keys and values, and the latent of queries where there is one."""
    widths, groups = projections(a, tape.model.hidden), a.kv_heads

    def project(name: str, source: Tensor, ways: int | None = None) -> Tensor:
        n_in, n_out = widths[name]
        return tape.linear(
            f"attention.{name}_proj", source, rows=tokens, n_in=n_in, n_out=n_out, bias=a.qkv_bias, ways=ways
        )

    if a.fused_qkv:
        qkv = project("qkv", x)
        q_width, k_width, v_width = a.heads * a.head_dim, groups * a.head_dim, groups * a.v_head_dim
        q, k, v = (replace(qkv, bytes=tokens * width * tape.bytes) for width in (q_width, k_width, v_width))
        return q, k, v, None
    latent = None
    if a.q_lora_rank:
        latent = tape.linear(
            "attention.q_a_proj", x, rows=tokens, n_in=tape.model.hidden, n_out=a.q_lora_rank, split="none"
        )
        latent = tape.norm("attention.q_a_norm", latent, rows=tokens, width=a.q_lora_rank)
    q = project("q_b", latent) if latent else project("q", x)
    k = project("k", x, groups)
    if a.values == "shared":
        k = tape.norm("attention.k_norm", k, rows=tokens * groups, width=a.head_dim, split="heads", ways=groups)
    return q, k, project("v", x, groups) if a.values == "own" else k, latent
