from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simulator
from simulator.hardware import load_system
from simulator.registry import names
from simulator.scenario.cases import Columns, with_values
from simulator.scenario.evaluator import evaluated
from simulator.scenario.evaluators.batch import FULL, BatchEvaluator
from simulator.scenario.form import Scenario
from simulator.study.space.axis import column

H100 = {"hardware": "dgx-h100", "model": "llama-3.1-8b", "mapping.devices": 2, "workload.input": 1024}
HBM = "hardware.devices.gpu.tiers.hbm.bandwidth"


TEXTS = {metric.name for metric in BatchEvaluator.metrics if metric.is_text} | {"error"}


def passes(base: dict[str, Any]) -> Callable[[Columns], dict[str, Any]]:
    """Evaluates cases of a batch: of a decode step unless the base says another phase."""
    values = {path: value for path, value in {"workload.phase": "decode", **base}.items() if value is not None}
    return partial(evaluated, with_values(Scenario(), values))


def columns(**values: Any) -> Columns:
    return {path: np.array(each, dtype=object if isinstance(each[0], str) else None) for path, each in values.items()}


def same_as_one_at_a_time(evaluate: Callable[[Columns], dict[str, Any]], points: Columns) -> Columns:
    together = evaluate(points)
    for row in range(len(next(iter(points.values())))):
        alone = evaluate({path: values[row : row + 1] for path, values in points.items()})
        assert alone.keys() == together.keys()
        for name, values in together.items():
            if name not in TEXTS:
                assert values[row] == pytest.approx(alone[name][0], rel=1e-12, nan_ok=True), name
            else:
                assert values[row] == alone[name][0], name
    return together


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.floats(1e12, 8e12), st.floats(0, 2e-5), st.integers(1, 300)), min_size=2, max_size=6))
@pytest.mark.parametrize("phase", ["decode", "prefill", "request"])
def test_a_vectorised_sweep_is_its_points_one_at_a_time(phase: str, drawn: list[tuple[float, float, int]]) -> None:
    bandwidth, latency, batch = zip(*drawn, strict=True)
    points = columns(**{HBM: bandwidth, "hardware.links.gpu<->gpu.latency": latency, "workload.batch": batch})
    same_as_one_at_a_time(passes({**H100, "workload.phase": phase}), points)


@pytest.mark.parametrize(
    ("hardware", "model", "varied"),
    [
        ("dgx-a100", "mixtral-8x7b", "hardware.devices.gpu.engines.gpu.peak.bf16"),
        ("sn40l-node", "llama-3.1-8b", "hardware.devices.socket.tiers.hbm.bandwidth"),
        ("duplex-node", "mixtral-8x7b", "hardware.devices.xpu.engines.xpu.launch_overhead"),
        ("m1-max", "phi-2", "hardware.devices.soc.tiers.dram.bandwidth"),
    ],
)
def test_of_every_kind_of_engine(hardware: str, model: str, varied: str) -> None:
    start = {"hardware": hardware, "model": model, "workload.input": 256, "mapping.dtype": "fp16"}
    values = {"bandwidth": [1e11, 2e12], "bf16": [1e14, 4e14], "launch_overhead": [0.0, 5e-6]}[
        varied.rpartition(".")[2]
    ]
    found = same_as_one_at_a_time(passes(start), columns(**{varied: values, "workload.batch": [1, 4]}))
    assert set(found["error"]) == {""}


@pytest.mark.parametrize("fusion", ["unfused", "conventional"])
@pytest.mark.parametrize("dispatch", [None, *names("dispatch")])
def test_for_every_policy_and_fusion(dispatch: str | None, fusion: str) -> None:
    start = {"hardware": "duplex-node", "model": "mixtral-8x7b", "mapping.dispatch": dispatch, "mapping.fusion": fusion}
    points = columns(
        **{"hardware.devices.xpu.engines.xpu.launch_overhead": [0.0, 2e-6, 9e-6], "workload.batch": [1, 64, 16]}
    )
    found = same_as_one_at_a_time(passes(start), points)
    assert set(found["error"]) == {""}


GPU, DUPLEX = "dgx-h100", "duplex-node"
MIXED: dict[str, st.SearchStrategy[Any]] = {
    "hardware": st.sampled_from([GPU, DUPLEX]),
    "model": st.sampled_from(["llama-3.1-8b", "mixtral-8x7b", "lama-3.1-8b"]),
    "mapping.dtype": st.sampled_from([None, "bf16", "fp8"]),
    "mapping.devices": st.sampled_from([1, 2, 4, 9]),
    "mapping.fusion": st.sampled_from(["unfused", "conventional"]),
    "mapping.dispatch": st.sampled_from([None, "static_by_layer", "oracle", "nobody"]),
    "workload.batch": st.sampled_from([0, 1, 16, 5000]),
    "workload.input": st.sampled_from([128, 4096, 200_000]),
    HBM: st.sampled_from([0.0, 1e12, 3.35e12]),
    "hardware.devices.xpu.engines.xpu.launch_overhead": st.sampled_from([0.0, 5e-6]),
}
"""What points say, much of which some of them cannot have."""


@settings(max_examples=10, deadline=None)
@given(st.lists(st.fixed_dictionaries(MIXED), min_size=2, max_size=8), st.sampled_from(["decode", "request"]))
def test_points_of_any_kind_together_are_each_of_them_alone(rows: list[dict[str, Any]], phase: str) -> None:
    for row in rows:
        row["hardware.devices.xpu.engines.xpu.launch_overhead" if row["hardware"] == GPU else HBM] = None
    points = {path: column([row[path] for row in rows]) for path in MIXED}
    same_as_one_at_a_time(passes({"workload.phase": phase, "workload.output": 32, "costs": "silicon"}), points)


@pytest.mark.parametrize(
    ("hardware", "model", "options", "fusion"),
    [
        ("dgx-a100", "mixtral-8x7b", {"devices": 4, "dtype": "fp16"}, None),
        ("dgx-h100", "llama-3.1-8b", {"devices": 1, "dtype": "fp8"}, "gpu.engines.gpu.fusion=unfused"),
        ("sn40l-node", "llama-2-7b", {}, "socket.engines.rdu.fabric.fusion=conventional"),
        ("m1-max", "phi-2", {}, None),
    ],
)
def test_one_design_is_what_an_estimate_says(
    hardware: str, model: str, options: dict[str, Any], fusion: str | None
) -> None:
    one = simulator.estimate(hardware, model, 2, 256, 16, **options, overrides=[f"devices.{fusion}"] if fusion else [])
    said: dict[str, Any] = {f"mapping.{key}": value for key, value in options.items()}
    said["mapping.fusion"] = fusion and fusion.partition("=")[2]
    start = {"hardware": hardware, "model": model, "workload.phase": "request", "workload.input": 256}
    found = passes({**start, **said, "workload.output": 16})(columns(**{"workload.batch": [2]}))
    assert found["error"].tolist() == [""]
    assert found["ttft_s"][0] == pytest.approx(one.ttft_s, rel=1e-12)
    assert found["tbt_s"][0] == pytest.approx(one.tbt_s, rel=1e-12)
    assert found["e2e_s"][0] == pytest.approx(one.e2e_s, rel=1e-9)
    energy = np.nan if one.energy_j is None else one.energy_j / (2 * 16)
    assert found["energy_per_token_j"][0] == pytest.approx(energy, rel=1e-9, nan_ok=True)


def test_what_is_set_of_all_machines_is_known_where_points_are_grouped() -> None:
    """Sixteen devices are there by an override alone."""
    evaluate = passes({**H100, "mapping.devices": 16, "hardware.devices.gpu.count": 16})
    found = same_as_one_at_a_time(evaluate, columns(**{HBM: [1e12, 2e12]}))
    assert found["error"].tolist() == ["", ""]
    assert found["tbt_s"][1] < found["tbt_s"][0]


def test_a_count_may_be_left_out_by_some() -> None:
    """Where a column has no number for some points, its counts are doubles."""
    mixtral = columns(**{"model": ["mixtral-8x7b"] * 2 + ["llama-3.1-8b"], "model.moe.top_k": [1.0, 2.0, np.nan]})
    found = same_as_one_at_a_time(passes({"hardware": "dgx-h100"}), mixtral)
    assert set(found["error"]) == {""}
    assert found["tbt_s"][0] < found["tbt_s"][1]


def test_what_a_machine_lacks_is_told_by_the_path_of_its_axis() -> None:
    found = passes({"hardware": "m1-max", "model": "phi-2"})(columns(**{HBM: [1e12]}))
    assert found["error"][0] == "hardware.devices.gpu: unknown key: expected 'soc'"


def test_it_agrees_with_an_estimate() -> None:
    asked = {"workload.phase": "request", "workload.batch": 4, "workload.output": 64}
    found = passes({**H100, **asked})(columns(**{HBM: [3.35e12, 2e12]}))
    for row, bandwidth in enumerate([3.35e12, 2e12]):
        one = simulator.estimate("dgx-h100", "llama-3.1-8b", 4, 1024, 64, devices=2,
                       overrides=[f"devices.gpu.tiers.hbm.bandwidth={bandwidth} B/s"])  # fmt: skip
        assert found["ttft_s"][row] == pytest.approx(one.ttft_s, rel=1e-12)
        assert found["tbt_s"][row] == pytest.approx(one.tbt_s, rel=1e-12)
        assert found["e2e_s"][row] == pytest.approx(one.e2e_s, rel=1e-9)
        assert found["tokens_per_s"][row] == pytest.approx(one.tokens_per_s, rel=1e-9)
        assert found["energy_per_token_j"][row] == pytest.approx((one.energy_j or 0.0) / 256, rel=1e-9)
        assert found["bound_by"][row] == one.bound_by["tbt"]
        assert found["needed_bytes"][row] == pytest.approx(one.footprint.total.used)


def test_what_does_not_fit_is_a_row_with_its_bytes() -> None:
    found = passes(H100)(columns(**{"workload.batch": [1, 4000]}))
    assert found["error"].tolist() == ["", FULL]
    assert found["needed_bytes"][1] > found["capacity_bytes"][1]
    assert np.isnan(found["tbt_s"][1])
    assert found["tbt_s"][0] > 0


def test_a_point_that_fails_is_a_row_with_its_error() -> None:
    found = passes(H100)(columns(model=["llama-3.1-8b", "lama-3.1-8b"]))
    assert found["error"][0] == ""
    assert "did you mean 'llama-3.1-8b'" in found["error"][1]
    assert np.isnan(found["tbt_s"][1])
    found = passes(H100)(columns(**{"workload.phase": ["decode", "decoding"], "workload.batch": [1, 1]}))
    assert [bool(error) for error in found["error"]] == [False, True]
    found = passes(H100)(columns(**{"workload.batch": [1, 0, 2, 3, -1], HBM: [1e12, 1e12, 1e12, 0.0, 1e12]}))
    assert [bool(error) for error in found["error"]] == [False, True, False, True, True], "of one group, by themselves"
    assert "1 or more" in found["error"][1]
    found = passes(H100)(columns(**{"hardware.devices.gpu.count": [1, 0]}))
    assert [bool(error) for error in found["error"]] == [True, True], "two devices are asked for"


def test_structural_axes_and_overrides() -> None:
    start = {**H100, "mapping.devices": None}
    found = passes(start)(columns(**{"hardware.devices.gpu.count": [1, 2, 8], "model.layers": [32, 32, 16]}))
    assert np.all(np.diff(found["tokens_per_s"]) > 0)
    less = passes({**start, "hardware.devices.gpu.tiers.hbm.bandwidth": "1 TB/s"})(columns(**{"workload.batch": [1]}))
    assert less["tbt_s"][0] > found["tbt_s"][2]


def test_a_machine_without_figures_of_energy_gives_none() -> None:
    tier = "devices.gpu.tiers.hbm.bandwidth"
    assert load_system("dgx-h100").machine.static_power is not None
    found = passes({**H100, f"hardware.{tier}": "2 TB/s"})(columns(**{"workload.batch": [1]}))
    assert found["energy_per_token_j"][0] > 0
    assert found["power_w"][0] == pytest.approx(found["energy_per_token_j"][0] / found["tbt_s"][0])


def test_cached_experts_have_a_hit_rate_and_other_batches_none() -> None:
    base = {"hardware": "rtx4090-gen4", "model": "mixtral-8x7b", "mapping.dtype": "q4_k_m", "workload.output": 4}
    rule = {"of": "experts", "in": "host.dram"}
    rates = [
        passes({**base, "mapping.placement": [rule | more]})({})["expert_hit_rate"][0]
        for more in ({"use": "read"}, {"cache": {"experts": 0}}, {"cache": {"experts": 2}}, {"cache": {"experts": 3}})
    ]
    assert np.isnan(rates[0])
    assert rates[1] == 0 < rates[2] < rates[3] < 1
