"""Fourier transforms as products of matrices: the published intensities, and laws of any long convolution."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.mapping.kernels.kernels import Kernel, kernels, kernels_of
from simulator.workload import Block, OperatorGraph
from simulator.workload.fft import long_convolution, monarch

FUSED = [["gemm0", "scale", "transpose"], ["gemm1"]]
BF16 = 2.0


def intensity(made: Iterable[Kernel]) -> float:
    made = list(made)
    return float(sum(k.flops for k in made) / sum(k.traffic for k in made))


def only(graph: OperatorGraph) -> Block:
    (block,) = graph.blocks
    return block


# --- the example of arXiv 2405.07518, Fig. 3


@pytest.mark.parametrize(("count_scale", "expected"), [(False, (39.5, 102.6, 513.0)), (True, (34.2, 73.3, 171.0))])
def test_monarch_has_the_intensities_that_its_counting_gives(count_scale: bool, expected: tuple[float, ...]) -> None:
    """39.5 and 102.6 are Table I; its third, 410.4, no counting rule gives together with these."""
    block = only(monarch(count_scale=count_scale))
    found = [kernels(block, "unfused"), kernels_of(block, FUSED), kernels(block, "whole")]
    assert [intensity(made) for made in found] == [pytest.approx(value, rel=2e-3) for value in expected]


def test_the_scale_changes_bytes_and_no_flops() -> None:
    counted, left_out = (monarch(count_scale=count_scale).totals() for count_scale in (True, False))
    assert counted.flops == left_out.flops
    assert counted.bytes["weight"] - left_out.bytes["weight"] == 1024 * 1024 * BF16


def test_an_unfused_transpose_moves_its_tensor_and_computes_nothing() -> None:
    (transpose,) = (k for k in kernels(only(monarch(count_scale=True)), "unfused") if k.name == "transpose")
    assert transpose.flops == 0
    assert transpose.read == transpose.written == 1024 * 1024 * BF16


# --- long convolutions

SHAPES = st.tuples(
    st.integers(1, 4), st.integers(1, 4), st.lists(st.sampled_from([2, 4, 16, 32]), min_size=2, max_size=4)
)


@settings(max_examples=30, deadline=None)
@given(SHAPES)
def test_a_convolution_is_a_dag_whose_edges_are_what_its_operators_read(shape: tuple[int, int, list[int]]) -> None:
    block = only(long_convolution(*shape))
    assert nx.is_directed_acyclic_graph(block.graph)
    assert [name for name, degree in block.graph.out_degree() if degree == 0] == [block.exit]
    place = {name: i for i, name in enumerate(block.graph)}
    assert all(place[a] < place[b] for a, b in block.graph.edges)
    for operator in block.operators:
        arriving = sum(data["bytes"] for _, _, data in block.graph.in_edges(operator.name, data=True))
        assert operator.bytes["input"] == arriving + block.entries.get(operator.name, 0.0)


@settings(max_examples=30, deadline=None)
@given(SHAPES)
def test_in_one_kernel_each_tensor_at_the_edge_moves_once(shape: tuple[int, int, list[int]]) -> None:
    """The input, the result, and the constants: Fourier matrices, twiddle factors, and the kernel's transform."""
    batch, channels, factors = shape
    length = prod(factors)
    matrices = 2 * 2 * sum(n * n for n in factors)  # there and back, real and imaginary
    twiddles = 2 * 2 * sum(prod(factors[i:]) for i in range(len(factors) - 1))
    (whole,) = kernels(only(long_convolution(*shape)), "whole")
    assert whole.written == batch * channels * length * BF16
    assert whole.read == (batch * channels * length + 2 * channels * length + matrices + twiddles) * BF16


@settings(max_examples=30, deadline=None)
@given(SHAPES)
def test_flops_are_those_of_the_equation(shape: tuple[int, int, list[int]]) -> None:
    batch, channels, factors = shape
    levels = len(factors)
    each = 8 * factors[0] + 16 * sum(factors[1:]) + 16 * (levels - 1) + 7
    assert long_convolution(*shape).totals().flops == batch * channels * prod(factors) * each


@given(SHAPES)
@settings(max_examples=20, deadline=None)
def test_fusion_moves_fewer_bytes_for_the_same_flops(shape: tuple[int, int, list[int]]) -> None:
    block = only(long_convolution(*shape))
    modes = [kernels(block, mode) for mode in ("unfused", "conventional", "whole")]
    traffic = [sum(k.traffic for k in made) for made in modes]
    assert traffic[0] > traffic[1] > traffic[2]
    assert len({sum(k.flops for k in made) for made in modes}) == 1


def test_a_transform_of_more_and_smaller_factors_takes_fewer_flops_and_more_operators() -> None:
    coarse, fine = long_convolution(1, 1, (1024, 1024)), long_convolution(1, 1, (32, 32, 32, 32))
    assert fine.totals().flops < coarse.totals().flops
    assert len(only(fine).operators) > len(only(coarse).operators)


def test_the_operators_are_those_of_complex_arithmetic() -> None:
    """Two levels: 2 + 4 products there and 4 + 2 back, each with its sums; twiddles twice, and the kernel once."""
    kinds = [operator.kind for operator in only(long_convolution(1, 1, (4, 8))).operators]
    assert kinds.count("gemm") == 2 + 4 + 4 + 2
    assert kinds.count("multiply") == 3 * 4
    assert kinds.count("add") == 3 * 2 + 2 + 2 + 1
    assert kinds.count("transpose") == 2 * 2


@pytest.mark.parametrize("wrong", [{"factors": (32,)}, {"factors": (32, 1)}, {"batch": 0}, {"channels": 0}])
def test_a_shape_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        long_convolution(**({"batch": 1, "channels": 1} | wrong))  # type: ignore[arg-type]
