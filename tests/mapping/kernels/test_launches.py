from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.kernels.kernels import kernels_of
from simulator.mapping.kernels.launches import launches, launches_of
from simulator.mapping.lowering import compiled
from simulator.mapping.target import target
from simulator.workload import decode, load_model, operator_graph
from simulator.workload.fft import monarch

GRAPH = operator_graph(load_model("llama-2-7b"), decode(1, 64))


def test_every_operator_is_a_call_where_nothing_is_fused() -> None:
    gpu = target(load_system("dgx-a100", ["devices.gpu.engines.gpu.fusion=unfused"]).with_devices(1))
    of = launches(gpu, GRAPH)
    assert of.calls == sum(block.repeat * len(block.graph) for block in GRAPH.blocks)
    assert of.largest == 1
    assert of.flops == pytest.approx(float(GRAPH.totals().flops), rel=1e-12)


def test_a_compiled_target_has_the_launches_of_one_that_is_not() -> None:
    rdu = target(load_system("sn40l-node"))
    assert launches(compiled(rdu, lambda: GRAPH.blocks), GRAPH) == launches(rdu, GRAPH)


def test_given_kernels_do_their_work_once_a_repeat() -> None:
    (block,) = monarch(count_scale=True).blocks
    groups = [["gemm0", "scale"], ["transpose"], ["gemm1"]]
    of = launches_of(monarch(count_scale=True), groups)
    some = kernels_of(block, groups)
    assert (of.calls, of.largest) == (3, 2)
    assert of.flops == sum(kernel.flops for kernel in some)
    assert of.bytes == sum(kernel.traffic for kernel in some)
    thrice = launches_of(replace(monarch(count_scale=True), blocks=(replace(block, repeat=3),)), groups)
    assert (thrice.calls, thrice.flops, thrice.bytes) == (9, 3 * of.flops, 3 * of.bytes)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([["gemm0", "scale", "transpose"]], "operator 'gemm1': found in 0 kernels"),
        ([["gemm0", "scale", "transpose", "gemm1"], ["scale"]], "operator 'scale': found in 2 kernels"),
        ([["gemm0", "scale", "transpose", "gemm2"]], "no such operator: found 'gemm2'.*did you mean 'gemm"),
    ],
)
def test_each_operator_is_in_one_kernel(groups: list[list[str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        launches_of(monarch(count_scale=True), groups)


def test_a_graph_of_several_blocks_has_no_given_kernels() -> None:
    with pytest.raises(ConfigError, match="a graph of 3 blocks, expected one of one block"):
        launches_of(GRAPH, [["embedding"]])
