"""FFNs and mixtures of experts: distinct experts are read, chosen ones computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from simulator.workload import Batch, Model, Operator, Routing, decode, operator_graph
from simulator.workload.routing.distinct import counted, popularity

Shipped = Callable[[str], Model]


def operators(model: Model, batch: Batch, routing: Routing | None = None) -> dict[str, Operator]:
    return {operator.name: operator for operator in operator_graph(model, batch, routing).blocks[1].operators}


def test_matrices_are_two_or_three(small: Any) -> None:
    two, three = (operators(small(ffn={"matrices": n}), decode(1, 5)) for n in (2, 3))
    assert {*three} - {*two} == {"ffn.gate_proj", "ffn.multiply"}
    weights = [
        sum(o.bytes["weight"] for name, o in layer.items() if name.startswith("ffn.") and o.kind == "gemm")
        for layer in (two, three)
    ]
    assert weights[1] == 1.5 * weights[0]


def test_experts_are_read_by_distinct_and_computed_by_chosen(shipped: Shipped) -> None:
    """Mixtral at batch 2: 2 tokens touch 8 (1 - (1 - 1/4)^2) = 3.5 experts of 8 on average, and compute 4."""
    layer = operators(shipped("mixtral-8x7b"), decode(2, 100))
    for name in ("gate_proj", "up_proj", "down_proj"):
        operator = layer[f"moe.experts.{name}"]
        assert operator.bytes["expert"] == pytest.approx(3.5 * 4096 * 14336 * 2, rel=1e-12)
        assert operator.flops == 2 * 2 * 2 * 4096 * 14336
        assert operator.split == ("rows" if name == "down_proj" else "columns")


def test_glam_leaves_a_third_of_its_experts_idle_at_batch_32(shipped: Shipped) -> None:
    """64 choices over 64 experts: about 1/e of them get none (Duplex facts, section 7)."""
    layer = operators(shipped("glam-143b"), decode(32, 100))
    read = layer["0.moe.experts.up_proj"].bytes["expert"] / (4096 * 16384 * 2)
    assert read == pytest.approx(64 * (1 - np.exp(-1)), rel=0.01)
    assert "0.moe.experts.gate_proj" not in layer
    assert "1.ffn.up_proj" in layer


def test_routing_sets_the_experts_read_and_nothing_else(shipped: Shipped) -> None:
    model, batch = shipped("mixtral-8x7b"), decode(64, 100)
    even = operator_graph(model, batch).totals()
    hot = operator_graph(model, batch, counted([64, 64, 0, 0, 0, 0, 0, 0])).totals()
    skewed = operator_graph(model, batch, popularity([0.98, 0.9, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02])).totals()
    expert = 3 * 4096 * 14336 * 2
    assert hot.bytes["expert"] == 32 * 2 * expert
    assert hot.bytes["expert"] < skewed.bytes["expert"] < even.bytes["expert"] <= 32 * 8 * expert
    assert {k: v for k, v in hot.bytes.items() if k != "expert"} == {
        k: v for k, v in even.bytes.items() if k != "expert"
    }
    assert hot.flops == even.flops


def test_recorded_counts_broadcast_over_steps(shipped: Shipped) -> None:
    steps = np.array([[4, 4, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1]])
    layer = operators(shipped("mixtral-8x7b"), decode(4, np.array([100, 101])), counted(steps))
    np.testing.assert_array_equal(layer["moe.experts.up_proj"].bytes["expert"] / (4096 * 14336 * 2), [2, 8])


def test_shared_experts_see_every_token(shipped: Shipped) -> None:
    layer = operators(shipped("qwen2-57b-a14b"), decode(3, 100))
    assert layer["moe.shared.up_proj"].flops == 2 * 3 * 3584 * 20480
    assert layer["moe.shared.up_proj"].bytes["weight"] == 3584 * 20480 * 2
    assert layer["moe.shared.gate"].bytes["weight"] == 3584 * 2
    assert layer["moe.add"].all_reduce and not layer["moe.combine"].all_reduce


def test_the_router_sees_every_expert(shipped: Shipped) -> None:
    model = shipped("deepseek-v3")
    layer = {o.name: o for o in operator_graph(model, decode(2, 10)).blocks[2].operators}
    assert layer["moe.router"].flops == 2 * (2 * 7168 * 256 + 256)
    assert layer["moe.dispatch"].bytes["output"] == 2 * 8 * 7168 * 2
    assert layer["moe.combine"].bytes["output"] == 2 * 7168 * 2
