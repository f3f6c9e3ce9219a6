"""Latent attention: two forms of one product, and the cache that it is for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.workload import Batch, Model, Operator, decode, operator_graph, prefill

Shipped = Callable[[str], Model]


def attention(model: Model, batch: Batch) -> dict[str, Operator]:
    found = operator_graph(model, batch).blocks[1].operators
    return {o.name.removeprefix("attention."): o for o in found if o.name.startswith("attention.")}


def test_decode_reads_the_latent_and_the_rope_key_once(shipped: Shipped) -> None:
    model = shipped("deepseek-v3")
    layer = attention(model, decode(4, 999))
    assert sum(o.bytes.get("kv_read", 0.0) for o in layer.values()) == 4 * 1000 * 576 * 2
    assert layer["cache"].bytes["kv_write"] == 4 * 576 * 2


def test_absorbed_decode_by_hand(shipped: Shipped) -> None:
    layer = attention(shipped("deepseek-v3"), decode(1, 999))
    assert layer["q_absorb.decode"].flops == 2 * 128 * 128 * 512
    assert layer["scores.decode"].flops == 2 * 128 * 576 * 1000
    assert layer["values.decode"].flops == 2 * 128 * 512 * 1000
    assert layer["v_absorb.decode"].flops == 2 * 128 * 512 * 128


def test_expanded_prefill_by_hand(shipped: Shipped) -> None:
    layer = attention(shipped("deepseek-v3"), prefill(1, 10))
    assert layer["kv_b_proj.prefill"].flops == 2 * 10 * 512 * 128 * 256
    assert layer["scores.prefill"].flops == 2 * 128 * 192 * 55
    assert layer["values.prefill"].flops == 2 * 128 * 128 * 55


def test_both_forms_read_the_same_weights(shipped: Shipped) -> None:
    forms = [attention(shipped("deepseek-v3"), batch) for batch in (prefill(1, 10), decode(1, 9))]
    sizes = [sum(o.bytes.get("weight", 0.0) for o in form.values()) for form in forms]
    assert sizes[0] == sizes[1]


def test_absorbing_saves_flops_for_one_token_and_expanding_for_a_prompt(shipped: Shipped) -> None:
    """One token after 4,095, and a prompt of 4,096, each by its form and by what the other would take."""
    heads, nope, rope, rank, v = 128, 128, 64, 512, 128
    for batch, tokens in ((decode(1, 4095), 1), (prefill(1, 4096), 4096)):
        layer = attention(shipped("deepseek-v3"), batch)
        taken = sum(o.flops for o in layer.values() if o.phase and o.kind in ("gemm", "attention"))
        pairs, keys = batch[0].pairs(), batch[0].keys()
        absorbed = 2 * heads * (tokens * rank * (nope + v) + pairs * (2 * rank + rope))
        expanded = 2 * heads * (keys * rank * (nope + v) + pairs * (nope + rope + v))
        assert taken == pytest.approx(min(absorbed, expanded), rel=1e-12)


def test_the_latent_is_copied_on_every_device(shipped: Shipped) -> None:
    layer = attention(shipped("deepseek-v3"), decode(1, 9))
    assert layer["scores.decode"].ways == 1
    assert {layer[name].split for name in ("q_a_proj", "kv_a_proj", "cache", "k_rope")} == {"none"}
    assert layer["q_b_proj"].split == "columns"
