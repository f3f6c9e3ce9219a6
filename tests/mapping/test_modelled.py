"""Passes whose kernels are timed by models: the laws that hold whatever the constants are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import closed_form
from simulator.core.events import events
from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.compose import check_requests
from simulator.mapping.deployment import Deployment, resolve
from simulator.mapping.form import MappingForm
from simulator.mapping.gpu.calibration import times
from simulator.mapping.gpu.modelled import kernel_time
from simulator.mapping.gpu.products import GEMM
from simulator.mapping.lowering import block_kernels
from simulator.scenario.evaluator import evaluated
from simulator.scenario.form import Scenario
from simulator.workload import decode, load_model, operator_graph, prefill

WINDOWED = {"heads": 32, "kv_heads": 8, "head_dim": 128, "window": 64}
GRID = {"hardware": "h100-sxm", "model": "llama-3.1-8b", "workload": {"kind": "batch", "phase": "decode"}}


def served(model: str = "llama-3.1-8b", hardware: str = "h100-sxm", **keys: Any) -> Deployment:
    return resolve(MappingForm(**{"kernels": "modelled", **keys}), load_system(hardware), load_model(model))


def test_a_product_of_a_pass_takes_what_its_shape_does_alone() -> None:
    deployed = served(devices=2)
    target, model = deployed.engine, deployed.model
    layer = operator_graph(model, decode(16, 1000)).blocks[1]
    names = [kernel.name for kernel in block_kernels(target, layer)]
    plan = deployed.lowering.plan(model, decode(16, 1000))
    activity = next(each for each, _ in plan.activities() if each.name == "ffn.up_proj+gate_proj")
    assert activity.name in names
    assert model.ffn is not None
    shape = {"m": 16, "n": 2 * model.ffn.intermediate / 2, "k": model.hidden, "dtype": "bf16", "warm": 0.0}
    assert target.models is not None
    alone = times(GEMM, shape, target.chip, {"bf16": target.models.constants(GEMM, "bf16")})
    assert float(activity.latency) + activity.alone == pytest.approx(float(alone), rel=1e-12)


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 512), st.integers(1, 8000), st.sampled_from([1, 2, 8]), st.booleans())
def test_models_are_never_faster_than_the_machine_alone(batch: int, context: int, devices: int, prompts: bool) -> None:
    form = {"devices": devices, "runtime": "gpu-libraries"}
    batches = prefill(1, context) if prompts else decode(batch, context)
    slow, fast = served(**form), served(**{**form, "kernels": "roofline", "runtime": "ideal"})
    modelled, least = (each.lowering.plan(each.model, batches) for each in (slow, fast))
    assert closed_form(modelled).time >= closed_form(least).time
    assert closed_form(modelled).time == pytest.approx(events(modelled).time, rel=1e-9)
    real = {r.name: units for r, units in least.demand().items()}
    for resource, units in modelled.demand().items():  # models change times, and nothing that is counted
        if resource.name in real:
            assert units == pytest.approx(real[resource.name], rel=1e-9)


def test_a_sweep_over_rates_equals_its_points_one_at_a_time() -> None:
    rng = np.random.default_rng(0)
    columns = {
        "hardware.devices.gpu.tiers.hbm.bandwidth": rng.uniform(1e12, 8e12, 6),
        "hardware.devices.gpu.engines.gpu.peak.bf16": rng.uniform(2e14, 3e15, 6),
        "workload.batch": np.array([1.0, 3, 8, 64, 200, 512]),
    }
    base = Scenario.model_validate(GRID | {"mapping": {"kernels": "modelled", "devices": 1}})
    together = evaluated(base, columns)["tbt_s"]
    alone = [evaluated(base, {path: each[i : i + 1] for path, each in columns.items()})["tbt_s"][0] for i in range(6)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


def test_a_request_takes_its_prefill_and_each_step_at_its_own_context() -> None:
    deployed = served(devices=1)
    passes = deployed.passes(4, 100, 30)
    steps = [closed_form(passes.step(float(context))).time for context in range(100, 129)]
    base = Scenario.model_validate(
        GRID
        | {
            "mapping": {"kernels": "modelled", "devices": 1},
            "workload": {"kind": "batch", "batch": 4, "input": 100, "output": 30},
        }
    )
    whole = evaluated(base, {"workload.output": np.array([30.0, 2.0])})
    assert whole["e2e_s"][0] == pytest.approx(closed_form(passes.first).time + sum(steps), rel=1e-9)
    assert whole["e2e_s"][1] == pytest.approx(closed_form(passes.first).time + steps[0], rel=1e-9)


def test_an_estimate_tells_how_far_it_may_be_off() -> None:
    metrics = evaluated(Scenario.model_validate(GRID | {"mapping": {"kernels": "modelled", "devices": 1}}), {})
    assert 0 < metrics["expected_error"][0] < 0.5
    plain = evaluated(Scenario.model_validate(GRID | {"mapping": {"devices": 1}}), {})
    assert np.isnan(plain["expected_error"][0])


@pytest.mark.parametrize("model", ["mixtral-8x7b", "llama-3.1-8b"])
def test_more_bandwidth_never_makes_a_step_slower(model: str) -> None:
    rates = np.linspace(1e12, 10e12, 20)
    base = Scenario.model_validate(GRID | {"model": model, "mapping": {"kernels": "modelled", "devices": 4}})
    for batch in (1, 300):
        case = base.model_copy(update={"workload": base.workload.model_copy(update={"batch": batch})})
        time = evaluated(case, {"hardware.devices.gpu.tiers.hbm.bandwidth": rates})["tbt_s"]
        assert np.all(np.diff(time) <= 1e-15)


def test_a_checkpoint_with_scales_saves_the_kernel_that_looks_for_them() -> None:
    step = decode(8, 1000)
    ours, theirs = (served("llama-3-70b", runtime=name, dtype="fp8", tensor=8) for name in ("trt-llm", "gpu-libraries"))
    static, dynamic = (closed_form(each.lowering.plan(each.model, step)).time for each in (ours, theirs))
    assert static < dynamic


@pytest.mark.parametrize(
    ("keys", "where", "path"),
    [
        ({"runtime": "ideal"}, "h100-sxm", "kernels"),
        ({"runtime": "llama.cpp"}, "h100-sxm", "kernels"),
        ({"runtime": "gpu-libraries"}, "m1-max", "kernels"),
        ({"calibration": "h100-sxm.vllm", "kernels": "roofline"}, "h100-sxm", "calibration"),
        ({"spill": "host"}, "h100-sxm", "kernels"),
        ({"fusion": "unfused"}, "h100-sxm", "kernels"),
    ],
)
def test_what_does_not_go_with_models_is_refused_by_its_key(keys: dict[str, Any], where: str, path: str) -> None:
    with pytest.raises(ConfigError) as refused:
        served(hardware=where, **keys)
    assert refused.value.path == (path,)


def test_latent_attention_has_kernels_of_its_own() -> None:
    deployed = served("deepseek-v3", hardware="h200-sxm", dtype="fp8-block")
    classes = {r.name.partition(" ")[2] for r in deployed.lowering.plan(deployed.model, decode(64, 4000)).demand()}
    assert "(mla_decode)" in classes
    assert "(moe)" in classes


@pytest.mark.parametrize("pattern", [["attention moe", "windowed moe"], None])
def test_each_layer_of_a_block_has_experts_of_its_own(tmp_path: Path, pattern: list[str] | None) -> None:
    """The experts of one layer read what another has made, so that they are no one kernel; nor do streams join them."""
    layers = {"pattern": pattern, "attentions": {"windowed": WINDOWED}} if pattern else {"streams": 4}
    file = tmp_path / "layers.yaml"
    file.write_text(yaml.safe_dump({"extends": "mixtral-8x7b", "name": "layers", **layers}))
    deployed = served(str(file), devices=8)
    step = decode(8, 1000)
    blocks = operator_graph(deployed.model, step).blocks
    kernels = [kernel for block in blocks for kernel in block_kernels(deployed.engine, block) if kernel.groups]
    assert len(kernels) == (2 if pattern else 1)
    assert all([o.kind for o in kernel.operators].count("combine") == 1 for kernel in kernels)
    assert closed_form(deployed.lowering.plan(deployed.model, step)).time > 0


def test_a_kernel_without_a_model_is_refused_with_what_to_do() -> None:
    deployed = served()
    target, block = deployed.engine, operator_graph(deployed.model, decode(1, 100)).blocks[1]
    assert target.models is not None
    known = block_kernels(target, block)[0]
    scan = replace(known, operators=tuple(replace(operator, kind="scan") for operator in known.operators))
    with pytest.raises(ConfigError, match=r"no model times a kernel of kind 'scan'.*cover gemm.*expected 'roofline'"):
        kernel_time(target.models, scan, target.chip)


def test_requests_to_experts_of_several_groups_are_refused_by_the_key() -> None:
    check_requests(served("mixtral-8x7b", experts="tensor"))
    with pytest.raises(ConfigError, match=r"experts: found 8 groups of devices with kernels 'modelled'"):
        check_requests(served("mixtral-8x7b", experts="whole"))
