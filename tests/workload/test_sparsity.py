"""Sparse weights: the matrices of the decoder layers shrink, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from simulator.workload import Model, Operator, operator_graph, parameters, prefill, training_graph

Build = Callable[..., Model]
BATCH = prefill(2, 24)
BIASED = {
    "attention": {"qkv_bias": True, "output_bias": True},
    "ffn": {"matrices": 2, "activation": "gelu", "bias": True},
    "norm": {"kind": "layer", "bias": True},
}


def operators(model: Model) -> dict[str, Operator]:
    blocks = operator_graph(model, BATCH).blocks
    return {f"{block.name}.{operator.name}": operator for block in blocks for operator in block.operators}


def test_products_of_the_layers_shrink_with_the_density_and_all_else_stays(small: Build) -> None:
    dense, sparse = operators(small()), operators(small(weight_density=0.125))
    for name, operator in dense.items():
        if operator.kind == "gemm" and name.startswith("dense."):
            assert sparse[name].flops == operator.flops / 8
            assert sparse[name].bytes == operator.bytes | {"weight": operator.bytes["weight"] / 8}
        else:
            assert sparse[name].flops == operator.flops
            assert sparse[name].bytes == operator.bytes


def test_biases_are_dense(small: Build) -> None:
    dense, sparse = (operators(small(**BIASED, weight_density=d))["dense.ffn.up_proj"] for d in (1.0, 0.5))
    bias, rows = 96, 48
    assert dense.bytes["weight"] - sparse.bytes["weight"] == (dense.bytes["weight"] - 2 * bias) / 2
    assert dense.flops - sparse.flops == (dense.flops - rows * bias) / 2


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([1 / 16, 1 / 8, 1 / 4, 1 / 2]), st.sampled_from(["none", "layer"]))
def test_parameters_and_training_follow_the_elements_that_are_not_zero(small: Build, density: float, mode: str) -> None:
    dense, sparse = small(), small(weight_density=density)
    counts, fewer = parameters(dense), parameters(sparse)
    assert (fewer.attention, fewer.ffn) == (counts.attention * density, counts.ffn * density)
    assert (fewer.embedding, fewer.lm_head, fewer.norm) == (counts.embedding, counts.lm_head, counts.norm)
    read = [operator_graph(model, BATCH).totals().bytes["weight"] for model in (dense, sparse)]
    assert read[0] - read[1] == 2 * (counts.total - fewer.total)
    step = training_graph(sparse, BATCH, recompute=mode)
    gradients = sum(
        n * o.bytes["state_write"] for o, n in step.operators() if o.name.endswith("wgrad") and o.kind != "embedding"
    )
    assert gradients == 2 * (fewer.total - fewer.embedding)


def test_sparse_gpt_is_the_shape_of_gpt_3_13b_with_an_eighth_of_its_matrices(shipped: Callable[[str], Model]) -> None:
    """13.0 billion is what arXiv 2005.14165, Table 2.1, prints, for a width of 5,140; ours is 5,120."""
    sparse = shipped("sparse-gpt-13b")
    dense = sparse.model_copy(update={"weight_density": 1.0})
    assert parameters(dense).total == pytest.approx(13.0e9, rel=0.015)
    matrices = sparse.layers * 12 * sparse.hidden**2
    assert parameters(dense).total - parameters(sparse).total == matrices * 7 / 8


@pytest.mark.parametrize("density", [0.0, -0.5, 1.5, True, float("nan")])
def test_a_density_is_a_part_of_one(small: Build, density: float) -> None:
    with pytest.raises(ValidationError, match="weight_density"):
        small(weight_density=density)
