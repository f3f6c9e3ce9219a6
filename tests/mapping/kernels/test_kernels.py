"""Sharding conserves work; fusion keeps every operator once, keeps the order, and never adds traffic."""

from __future__ import annotations

import pytest

from simulator.mapping.kernels.fusion import FUSIONS
from simulator.mapping.kernels.kernels import kernels
from simulator.mapping.parallel.tensor import shard
from simulator.workload import Block, decode, load_model, operator_graph, parameters, prefill

MODELS = [
    "llama-2-7b",
    "llama-3-70b",
    "falcon-40b",
    "bloom-176b",
    "mixtral-8x7b",
    "deepseek-v3",
    "glam-143b",
    "opt-6.7b",
]
BATCHES = {"prefill": prefill(2, 300), "decode": decode(4, 1000), "mixed": prefill(1, 100) + decode(3, 500)}


def blocks(model: str, batch: str) -> tuple[Block, ...]:
    return operator_graph(load_model(model), BATCHES[batch]).blocks


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("model", MODELS)
def test_each_fusion_runs_every_operator_once_and_in_order(model: str, batch: str) -> None:
    for block in blocks(model, batch):
        for mode, fuse in FUSIONS.items():
            groups = fuse(block.graph)
            assert sorted(name for group in groups for name in group) == sorted(block.graph), mode
            place = {name: i for i, group in enumerate(groups) for name in group}
            assert all(place[a] <= place[b] for a, b in block.graph.edges), f"{mode}: a kernel runs before its input"


@pytest.mark.parametrize("ways", [1, 8])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("model", MODELS)
def test_fusion_never_adds_traffic(model: str, batch: str, ways: int) -> None:
    for block in blocks(model, batch):
        traffic = {mode: sum(k.traffic for k in kernels(block, mode, ways)) for mode in FUSIONS}
        inner = {mode: sum(k.inner for k in kernels(block, mode, ways)) for mode in FUSIONS}
        slack = 1 + 1e-12
        assert traffic["whole"] <= traffic["conventional"] * slack <= traffic["unfused"] * slack**2
        assert inner["whole"] == pytest.approx(inner["unfused"])
        assert traffic["unfused"] <= inner["unfused"] * slack


def test_unfused_traffic_is_what_the_operators_move() -> None:
    for block in blocks("llama-2-7b", "decode"):
        moved = sum(float(operator.total_bytes) for operator in block.operators)
        assert sum(k.traffic for k in kernels(block, "unfused")) == pytest.approx(moved)


def test_a_fused_layer_moves_its_weights_its_cache_and_its_boundary() -> None:
    model = load_model("llama-2-7b")
    layer = operator_graph(model, decode(1, 1000)).blocks[1]
    (kernel,) = kernels(layer, "whole")
    weights = 2 * (parameters(model).attention + parameters(model).ffn + parameters(model).norm - model.hidden) / 32
    cache, boundary = 2 * 1000 * 4096 * 2 + 2 * 2 * 4096 * 2, 2 * model.hidden * 2
    # The present token's key and value are written, and read from the cache as any other.
    assert kernel.traffic == pytest.approx(weights + cache + boundary, rel=1e-6)


def test_slices_of_one_tensor_add_up_and_one_tensor_read_twice_arrives_once() -> None:
    # Falcon's rope and cache kernel reads Q, K and V of one product: all of it. Llama's Q, K and V read one input.
    falcon = blocks("falcon-40b", "decode")[1]
    kernel = next(k for k in kernels(falcon, "conventional") if "q_rope" in k.name)
    made = falcon.graph.nodes["attention.qkv_proj"]["operator"].bytes["output"]
    assert kernel.read == pytest.approx(made)
    llama = blocks("llama-2-7b", "decode")[1]
    kernel = next(k for k in kernels(llama, "conventional") if "q_proj" in k.name)
    weights = sum(o.bytes["weight"] for o in kernel.operators)
    assert kernel.read - weights == pytest.approx(llama.graph.nodes["attention.norm"]["operator"].bytes["output"])


def test_the_three_rules_of_conventional_fusion() -> None:
    names = [kernel.name for kernel in kernels(blocks("llama-2-7b", "decode")[1], "conventional")]
    assert names == [
        "attention.norm",
        "attention.q_proj+k_proj+v_proj",
        "attention.q_rope+k_rope+cache",
        "attention.scores.decode+softmax.decode+values.decode",
        "attention.o_proj",
        "attention.residual+ffn.norm",
        "ffn.up_proj+gate_proj",
        "ffn.activation+multiply",
        "ffn.down_proj",
        "ffn.residual",
    ]


def test_a_partial_sum_ends_its_kernel() -> None:
    for model in MODELS:
        for block in blocks(model, "decode"):
            for group in FUSIONS["conventional"](block.graph):
                operators = [block.graph.nodes[name]["operator"] for name in group]
                readers = {s for o in operators if o.all_reduce for s in block.graph.successors(o.name)}
                assert not readers & set(group)


@pytest.mark.parametrize("model", MODELS)
def test_shards_conserve_what_is_divided_and_copy_the_rest(model: str) -> None:
    ways = 8
    for block in blocks(model, "mixed"):
        for whole in block.operators:
            part = shard(whole, ways)
            assert shard(whole, 1) is whole
            divided = whole.flops / ways
            assert divided * (1 - 1e-12) <= part.flops <= whole.flops
            for operand, size in whole.bytes.items():
                assert size / ways * (1 - 1e-12) <= part.bytes[operand] <= size
            if whole.split in ("columns", "rows", "vocab", "experts") and not whole.ways:
                assert part.flops == pytest.approx(divided)
                assert part.bytes.get("weight", 0.0) == pytest.approx(whole.bytes.get("weight", 0.0) / ways)


def test_keys_divide_as_far_as_there_are_heads() -> None:
    layer = blocks("llama-3-70b", "decode")[1]  # 8 KV heads
    scores = layer.graph.nodes["attention.scores.decode"]["operator"]
    read = scores.bytes["kv_read"]
    assert [shard(scores, ways).bytes["kv_read"] for ways in (4, 8, 16)] == pytest.approx(
        [read / 4, read / 8, read / 8]
    )
    assert shard(scores, 16).flops == pytest.approx(scores.flops / 16)
