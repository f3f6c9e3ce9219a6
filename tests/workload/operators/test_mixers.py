"""What mixes tokens in public models: bytes that a token or a sequence keeps, and FLOPs, exact by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.core.resource import Quantity
from simulator.errors import ConfigError
from simulator.mapping.parallel.tensor import cache_ways, layer_parts
from simulator.workload import Model, decode, from_huggingface, kv_bytes, kv_bytes_per_token, operator_graph, prefill
from simulator.workload.model.parameters import state_bytes

SHAPES: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "model" / "shapes.json").read_text(encoding="utf-8")
)


def model(name: str) -> Model:
    return from_huggingface(SHAPES[name], name)


@pytest.mark.parametrize(
    ("shape", "token", "state"),
    [
        ("Meta-Llama-3.1-8B", 32 * 2 * 8 * 128 * 2, 0),  # grouped queries: keys and values of 8 heads
        ("gpt-oss-20b", 24 * 2 * 8 * 64 * 2, 0),  # every other layer keeps 128 tokens of these
        ("DeepSeek-R1", 61 * (512 + 64) * 2, 0),  # latent attention
        ("DeepSeek-V3.2", 61 * (512 + 64 + 128) * 2, 0),  # and a key of the indexer
        # 2 windows; 21 layers with an entry for 4 tokens, and a key for it; 20 with one for 128; one window each
        ("DeepSeek-V4-Flash", (43 * 512 + 21 * (512 + 128) / 4 + 20 * 512 / 128) * 2, 0),
        # 10 layers of attention; 30 with 32 states of 128 x 128 in fp32, and 3 inputs of 8,192 in bf16
        ("Qwen3.5-35B-A3B", 10 * 2 * 2 * 256 * 2, 30 * (32 * 128 * 128 * 4 + 3 * 8192 * 2)),
        # 6 layers of attention; 23 with 64 heads of 64 x 128 in fp32, and 3 inputs of 6,144 in bf16
        ("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", 6 * 2 * 2 * 128 * 2, 23 * (64 * 64 * 128 * 4 + 3 * 6144 * 2)),
        # in each of 32 layers, keys and values of 8 heads beside 1024 x 256 numbers in fp32 and 3 inputs of 1,536
        ("falcon_h1-default", 32 * 2 * 8 * 128 * 2, 32 * (1024 * 256 * 4 + 3 * 1536 * 2)),
        ("LFM2-1.2B", 6 * 2 * 8 * 64 * 2, 10 * 2 * 2048 * 2),  # 10 convolutions of 3 tokens
    ],
)
def test_a_token_and_a_sequence_keep_what_their_mixers_say(shape: str, token: float, state: float) -> None:
    assert kv_bytes_per_token(model(shape)) == token
    assert state_bytes(model(shape)) == state


def test_mixers_of_one_layer_read_one_input_and_are_added() -> None:
    read = model("falcon_h1-default")
    graph = next(block for block in operator_graph(read, decode(2, 100)).blocks if block.repeat == 32).graph
    (norm,) = graph.predecessors("space.in_proj")
    assert norm == "attention.norm" and norm in graph.predecessors("attention.q_proj")
    assert set(graph.predecessors("attention.add_space")) == {"attention.o_proj", "space.out_proj"}
    assert graph.nodes["attention.add_space"]["operator"].all_reduce
    assert sum(graph.nodes[name]["operator"].all_reduce for name in graph) == 2  # of the mixers, and of the FFN


def test_devices_share_keys_by_heads_and_a_state_by_its_own() -> None:
    read = model("falcon_h1-default")
    (layer, number), *_ = read.kinds
    (keys, by_heads), (state, by_state) = layer_parts(read, layer, 1000.0, 16)
    assert (by_heads, by_state) == (8, 16)  # 8 KV heads on 16 devices: two have the same
    assert number * (keys + state) == kv_bytes(read, 1000.0)
    assert 8 < cache_ways(read, 16) < 16


def test_a_state_of_fixed_size_does_not_grow() -> None:
    hybrid = model("Qwen3.5-35B-A3B")
    token, state = kv_bytes_per_token(hybrid), state_bytes(hybrid)
    assert [kv_bytes(hybrid, n) for n in (1.0, 1000.0)] == [state + token, state + 1000 * token]


def test_a_window_and_a_chunk_keep_so_many_tokens() -> None:
    half = 24 / 2 * 2 * 8 * 64 * 2
    assert kv_bytes(model("gpt-oss-20b"), 1000.0) == half * (1000 + 128)
    scout, each = model("Llama-4-Scout-17B-16E-Instruct"), 2 * 8 * 128 * 2
    assert kv_bytes(scout, 100_000.0) == each * (12 * 100_000 + 36 * 8192)


def flops(of: Model, name: str, **work: Any) -> Quantity:
    batch = decode(1, work["context"]) if "context" in work else prefill(1, work["length"])
    operators = operator_graph(of, batch).operators()
    return sum((operator.flops * repeat for operator, repeat in operators if name in operator.name), start=0.0)


def test_sparse_attention_sees_the_keys_that_its_indexer_ranks_first() -> None:
    """2,048 of 100,001 keys, in 61 layers of 128 heads; 64 heads of 128 score all of them."""
    sparse = model("DeepSeek-V3.2")
    scored = flops(sparse, "indexer_scores", context=100_000)
    assert scored == 61 * 2 * 64 * 128 * 100_001
    assert flops(sparse, "attention.scores.decode", context=100_000) == 61 * 2 * 128 * (512 + 64) * 2048
    assert flops(sparse, "attention.scores.decode", context=1000) == 61 * 2 * 128 * (512 + 64) * 1001


def test_a_scan_costs_the_same_at_any_context() -> None:
    """Gated delta net: 7 FLOPs a number of the state and token, in 30 layers."""
    hybrid = model("Qwen3.5-35B-A3B")
    assert flops(hybrid, "linear.scan", context=10) == flops(hybrid, "linear.scan", context=100_000)
    assert flops(hybrid, "linear.scan", context=10) == 30 * 7 * 32 * 128 * 128
    mamba = model("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16")
    assert flops(mamba, "space.scan", context=10) == 23 * 5 * 64 * 64 * 128
    assert flops(mamba, "space.scan", length=2000) == pytest.approx(2 * flops(mamba, "space.scan", length=1000))


def test_a_prompt_in_chunks_sees_its_own_chunk() -> None:
    """Two chunks and a half of C tokens: `2.5` triangles of them, but for the last half."""
    scout = model("Llama-4-Scout-17B-16E-Instruct")
    chunk, heads, width = 8192, 40, 128
    pairs = 2 * chunk * (chunk + 1) / 2 + (chunk / 2) * (chunk / 2 + 1) / 2
    length = int(2.5 * chunk)
    whole = length * (length + 1) / 2
    assert flops(scout, "attention.scores", length=length) == 2 * heads * width * (36 * pairs + 12 * whole)


def test_a_pattern_names_parts_that_are_there() -> None:
    with pytest.raises(ConfigError, match="KV heads that do not divide"):
        from_huggingface(SHAPES["gpt-oss-20b"] | {"num_key_value_heads": 7}, "m")
    with pytest.raises(ConfigError, match="layer list"):
        from_huggingface(SHAPES["gpt-oss-20b"] | {"layer_types": ["full_attention"] * 3}, "m")
    with pytest.raises(ConfigError, match="layers of type 'ring'"):
        from_huggingface(SHAPES["gpt-oss-20b"] | {"layer_types": ["ring"] * 24}, "m")
