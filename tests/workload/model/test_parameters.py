"""Parameter counts against the checkpoints' own, and against the weights that the operators read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.workload import (
    Model,
    kv_bytes,
    kv_bytes_per_layer,
    kv_bytes_per_token,
    operator_graph,
    parameters,
    prefill,
    weight_bytes,
)

Shipped = Callable[[str], Model]

WITHOUT_A_PUBLISHED_COUNT = {"persimmon-8b": 9_397_175_296, "sparse-gpt-13b": 1_843_338_240}

ROUNDED = ("grok-1", "glam-143b", "opt-30b", "opt-66b", "opt-175b", "decilm-7b", "deepseek-v2-lite")


def test_the_count_of_a_shipped_model_is_that_of_its_checkpoint(name: str, shipped: Shipped) -> None:
    model = shipped(name)
    if model.published is None:
        assert parameters(model).total == WITHOUT_A_PUBLISHED_COUNT[name]
        return
    tolerance = 0.01 if model.published.rounded else 0.001
    assert parameters(model).total == pytest.approx(model.published.parameters, rel=tolerance)


@pytest.mark.parametrize(
    ("name_", "count"),
    [
        ("llama-2-7b", 6_738_415_616),
        ("llama-3-70b", 70_553_706_496),
        ("llama-3.1-405b", 405_853_388_800),
        ("mistral-7b", 7_241_732_096),
        ("mixtral-8x7b", 46_702_792_704),
        ("qwen3-30b-a3b", 30_532_122_624),
        ("bloom-176b", 176_247_271_424),
        ("deepseek-v3", 671_026_404_352),
        ("grok-1", 315_684_820_992),  # the tensors of the released checkpoint
    ],
)
def test_known_counts_are_exact(name_: str, count: int, shipped: Shipped) -> None:
    assert parameters(shipped(name_)).total == count


def test_only_counts_that_nobody_prints_exactly_are_rounded(name: str, shipped: Shipped) -> None:
    published = shipped(name).published
    assert (published is not None and published.rounded) == (name in ROUNDED)


@pytest.mark.parametrize(
    ("name_", "active"),
    [("mixtral-8x7b", 12.9e9), ("qwen3-30b-a3b", 3.3e9), ("qwen3-235b-a22b", 22e9), ("deepseek-v3", 37e9)],
)
def test_active_parameters_are_those_on_the_model_cards(name_: str, active: float, shipped: Shipped) -> None:
    assert parameters(shipped(name_)).active == pytest.approx(active, rel=0.02)


def test_the_operators_read_every_weight_once(variant: Model) -> None:
    """All but the embedding, of which only the tokens' rows are read, when a batch touches all experts."""
    read = operator_graph(
        variant, prefill(1, 4), routing=lambda tokens: float(variant.moe.experts if variant.moe else 0)
    )
    totals = read.totals()
    size, counts = 2.0, parameters(variant)
    rows = (2 if variant.positions.kind == "learned" else 1) * 4 * variant.hidden
    head = variant.vocab * variant.hidden if variant.tied_embeddings else 0
    assert totals.bytes["weight"] + totals.bytes.get("expert", 0.0) == size * (
        counts.total - counts.embedding + head + rows
    )


def test_experts_that_a_token_did_not_choose_are_idle(shipped: Shipped) -> None:
    counts = parameters(shipped("mixtral-8x7b"))
    assert counts.total - counts.active == counts.experts * 6 // 8
    assert parameters(shipped("llama-2-7b")).active == parameters(shipped("llama-2-7b")).total


@pytest.mark.parametrize(
    ("name_", "size"),
    [
        ("llama-2-7b", 512 * 1024),
        ("mixtral-8x7b", 128 * 1024),  # Duplex facts, section 3, and so on down
        ("glam-143b", 512 * 1024),
        ("grok-1", 256 * 1024),
        ("opt-66b", 2.25 * 2**20),
        ("llama-3-70b", 320 * 1024),
        ("yi-6b", 64 * 1024),  # vAttention
        ("yi-34b", 240 * 1024),
        ("deepseek-v3", (512 + 64) * 61 * 2),  # the latent and the RoPE key, 70,272 bytes
    ],
)
def test_kv_cache_of_a_token(name_: str, size: float, shipped: Shipped) -> None:
    model = shipped(name_)
    assert kv_bytes_per_token(model) == size
    assert kv_bytes_per_layer(model) == size / model.layers
    assert kv_bytes(model, 100) == 100 * size


def test_a_window_bounds_the_cache(small: Callable[..., Model]) -> None:
    model = small(attention={"window": 16, "window_pattern": [True, False]})
    layer = kv_bytes_per_layer(model)
    assert kv_bytes(model, 10) == 4 * 10 * layer
    assert kv_bytes(model, 100) == 2 * 16 * layer + 2 * 100 * layer


def test_bytes_follow_the_formats(small: Callable[..., Model]) -> None:
    plain = small()
    assert weight_bytes(plain) == 2 * parameters(plain).total
    counts = parameters(plain)
    wide = counts.embedding + counts.norm + counts.lm_head
    assert weight_bytes(small(dtypes={"weights": "int4"})) == 2 * wide + (counts.total - wide) / 2
    assert kv_bytes_per_token(small(dtypes={"kv": "fp8"})) == kv_bytes_per_token(plain) / 2
