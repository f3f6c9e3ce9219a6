"""The operator graph: its form, its folding, and laws that FLOPs and bytes obey whatever the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.workload import (
    Batch,
    Model,
    OperatorGraph,
    Totals,
    decode,
    expert_block,
    operator_graph,
    parameters,
    prefill,
)
from simulator.workload.model.form import Layer
from simulator.workload.operators.graph import folded
from simulator.workload.routing.distinct import counted

BATCHES: list[Batch] = [prefill(2, 32), decode(3, 40), prefill(1, 20, past=7) + decode(5, 33)]


@pytest.fixture(params=BATCHES, ids=["prefill", "decode", "mixed"])
def graph(request: pytest.FixtureRequest, variant: Model) -> OperatorGraph:
    return operator_graph(variant, request.param)


def body(model: Model, batch: Batch) -> Totals:
    """Sums over the decoder layers alone."""
    graph = operator_graph(model, batch)
    return OperatorGraph(model, graph.blocks[1:-1]).totals()


# --- form


def test_a_block_is_a_dag_that_ends_in_its_exit_and_starts_at_its_entries(graph: OperatorGraph) -> None:
    for block in graph.blocks:
        assert nx.is_directed_acyclic_graph(block.graph)
        assert [name for name, degree in block.graph.out_degree() if degree == 0] == [block.exit]
        assert {name for name, degree in block.graph.in_degree() if degree == 0} <= set(block.entries)
        assert [operator.name for operator in block.operators] == list(block.graph)


def test_operators_come_in_an_order_in_which_they_can_run(graph: OperatorGraph) -> None:
    for block in graph.blocks:
        place = {name: i for i, name in enumerate(block.graph)}
        assert all(place[a] < place[b] for a, b in block.graph.edges)


def test_what_comes_in_over_edges_is_what_an_operator_reads(graph: OperatorGraph) -> None:
    for block in graph.blocks:
        for operator in block.operators:
            arriving = sum(data["bytes"] for _, _, data in block.graph.in_edges(operator.name, data=True))
            assert operator.bytes["input"] == arriving + block.entries.get(operator.name, 0.0)


def test_an_edge_hands_over_no_more_than_its_producer_made(graph: OperatorGraph) -> None:
    for block in graph.blocks:
        for producer, _, data in block.graph.edges(data=True):
            made = block.graph.nodes[producer]["operator"].bytes["output"]
            assert 0 <= data["bytes"] <= made


def test_an_edge_hands_over_all_that_its_producer_made_where_nothing_is_split(small: Callable[..., Model]) -> None:
    """One phase, separate projections: only the head takes a part, the last token of each sequence."""
    for block in operator_graph(small(), prefill(2, 32)).blocks[:-1]:
        for producer, _, data in block.graph.edges(data=True):
            assert data["bytes"] == block.graph.nodes[producer]["operator"].bytes["output"]


def test_the_whole_model_is_one_dag_from_tokens_to_logits(graph: OperatorGraph) -> None:
    whole = graph.digraph()
    assert nx.is_directed_acyclic_graph(whole)
    assert nx.is_weakly_connected(whole)
    assert [name for name, degree in whole.in_degree() if degree == 0] == ["embedding.0.embedding"]
    assert [name for name, degree in whole.out_degree() if degree == 0] == ["head.0.lm_head"]


def test_folded_totals_equal_unfolded_sums(graph: OperatorGraph) -> None:
    operators = [operator for _, operator in graph.digraph().nodes(data="operator")]
    totals = graph.totals()
    assert totals.flops == pytest.approx(sum(operator.flops for operator in operators), rel=1e-12)
    for operand, amount in totals.bytes.items():
        assert amount == pytest.approx(sum(operator.bytes.get(operand, 0.0) for operator in operators), rel=1e-12)


def test_quantities_are_finite_and_not_negative(graph: OperatorGraph) -> None:
    for operator, repeat in graph.operators():
        assert repeat >= 1
        assert 0 <= operator.flops < np.inf
        assert all(0 <= amount < np.inf for amount in operator.bytes.values())
        assert operator.total_bytes > 0
        assert operator.op_per_byte == operator.flops / operator.total_bytes


def test_partial_sums_are_reduced_after_attention_and_after_the_ffn(graph: OperatorGraph) -> None:
    for block in graph.blocks[1:-1]:
        layers = 1 + block.name.count("+")
        reduced = [operator for operator in block.operators if operator.all_reduce]
        assert len(reduced) == layers * (1 if graph.model.parallel else 2)
        tokens_by_hidden = {next(iter(block.entries.values()))}
        assert {operator.bytes["output"] for operator in reduced} == tokens_by_hidden


# --- folding


def test_a_shipped_model_has_few_blocks_whose_repeats_are_its_layers(name: str, shipped: Any) -> None:
    model = shipped(name)
    blocks = operator_graph(model, decode(1, 10)).blocks
    assert [blocks[0].name, blocks[-1].name] == ["embedding", "head"]
    assert len(blocks) <= 4
    period = {block.name: 1 + block.name.count("+") for block in blocks}
    assert sum(block.repeat * period[block.name] for block in blocks[1:-1]) == model.layers


def test_blocks_of_models_that_mix_layers(shipped: Any) -> None:
    def shape(name: str) -> list[tuple[str, int]]:
        return [(block.name, block.repeat) for block in operator_graph(shipped(name), decode(1, 10)).blocks[1:-1]]

    assert shape("llama-3-70b") == [("dense", 80)]
    assert shape("mistral-7b") == [("dense-window", 32)]
    assert shape("deepseek-v3") == [("dense", 3), ("moe", 58)]
    assert shape("glam-143b") == [("moe+dense", 16)]


kinds = st.sampled_from([Layer(kind, (), None) for kind in ("dense", "moe", "dense-window")])


@settings(deadline=None)
@given(st.lists(kinds, min_size=1, max_size=24))
def test_folding_loses_no_layer_and_keeps_their_order(layers: list[Layer]) -> None:
    assert [layer for pattern, repeat in folded(layers) for layer in pattern * repeat] == layers


@settings(deadline=None)
@given(st.lists(kinds, min_size=1, max_size=6), st.integers(2, 6))
def test_a_repeated_pattern_folds(pattern: list[Layer], repeat: int) -> None:
    assert len(folded(pattern * repeat)) <= len(pattern)
    assert sum(len(part) for part, _ in folded(pattern * repeat)) <= len(pattern)


# --- laws


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 24), st.integers(0, 30), st.integers(1, 4))
@pytest.mark.parametrize("changes", [{}, {"attention": {"window": 9}}, {"positions": {"kind": "alibi"}}], ids=str)
def test_a_prompt_costs_the_flops_of_its_tokens_decoded_one_by_one(
    small: Callable[..., Model], changes: dict[str, Any], length: int, past: int, count: int
) -> None:
    model = small(**changes)
    one_by_one = sum(body(model, decode(count, past + i)).flops for i in range(length))
    assert body(model, prefill(count, length, past)).flops == one_by_one


def test_the_same_law_for_experts(small: Callable[..., Model]) -> None:
    moe = {"experts": 8, "top_k": 2, "intermediate": 32, "matrices": 3, "activation": "silu"}
    model = small(moe=moe, ffn=None)
    assert body(model, prefill(2, 20)).flops == sum(body(model, decode(2, i)).flops for i in range(20))


def test_flops_of_a_prompt_are_two_a_parameter_and_token_and_attention(name: str, shipped: Any) -> None:
    """Within 2 %: norms, biases and activations are small; the embedding and all but one token's logits are none."""
    model, length = shipped(name), 1024
    counts, a = parameters(model), model.attention
    head = model.vocab * model.hidden
    used = counts.active - counts.embedding - counts.lm_head
    pairs = sum(prefill(1, length)[0].pairs(layer.window) for layer in model.decoder)
    scores_and_values = 2 * a.heads * (a.head_dim + a.v_head_dim) * pairs
    expected = 2 * used * length + 2 * head + scores_and_values
    assert operator_graph(model, prefill(1, length)).totals().flops == pytest.approx(expected, rel=0.02)


def test_decode_scales_with_the_batch_except_for_weights(variant: Model) -> None:
    one, eight = (operator_graph(variant, decode(batch, 50)).totals() for batch in (1, 8))
    assert eight.flops == pytest.approx(8 * one.flops, rel=1e-12)
    for operand in ("kv_read", "kv_write", "input", "output"):
        assert eight.bytes[operand] == pytest.approx(8 * one.bytes[operand], rel=1e-12)
    table = 2.0 * variant.hidden * (2 if variant.positions.kind == "learned" else 1)
    assert eight.bytes["weight"] - one.bytes["weight"] == 7 * table  # the rows of seven more tokens
    assert eight.bytes.get("expert", 0) <= 8 * one.bytes.get("expert", 0)


def test_a_mixed_batch_shares_weights_and_adds_all_else(variant: Model) -> None:
    first, second = prefill(2, 24), decode(3, 31)
    alone = [operator_graph(variant, batch).totals() for batch in (first, second)]
    mixed = operator_graph(variant, first + second).totals()
    assert mixed.flops == pytest.approx(sum(totals.flops for totals in alone), rel=1e-12)
    for operand in ("kv_read", "kv_write", "input", "output"):
        assert mixed.bytes[operand] == pytest.approx(sum(totals.bytes[operand] for totals in alone), rel=1e-12)
    assert mixed.bytes["weight"] < sum(totals.bytes["weight"] for totals in alone)


def test_the_order_and_the_grouping_of_a_batch_do_not_matter(variant: Model) -> None:
    split = operator_graph(variant, decode(2, 30) + prefill(1, 9) + decode(3, 30)).totals()
    merged = operator_graph(variant, prefill(1, 9) + decode(5, 30)).totals()
    assert split == merged


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=6))
def test_a_range_of_contexts_equals_each_alone(shipped: Any, contexts: list[int]) -> None:
    for name in ("mistral-7b", "deepseek-v3", "glam-143b"):
        many = operator_graph(shipped(name), decode(4, np.array(contexts))).totals()
        each = [operator_graph(shipped(name), decode(4, context)).totals() for context in contexts]
        np.testing.assert_array_equal(np.broadcast_to(many.flops, len(contexts)), [one.flops for one in each])
        for operand, amount in many.bytes.items():
            values = np.broadcast_to(amount, len(contexts))
            np.testing.assert_array_equal(values, [one.bytes[operand] for one in each])


def test_a_range_of_batch_sizes_equals_each_alone(variant: Model) -> None:
    sizes = np.array([1, 2, 7, 64])
    many = operator_graph(variant, decode(sizes, 20)).totals()
    each = [operator_graph(variant, decode(size, 20)).totals() for size in sizes]
    np.testing.assert_allclose(many.flops, [one.flops for one in each], rtol=1e-14)
    for operand, amount in many.bytes.items():
        np.testing.assert_allclose(amount * np.ones(4), [one.bytes[operand] for one in each], rtol=1e-14)


def test_formats_set_the_bytes_of_their_class_alone(small: Callable[..., Model]) -> None:
    def by_class(**dtypes: str) -> dict[str, float]:
        return dict(operator_graph(small(dtypes=dtypes), decode(2, 30)).totals().bytes)

    plain = by_class()
    narrow = 4 * (64 * (64 + 2 * 16) + 64 * 64 + 3 * 64 * 96)  # all matrices but the embedding and the head
    assert by_class(weights="fp8") == plain | {"weight": plain["weight"] - narrow}
    assert by_class(kv="int8") == plain | {"kv_read": plain["kv_read"] / 2, "kv_write": plain["kv_write"] / 2}
    ids = 2 * 4.0  # token ids keep their size
    wide = by_class(activations="fp32")
    assert wide == plain | {"input": 2 * (plain["input"] - ids) + ids, "output": 2 * plain["output"]}


def test_products_with_weights_run_in_the_compute_format(small: Callable[..., Model]) -> None:
    graph = operator_graph(small(dtypes={"weights": "fp8", "compute": "fp8"}), decode(1, 5))
    narrow = {operator.name for operator, _ in graph.operators() if operator.dtype == "fp8"}
    products = {operator.name for operator, _ in graph.operators() if operator.kind == "gemm"}
    assert narrow == products - {"lm_head"}  # whose weights stay wide
    assert {operator.dtype for operator, _ in graph.operators()} == {"fp8", "bf16"}


def test_only_the_last_token_of_a_sequence_makes_logits(small: Callable[..., Model]) -> None:
    head = operator_graph(small(), prefill(3, 17)).blocks[-1].operators[-1]
    assert head.flops == 2 * 3 * 64 * 100
    assert head.bytes["output"] == 3 * 100 * 2


# --- one expert

MOE = ["mixtral-8x7b", "glam-143b", "qwen2-57b-a14b", "deepseek-v3"]


def sums(graph: OperatorGraph, part: str = "") -> Totals:
    """Over the operators of one layer whose name has a part in it."""
    flops, size = 0.0, dict[Any, Any]()
    for operator, _ in graph.operators():
        if part in operator.name:
            flops = flops + operator.flops
            for operand, amount in operator.bytes.items():
                size[operand] = size.get(operand, 0.0) + amount
    return Totals(flops, size)


@pytest.mark.parametrize("model", MOE)
def test_an_expert_has_its_share_of_the_parameters(shipped: Any, model: str) -> None:
    found = shipped(model)
    layers, experts = sum(layer.moe for layer in found.decoder), found.moe.experts
    of_one = parameters(found).experts / layers / experts
    total = OperatorGraph(found, (expert_block(found, 16.0),)).totals()
    size = {"fp8-block": 1 + 4 / 128**2, "bf16": 2}[found.dtypes.weights]
    assert total.bytes["expert"] == of_one * size
    assert total.flops == pytest.approx(2 * of_one * 16, rel=1e-2)  # and the activation


@pytest.mark.parametrize("model", MOE)
def test_experts_with_equal_rows_cost_as_much_one_by_one(shipped: Any, model: str) -> None:
    """The grouped products of a layer are as many single ones, where each expert has the same rows."""
    found = shipped(model)
    experts, rows = found.moe.experts, 3 * found.moe.top_k
    tokens = 3 * experts  # each chose top_k, each expert was chosen by `rows`
    grouped = operator_graph(found, prefill(1, tokens), counted(np.full(experts, rows)))
    once = OperatorGraph(found, tuple(block for block in grouped.blocks if "moe" in block.name))
    together = sums(once, "moe.experts.")
    one = sums(OperatorGraph(found, (expert_block(found, float(rows)),)))
    assert together.flops == pytest.approx(experts * one.flops, rel=1e-12)
    assert together.bytes == pytest.approx({operand: experts * amount for operand, amount in one.bytes.items()})


def test_rows_of_an_expert_may_be_an_array(shipped: Any) -> None:
    model, rows = shipped("mixtral-8x7b"), np.array([1.0, 5.0, 700.0])
    many = OperatorGraph(model, (expert_block(model, rows),)).totals()
    each = [OperatorGraph(model, (expert_block(model, row),)).totals() for row in rows]
    np.testing.assert_allclose(many.flops, [one.flops for one in each], rtol=1e-15)
    for operand, amount in many.bytes.items():
        np.testing.assert_allclose(amount * np.ones(3), [one.bytes[operand] for one in each], rtol=1e-15)


def test_a_dense_model_has_no_expert(small: Callable[..., Model]) -> None:
    with pytest.raises(ValueError, match="small has no experts"):
        expert_block(small(), 1.0)
