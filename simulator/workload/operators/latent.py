"""The operators of DeepSeek's multi-head latent attention (MLA), expanded in prefill and absorbed in decode.

The cache holds one latent c and one RoPE key a token, for all heads; a head's keys and values are `W_uk c` and `W_uv c`
(`kv_b_proj` is both matrices of all heads). A score is `q . (W_uk c) + q_rope . k_rope`, and there are two ways to it:

- expanded: keys and values are made for all keys seen, and scores are products over `nope + rope` dimensions;
- absorbed: `q . (W_uk c) = (W_uk^T q) . c`, so queries go into the latent space and values come back from it, by a
  small product per head, and the cache serves as keys (`rank + rope` dimensions) and values (`rank`) as it is.

Absorbed saves making keys of the whole past for one token, expanded saves FLOPs where there are many. Source:
DeepSeek-V2, arXiv 2405.04434, section 2.1.2.
"""

from __future__ import annotations

from dataclasses import replace

from simulator.core.resource import Quantity
from simulator.workload.model.attention import Attention, LatentAttention
from simulator.workload.operators.attend import Phase, attend, cache, reach, read, rope
from simulator.workload.operators.operator import Split
from simulator.workload.operators.sparse import choose
from simulator.workload.operators.tape import Tape, Tensor

UP = "attention.kv_b_proj"
"""The matrix of which both forms are made."""


def latent_attention(tape: Tape, x: Tensor, tokens: Quantity, each: list[Phase], a: Attention) -> list[Tensor]:
    """What each phase sees, before the output projection: `heads` values of `v_head_dim` a token."""
    model, heads, mla = tape.model, a.heads, a.mla
    assert mla
    rank, turned = mla.kv_lora_rank, mla.qk_rope_head_dim
    q_width = heads * a.head_dim

    def project(name: str, source: Tensor, n_in: int, n_out: int, split: Split) -> Tensor:
        return tape.linear(f"attention.{name}", source, rows=tokens, n_in=n_in, n_out=n_out, split=split)

    compressed = x
    if mla.q_lora_rank:
        compressed = project("q_a_proj", x, model.hidden, mla.q_lora_rank, "none")
        compressed = tape.norm("attention.q_a_norm", compressed, rows=tokens, width=mla.q_lora_rank)
        q = project("q_b_proj", compressed, mla.q_lora_rank, q_width, "columns")
    else:
        q = project("q_proj", x, model.hidden, q_width, "columns")
    kv = project("kv_a_proj", x, model.hidden, rank + turned, "none")
    latent = tape.norm("attention.kv_a_norm", replace(kv, bytes=tokens * rank * tape.bytes), rows=tokens, width=rank)
    k_rope = replace(kv, bytes=tokens * turned * tape.bytes)
    q_rope = replace(q, bytes=tokens * heads * turned * tape.bytes)
    if mla.rope:
        k_rope = rope(tape, "k_rope", k_rope, tokens * turned, split="none")
        q_rope = rope(tape, "q_rope", q_rope, tokens * heads * turned)
    ranked = choose(tape, compressed, x, tokens, each, a)
    written = tokens * (rank + turned) * tape.stored.kv_bytes(a)
    latent, k_rope = cache(tape, latent, k_rope, written=written, ways=1, split="none")

    seen = []
    for phase in each:
        content = replace(q, bytes=phase.tokens * heads * mla.qk_nope_head_dim * tape.bytes)
        position = replace(q_rope, bytes=phase.tokens * heads * turned * tape.bytes)
        form = _absorbed if phase.name == "decode" else _expanded
        seen.append(form(tape, phase, (content, position, *ranked.get(phase.name, ())), latent, k_rope, a, mla))
    return seen


def _expanded(
    tape: Tape, phase: Phase, queries: tuple[Tensor, ...], latent: Tensor, k_rope: Tensor, a: Attention,
    mla: LatentAttention,
) -> Tensor:  # fmt: skip
    heads, nope, v_dim = a.heads, mla.qk_nope_head_dim, mla.v_head_dim
    per_key = phase.keys * tape.stored.kv_bytes(a)
    made = tape.linear(
        f"attention.kv_b_proj.{phase.name}", latent, rows=phase.keys, n_in=mla.kv_lora_rank,
        n_out=heads * (nope + v_dim), operands=read(tape, per_key * mla.kv_lora_rank), ways=1, phase=phase.name,
        tensor=UP, apart=reach(phase, per_key * mla.kv_lora_rank),
    )  # fmt: skip
    keys = replace(made, bytes=phase.keys * heads * nope * tape.bytes)
    values = replace(made, bytes=phase.keys * heads * v_dim * tape.bytes)
    return attend(
        tape, phase, queries, (keys, k_rope), (values,), heads=heads, k_dim=nope + mla.qk_rope_head_dim, v_dim=v_dim,
        k_read=per_key * mla.qk_rope_head_dim, v_read=0.0, ways=1, latent=_sizes(mla, v_dim, 0.0),
    )  # fmt: skip


def _absorbed(
    tape: Tape, phase: Phase, queries: tuple[Tensor, ...], latent: Tensor, k_rope: Tensor, a: Attention,
    mla: LatentAttention,
) -> Tensor:  # fmt: skip
    """The latent is read once for scores and values together, as kernels for MLA do."""
    heads, rank = a.heads, mla.kv_lora_rank
    k_dim = rank + mla.qk_rope_head_dim
    content, *others = queries

    def per_head(name: str, source: Tensor, n_in: int, n_out: int) -> Tensor:
        return tape.linear(
            f"attention.{name}.{phase.name}", source, rows=phase.tokens * heads, n_in=n_in, n_out=n_out,
            matrices=heads, split="heads", phase=phase.name, tensor=UP,
        )  # fmt: skip

    query = per_head("q_absorb", content, mla.qk_nope_head_dim, rank)
    seen = attend(
        tape, phase, (query, *others), (latent, k_rope), (latent,), heads=heads, k_dim=k_dim, v_dim=rank,
        k_read=phase.keys * k_dim * tape.stored.kv_bytes(a), v_read=0.0, ways=1,
        latent=_sizes(mla, mla.v_head_dim, 1.0),
    )  # fmt: skip
    return per_head("v_absorb", seen, rank, mla.v_head_dim)


def _sizes(mla: LatentAttention, head: float, absorbed: float) -> dict[str, float]:
    """What tells kernels of latent attention apart, beside heads and lengths."""
    return {"latent": mla.kv_lora_rank, "rope": mla.qk_rope_head_dim, "head_dim": head, "absorbed": absorbed}
