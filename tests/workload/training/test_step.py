"""A training step: laws that its FLOPs, what it saves and its gradients obey whatever the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload import (
    Block,
    Model,
    Operator,
    OperatorGraph,
    decode,
    operator_graph,
    parameters,
    prefill,
    training_graph,
)

Build = Callable[..., Model]
Shipped = Callable[[str], Model]

RECOMPUTE = ("none", "attention", "layer")
BATCH = prefill(2, 24)
TENSOR = 2 * 24 * 64 * 2  # bytes of the hidden states of that batch, in a small model


@pytest.fixture(params=RECOMPUTE)
def step(request: pytest.FixtureRequest, variant: Model) -> OperatorGraph:
    return training_graph(variant, BATCH, recompute=request.param)


def operators(block: Block) -> dict[str, Operator]:
    return {operator.name: operator for operator in block.operators}


def passes(step: OperatorGraph) -> Iterator[tuple[Block, Block]]:
    """Each forward block with its backward one; the head is both."""
    blocks = {block.name: block for block in step.blocks}
    for name, block in blocks.items():
        if name == "head":
            yield block, block
        elif f"{name}.backward" in blocks:
            yield block, blocks[f"{name}.backward"]


def flops(graph: OperatorGraph, *kinds: str, name: str = "") -> float:
    return float(sum(n * o.flops for o, n in graph.operators() if o.kind in kinds and name in o.name))


def moved(graph: OperatorGraph, operand: Any) -> float:
    return float(graph.totals().bytes.get(operand, 0.0))


# --- form


def test_each_block_is_a_dag_in_the_order_of_the_pass(step: OperatorGraph) -> None:
    for block in step.blocks:
        place = {name: i for i, name in enumerate(block.graph)}
        assert all(place[a] < place[b] for a, b in block.graph.edges)
        assert block.exit in block.graph
        assert set(block.entries) <= set(block.graph)


def test_what_comes_in_over_edges_is_what_an_operator_reads(step: OperatorGraph) -> None:
    for block in step.blocks:
        for operator in block.operators:
            arriving = sum(data["bytes"] for _, _, data in block.graph.in_edges(operator.name, data=True))
            assert operator.bytes["input"] == arriving + block.entries.get(operator.name, 0.0)


def test_the_step_is_one_dag(step: OperatorGraph) -> None:
    whole = step.digraph()
    assert nx.is_directed_acyclic_graph(whole)
    assert nx.is_weakly_connected(whole)


def test_blocks_run_forward_then_back_then_the_optimizer(step: OperatorGraph) -> None:
    names = [block.name for block in step.blocks]
    turn = names.index("head")
    assert names[turn + 1 : -1] == [f"{name}.backward" for name in reversed(names[:turn])]
    assert names[-1] == "optimizer"
    assert [b.repeat for b in step.blocks[turn + 1 : -1]] == [b.repeat for b in reversed(step.blocks[:turn])]


def test_every_quantity_is_finite_and_not_negative(step: OperatorGraph) -> None:
    for operator, _ in step.operators():
        assert 0 <= operator.flops < np.inf
        assert all(0 <= amount < np.inf for amount in operator.bytes.values())


def test_training_keeps_no_cache_and_scores_see_what_they_would_read_of_it(variant: Model) -> None:
    step, serving = training_graph(variant, BATCH), operator_graph(variant, BATCH)
    assert "kv_read" not in step.totals().bytes
    assert "kv_write" not in step.totals().bytes
    for trained, served in zip(step.blocks, serving.blocks[:-1], strict=False):
        known = operators(trained)
        for operator in served.operators:
            if operator.kind == "cache":
                continue
            read = operator.bytes["input"] + operator.bytes.get("kv_read", 0.0)
            assert known[operator.name].bytes["input"] == read
            assert known[operator.name].flops == operator.flops


# --- FLOPs


def test_products_take_three_times_the_flops_of_the_forward_pass(variant: Model) -> None:
    forward, step = operator_graph(variant, BATCH, training=True), training_graph(variant, BATCH)
    for kind in ("gemm", "attention"):
        assert flops(step, kind) == 3 * flops(forward, kind)


def test_recomputed_products_take_a_fourth(variant: Model) -> None:
    forward = operator_graph(variant, BATCH, training=True)
    layers = OperatorGraph(variant, forward.blocks[1:-1])
    extra = {
        mode: training_graph(variant, BATCH, recompute=mode).totals().flops
        - training_graph(variant, BATCH).totals().flops
        for mode in RECOMPUTE
    }
    assert extra["layer"] == layers.totals().flops
    assert extra["attention"] == flops(layers, "attention", "softmax", name="scores") + flops(layers, "softmax")


def test_a_layer_of_products_takes_four_times_its_forward_pass_with_recompute(small: Build) -> None:
    step = training_graph(small(), BATCH, recompute="layer")
    layers = OperatorGraph(step.model, step.blocks[1:2])
    both = OperatorGraph(step.model, (step.blocks[1], step.blocks[3]))
    assert flops(both, "gemm") == 4 * flops(layers, "gemm")
    assert flops(both, "attention") == 4 * flops(layers, "attention")


@pytest.mark.parametrize(
    "name_", ["llama-2-7b", "llama-3-70b", "mistral-7b", "bloom-176b", "falcon-40b", "mixtral-8x7b"]
)
def test_a_step_takes_six_flops_a_parameter_and_token_and_attention(name_: str, shipped: Shipped) -> None:
    """6 N D and, causal, half of the 12 L H Q T a token of PaLM (arXiv 2204.02311, appendix B), within 2 %."""
    model, length = shipped(name_), 2048
    counts, a = parameters(model), model.attention
    head = model.vocab * model.hidden  # counts as a product whether or not it is the embedding too
    used = counts.active - counts.embedding - counts.lm_head + head
    attended = 12 * model.layers * a.heads * a.head_dim * length / 2
    expected = (6 * used + attended) * length
    assert training_graph(model, prefill(1, length)).totals().flops == pytest.approx(expected, rel=0.02)


# --- what is saved


def test_what_is_saved_is_read_once_and_was_written_once_or_is_a_blocks_input(step: OperatorGraph) -> None:
    """A block's input is in memory as what the block before it made, so that keeping it takes no write."""
    for forward, backward in passes(step):
        if forward is backward:
            assert all("saved_read" not in o.bytes and "saved_write" not in o.bytes for o in forward.operators)
            continue
        written = sum(o.bytes.get("saved_write", 0.0) for o in forward.operators)
        read = sum(o.bytes.get("saved_read", 0.0) for o in backward.operators)
        assert read == written + max(forward.entries.values())


def test_an_operator_saves_no_more_than_it_made(step: OperatorGraph) -> None:
    for operator, _ in step.operators():
        assert operator.bytes.get("saved_write", 0.0) <= operator.bytes["output"]


def test_recompute_saves_less_and_computes_more(variant: Model) -> None:
    steps = [training_graph(variant, BATCH, recompute=mode) for mode in RECOMPUTE]
    kept = [moved(step, "saved_read") for step in steps]
    assert kept[0] > kept[1] > kept[2]
    assert moved(steps[2], "saved_write") == moved(training_graph(variant, BATCH), "saved_write") - sum(
        forward.repeat * o.bytes.get("saved_write", 0.0)
        for forward in steps[0].blocks
        if forward.name not in ("embedding", "head")
        for o in forward.operators
    )
    work = [step.totals().flops for step in steps]
    assert work[0] < work[1] < work[2]


def test_a_recomputed_layer_keeps_its_input_alone(small: Build) -> None:
    step = training_graph(small(), BATCH, recompute="layer")
    backward = step.blocks[3]
    assert sum(o.bytes.get("saved_read", 0.0) for o in backward.operators) == TENSOR
    assert {o.name for o in step.blocks[1].operators} <= {o.name for o in backward.operators}


def test_recomputed_attention_saves_no_scores(small: Build) -> None:
    """Without biases and norms inside: 24 x 25 / 2 pairs of 8 heads and 2 sequences are what is no longer saved."""
    saved = [moved(training_graph(small(layers=1), BATCH, recompute=mode), "saved_read") for mode in RECOMPUTE]
    assert saved[0] - saved[1] == 2 * 8 * (24 * 25 / 2) * 2


def test_what_llama_saves_by_hand(shipped: Shipped) -> None:
    """Per token and layer, in bf16: two norms' inputs and results, q, k, v, the values (all of 4096), four of 11008."""
    model = shipped("llama-2-7b")
    step = training_graph(model, prefill(1, 4096), recompute="attention")
    kept = sum(o.bytes.get("saved_read", 0.0) for o in step.blocks[3].operators)
    assert kept == 4096 * 2 * (8 * 4096 + 4 * 11008)


# --- gradients


@pytest.mark.parametrize("weights", ["bf16", "fp8", "w4a16", "fp32"])
def test_each_weight_has_a_gradient_in_the_format_of_activations(variant: Model, weights: str) -> None:
    model = variant.model_copy(update={"dtypes": variant.dtypes.model_copy(update={"weights": weights})})
    for (forward, _), (_, backward) in zip(
        passes(training_graph(variant, BATCH)), passes(training_graph(model, BATCH)), strict=True
    ):
        known = operators(backward)
        for operator in forward.operators:
            weight = operator.bytes.get("weight", 0.0) + operator.bytes.get("expert", 0.0)
            if weight and not operator.name.endswith((".dgrad", ".wgrad")):
                assert known[f"{operator.name}.wgrad"].bytes["state_write"] == weight  # bf16 there, as here
            else:
                assert f"{operator.name}.wgrad" not in known


def test_a_weights_gradient_reads_what_the_operator_read_and_the_gradient_of_what_it_made(step: OperatorGraph) -> None:
    for forward, backward in passes(step):
        known, found = operators(forward), operators(backward)
        for name, operator in found.items():
            source = known.get(name.removesuffix(".wgrad"))
            if not name.endswith(".wgrad") or source is None or source.kind == "embedding":
                continue
            read = operator.bytes["input"] + operator.bytes.get("saved_read", 0.0)
            assert read == source.bytes["input"] + source.bytes["output"]


def test_a_gradient_is_as_large_as_what_it_is_of(step: OperatorGraph) -> None:
    """Of all that an operator read but token ids and, where experts gather, the choice of them."""
    for forward, backward in passes(step):
        known = operators(forward)
        for operator in backward.operators:
            source = known.get(operator.name.removesuffix(".dgrad"))
            if operator.name.endswith(".dgrad") and source is not None and source.kind != "gather":
                assert operator.bytes["output"] == source.bytes["input"]
        last = operators(backward)[backward.exit]
        if forward.name != "embedding":
            assert last.bytes["output"] == max(forward.entries.values())


def test_gradients_are_reduced_as_often_as_sums_of_the_forward_pass(small: Build) -> None:
    """Megatron-LM, arXiv 1909.08053, section 3: two reductions forward, two backward a layer, of the hidden states."""
    for changes in ({}, {"parallel": True}, {"attention": {"fused_qkv": True, "kv_heads": 8}}):
        step = training_graph(small(**changes), BATCH)
        forward, head, backward = step.blocks[1:4]
        counts = [[o for o in block.operators if o.all_reduce] for block in (forward, head, backward)]
        layer = 1 if "parallel" in changes else 2
        assert [len(found) for found in counts[:2]] == [layer, 1]
        assert len(counts[2]) == (2 if "parallel" in changes else layer)  # two norms, each with a gradient of its own
        assert {o.bytes["output"] for found in counts for o in found} == {TENSOR}


def test_a_recomputed_layer_reduces_its_sums_again(small: Build) -> None:
    step = training_graph(small(), BATCH, recompute="layer")
    forward, backward = (
        {o.name for o in block.operators if o.all_reduce} for block in (step.blocks[1], step.blocks[3])
    )
    assert len(forward) == 2
    assert forward < backward
    assert len(backward) == 4


def test_products_that_share_their_input_are_reduced_once(small: Build) -> None:
    backward = training_graph(small(), BATCH).blocks[3]
    reduced = {o.name: set(backward.graph.predecessors(o.name)) for o in backward.operators if o.all_reduce}
    assert reduced == {
        "attention.norm.partial_sum": {f"attention.{x}_proj.dgrad" for x in "qkv"},
        "ffn.norm.partial_sum": {"ffn.gate_proj.dgrad", "ffn.up_proj.dgrad"},
    }


def test_the_parts_of_a_fused_projection_are_joined_and_not_added(small: Build) -> None:
    model = small(attention={"fused_qkv": True, "kv_heads": 8})
    backward = training_graph(model, BATCH).blocks[3]
    made = operators(backward)["attention.qkv_proj.dgrad"]
    assert made.all_reduce
    assert made.bytes["input"] == 3 * TENSOR
    assert "attention.qkv_proj.sum" not in backward.graph


def test_where_a_tensor_is_read_twice_its_gradients_are_added(small: Build) -> None:
    backward = operators(training_graph(small(), BATCH).blocks[3])
    elements = TENSOR / 2
    assert backward["input.sum"].flops == backward["attention.residual.sum"].flops == elements
    assert backward["attention.norm.partial_sum"].flops == 2 * elements
    assert "attention.residual.dgrad" not in backward


# --- the whole


def test_adam_takes_sixteen_bytes_a_parameter(variant: Model) -> None:
    """ZeRO, arXiv 1910.02054, section 3.1: weight and gradient in 2 bytes, weight and two moments in 4."""
    count = parameters(variant).total
    one = training_graph(variant, BATCH).blocks[-1].operators[0]
    assert one.bytes["state_read"] == (2 + 12) * count  # gradients and states
    assert one.bytes["state_write"] == (2 + 12) * count  # weights and states
    sizes = [
        training_graph(variant, BATCH, optimizer=name).blocks[-1].operators[0].total_bytes
        for name in ("sgd", "momentum", "adam")
    ]
    assert sizes == [12 * count, 20 * count, 28 * count]


def test_all_but_weights_and_states_grows_with_the_batch(variant: Model) -> None:
    one, four = (OperatorGraph(variant, training_graph(variant, prefill(n, 24)).blocks[:-1]).totals() for n in (1, 4))
    assert four.flops == pytest.approx(4 * one.flops, rel=1e-12)
    for operand in ("input", "output", "saved_read", "saved_write"):
        assert four.bytes[operand] == pytest.approx(4 * one.bytes[operand], rel=1e-12)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(2, 300), min_size=1, max_size=4), st.sampled_from(RECOMPUTE))
def test_a_range_of_lengths_equals_each_alone(shipped: Shipped, lengths: list[int], mode: str) -> None:
    for name in ("llama-2-7b", "falcon-40b", "deepseek-v3"):
        model = shipped(name)
        many = training_graph(model, prefill(2, np.array(lengths)), recompute=mode).totals()
        each = [training_graph(model, prefill(2, n), recompute=mode).totals() for n in lengths]
        np.testing.assert_allclose(np.broadcast_to(many.flops, len(lengths)), [e.flops for e in each], rtol=1e-14)
        for operand, amount in many.bytes.items():
            values = np.broadcast_to(amount, len(lengths))
            np.testing.assert_allclose(values, [e.bytes.get(operand, 0.0) for e in each], rtol=1e-14)


@pytest.mark.parametrize(
    ("batch", "options", "says"),
    [
        (decode(1, 5), {}, "whole sequences"),
        (prefill(1, 5, past=3), {}, "no past"),
        (prefill(1, 5, past=np.array([0.0, 3.0])), {}, "no past"),
        (BATCH, {"recompute": "layers"}, "did you mean 'layer'"),
        (BATCH, {"optimizer": "adm"}, "did you mean 'adam'"),
    ],
)
def test_what_cannot_be_trained_is_refused(small: Build, batch: Any, options: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        training_graph(small(), batch, **options)
