"""Attention over KV heads: what it reads and writes, how the window cuts it, how far it divides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulator.workload import Batch, Model, Operator, decode, kv_bytes_per_layer, operator_graph, prefill

Build = Callable[..., Model]


def operators(model: Model, batch: Batch) -> dict[str, Operator]:
    """The operators of the first decoder block by name."""
    return {operator.name: operator for operator in operator_graph(model, batch).blocks[1].operators}


def kv_read(model: Model, batch: Batch) -> float:
    return sum(float(operator.bytes.get("kv_read", 0.0)) for operator in operators(model, batch).values())


def test_llama_2_7b_decode_by_hand(shipped: Callable[[str], Model]) -> None:
    """One token after 999: 32 heads of 128, 1,000 keys."""
    layer = operators(shipped("llama-2-7b"), decode(1, 999))
    assert layer["attention.q_proj"].flops == 2 * 4096 * 4096
    assert layer["attention.scores.decode"].flops == 2 * 32 * 128 * 1000
    assert layer["attention.values.decode"].flops == 2 * 32 * 128 * 1000
    assert layer["attention.scores.decode"].bytes["kv_read"] == 1000 * 4096 * 2
    assert layer["attention.values.decode"].bytes["kv_read"] == 1000 * 4096 * 2
    assert layer["attention.cache"].bytes["kv_write"] == 2 * 4096 * 2
    assert layer["ffn.up_proj"].flops == 2 * 4096 * 11008
    assert layer["ffn.multiply"].flops == 11008


def test_decode_attention_has_the_op_per_byte_of_its_group(shipped: Callable[[str], Model]) -> None:
    """2 FLOPs a query head, key and dimension over 2 bytes a KV head, key and dimension (Duplex, Table I: deg_grp)."""
    for name, group in [("llama-2-7b", 1), ("mixtral-8x7b", 4), ("grok-1", 6), ("llama-3-70b", 8)]:
        scores = operators(shipped(name), decode(1, 5000))["attention.scores.decode"]
        assert scores.flops / scores.bytes["kv_read"] == group


def test_the_cache_is_written_for_new_tokens_and_read_for_all(small: Build) -> None:
    model = small()
    token = kv_bytes_per_layer(model)
    for batch, written, read in [
        (prefill(2, 10), 20, 20),
        (prefill(2, 10, past=30), 20, 80),
        (decode(4, 99), 4, 400),
        (prefill(1, 10) + decode(4, 99), 14, 410),
    ]:
        assert operators(model, batch)["attention.cache"].bytes["kv_write"] == written * token
        assert kv_read(model, batch) == read * token


def test_reads_grow_with_the_context_and_a_window_caps_them(small: Build) -> None:
    contexts = range(0, 60, 5)
    whole = [kv_read(small(), decode(1, context)) for context in contexts]
    capped = [kv_read(small(attention={"window": 16}), decode(1, context)) for context in contexts]
    assert np.all(np.diff(whole) > 0)
    assert np.all(np.diff(capped) >= 0)
    assert capped == [
        min(context + 1, 16) / (context + 1) * read for context, read in zip(contexts, whole, strict=True)
    ]


def test_a_window_wider_than_the_context_changes_nothing(small: Build) -> None:
    for batch in (prefill(2, 30), decode(3, 29)):
        wide, none = (operator_graph(m, batch).totals() for m in (small(attention={"window": 30}), small()))
        assert wide == none


def test_fewer_kv_heads_shrink_the_cache_and_leave_the_scores(small: Build) -> None:
    many, one = (operators(small(attention={"kv_heads": n}), decode(2, 20)) for n in (8, 1))
    for name in ("attention.scores.decode", "attention.values.decode"):
        assert many[name].flops == one[name].flops
        assert many[name].bytes["kv_read"] == 8 * one[name].bytes["kv_read"]


def test_a_fused_projection_is_the_sum_of_the_three(small: Build) -> None:
    apart, fused = (
        operators(small(attention={"fused_qkv": f, "qkv_bias": True}), prefill(2, 9)) for f in (False, True)
    )
    three = [apart[f"attention.{name}_proj"] for name in "qkv"]
    one = fused["attention.qkv_proj"]
    assert one.flops == sum(operator.flops for operator in three)
    for operand in ("weight", "output"):
        assert one.bytes[operand] == sum(operator.bytes[operand] for operator in three)
    assert {*apart} - {*fused} == {f"attention.{name}_proj" for name in "qkv"}


def test_phases_of_a_mixed_batch_attend_apart_and_project_together(small: Build) -> None:
    layer = operators(small(), prefill(1, 10) + decode(4, 99))
    by_phase = {phase: {n for n, o in layer.items() if o.phase == phase} for phase in ("prefill", "decode")}
    for phase, names in by_phase.items():
        assert names == {f"attention.{part}.{phase}" for part in ("scores", "softmax", "values")}
    assert layer["attention.q_proj"].flops == 2 * 14 * 64 * 64


def test_keys_and_values_divide_by_their_heads(small: Build) -> None:
    layer = operators(small(attention={"kv_heads": 2, "qk_norm": True}), decode(1, 5))
    bound = {name for name, operator in layer.items() if operator.ways == 2}
    parts = ("k_proj", "v_proj", "k_norm", "k_rope", "cache", "scores.decode", "values.decode")
    assert bound == {f"attention.{part}" for part in parts}
    assert layer["attention.o_proj"].split == "rows"
    assert layer["attention.q_proj"].split == "columns"


def test_rope_turns_only_its_part_of_a_head(small: Build) -> None:
    full, half = (operators(small(positions={"rotary_dim": dim}), decode(1, 5)) for dim in (8, 4))
    assert full["attention.q_rope"].flops == 2 * half["attention.q_rope"].flops
    assert "attention.q_rope" not in operators(small(positions={"kind": "alibi"}), decode(1, 5))
