"""Kernels of a graph: laws of calls, bytes and times under any fusion, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.errors import ConfigError
from simulator.scenario.evaluate import evaluate

FABRIC = "devices.socket.engines.rdu.fabric"
PASS = {"kind": "pass", "phase": "decode", "tokens": 64}
GROUPS = [["gemm0", "scale", "transpose"], ["gemm1"]]


def metrics(graph: dict[str, Any], **keys: Any) -> dict[str, Any]:
    parts = {key: keys.pop(key) for key in ("hardware", "model", "mapping") if key in keys}
    return dict(evaluate({**parts, "workload": {"kind": "kernels", "graph": graph, **keys}}).metrics)


def on_rdu(**figures: Any) -> dict[str, Any]:
    named = {f"{FABRIC}.{key}": value for key, value in figures.items()}
    hardware = {"extends": "sn40l-node", **named} if named else "sn40l-node"
    return {"hardware": hardware, "model": "llama-2-7b"}


def test_fusion_keeps_the_work_and_saves_calls_bytes_and_time() -> None:
    unfused, fused = (metrics(PASS, **on_rdu(fusion=mode)) for mode in ("unfused", "streaming"))
    assert unfused["flops"] == pytest.approx(fused["flops"], rel=1e-12)
    for name in ("calls", "kernel_bytes", "main_memory_bytes", "time_s"):
        assert fused[name] < unfused[name], name
    assert fused["largest_kernel_operators"] > unfused["largest_kernel_operators"] == 1
    assert fused["op_per_byte"] > unfused["op_per_byte"]


def test_the_mapping_fuses_as_the_figure_of_the_machine_does() -> None:
    assert metrics(PASS, **on_rdu(), mapping={"fusion": "unfused"}) == metrics(PASS, **on_rdu(fusion="unfused"))


def test_starting_kernels_from_the_host_takes_time_and_changes_nothing_else() -> None:
    host, chip = (metrics(PASS, **on_rdu(orchestration=who)) for who in ("software", "hardware"))
    assert host.pop("time_s") > chip.pop("time_s")
    assert host == chip


def test_eager_has_more_calls_for_as_many_flops() -> None:
    whole, eager = (metrics(PASS, **on_rdu(fusion="unfused"), eager=each) for each in (False, True))
    assert eager["flops"] == pytest.approx(whole["flops"], rel=1e-12)
    assert eager["calls"] > whole["calls"]


def test_a_step_of_training_is_three_passes_and_more() -> None:
    gpu = {"hardware": "dgx-a100", "model": "llama-2-7b"}
    forward, training = (metrics({**PASS, "phase": phase}, **gpu) for phase in ("prefill", "train"))
    assert 2.9 < training["flops"] / forward["flops"] < 4
    again = metrics({**PASS, "phase": "train", "recompute": "layer"}, **gpu)
    assert again["flops"] > training["flops"]


def test_devices_share_the_work() -> None:
    of = {n: metrics(PASS, hardware="dgx-a100", model="llama-2-7b", mapping={"devices": n}) for n in (1, 8)}
    assert of[1]["main_memory_bytes"] > 6 * of[8]["main_memory_bytes"]
    assert of[1]["calls"] == of[8]["calls"]


def test_given_kernels_hand_on_what_they_keep_inside() -> None:
    apart = metrics({"kind": "monarch"}, groups=[[name] for group in GROUPS for name in group])
    some = metrics({"kind": "monarch"}, groups=GROUPS)
    whole = metrics({"kind": "monarch"}, groups=[[name for group in GROUPS for name in group]])
    assert apart["flops"] == some["flops"] == whole["flops"]
    assert apart["kernel_bytes"] > some["kernel_bytes"] > whole["kernel_bytes"]
    assert [each["calls"] for each in (apart, some, whole)] == [4, 2, 1]
    assert some["time_s"] is None and some["main_memory_bytes"] is None
    uncounted = metrics({"kind": "monarch", "count_scale": False}, groups=GROUPS)
    assert some["kernel_bytes"] - uncounted["kernel_bytes"] == 2 * 1024 * 1024


def test_a_graph_of_no_model_runs_on_a_machine() -> None:
    graph = {"kind": "long_convolution", "channels": 4, "factors": [16, 16]}
    one, two = (metrics({**graph, "batch": batch}, hardware="dgx-a100") for batch in (1, 2))
    assert two["flops"] == 2 * one["flops"]
    assert one["time_s"] < two["time_s"] < 2 * one["time_s"]


@pytest.mark.parametrize(
    ("graph", "keys", "message"),
    [
        (PASS, {"model": "llama-2-7b"}, "hardware: missing key"),
        (PASS, {"hardware": "dgx-a100"}, "model: missing key"),
        (PASS, {**on_rdu(), "groups": GROUPS}, r"workload\.groups: .*does not read it"),
        ({"kind": "pas"}, {}, r"graph\.kind.*did you mean 'pass'"),
        ({**PASS, "recompute": "layers"}, on_rdu(), r"graph\.recompute.*did you mean 'layer'"),
        ({"kind": "monarch"}, {}, r"workload\.groups"),
        ({"kind": "monarch"}, {"groups": [["gemm0", "scales"]]}, r"workload\.groups.*did you mean 'scale'"),
        ({"kind": "monarch"}, {"groups": [["gemm0"]]}, r"workload\.groups: operator 'scale': found in 0 kernels"),
        ({"kind": "monarch"}, {"groups": GROUPS, "model": "llama-2-7b"}, "model: .*does not read it"),
        ({"kind": "monarch"}, {"groups": GROUPS, "hardware": "dgx-a100"}, r"workload\.groups: .*does not read it"),
        ({"kind": "monarch"}, {"groups": GROUPS, "mapping": {"devices": 2}}, r"mapping\.devices: .*does not read it"),
        ({"kind": "monarch"}, {"hardware": "dgx-a100", "mapping": {"dtype": "fp8"}}, r"mapping\.dtype: .*not read it"),
        (PASS, {**on_rdu(), "mapping": {"pipeline": 2}}, r"mapping\.pipeline: .*does not read it"),
        (PASS, {**on_rdu(), "mapping": {"devices": 64}}, r"mapping\.devices: .*found 64, expected at most 8"),
    ],
)
def test_what_cannot_run_is_refused(graph: dict[str, Any], keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        metrics(graph, **keys)


def test_a_graph_is_needed() -> None:
    with pytest.raises(ConfigError, match=r"workload\.graph: missing key"):
        evaluate({"hardware": "dgx-a100", "workload": {"kind": "kernels"}})
