"""What a runtime makes of a machine, and that the machine alone is left as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import data
from simulator.config.path import checked
from simulator.core import closed_form
from simulator.core.events import events
from simulator.errors import ConfigError
from simulator.hardware import System, load_system
from simulator.mapping.deployment import Deployment, resolve
from simulator.mapping.form import RUNTIMES, MappingForm
from simulator.mapping.runtime.form import IDEAL, Software, load_runtime
from simulator.mapping.runtime.host_time import Host
from simulator.mapping.runtime.machine import under_runtime
from simulator.scenario.form import Scenario
from simulator.workload import load_model
from tests.hardware.test_system import figures

NAMES = data.names(RUNTIMES)
CHIP = """
devices:
  gpu:
    count: 2
    product: {product}
    family: {family}
    tiers: {{hbm: {{kind: hbm, capacity: 80 GB, bandwidth: 2 TB/s}}}}
    engines: {{gpu: {{kind: gpu, peak: {{bf16: 300 TFLOP/s}}, reads: {{hbm: {{}}}}}}}}
links:
  gpu<->gpu: {{bandwidth: 300 GB/s}}
"""
MINE = """
by_device:
  {name}:
    engines: {{gpu: {{launch: 4 us, compute: 0.5, memory: 0.25, memory_of: {{fp8: 0.125}}, reserve: 0.5}}}}
    collective: {{latency: 7 us, efficiency: 0.75}}
  any:
    engines: {{gpu: {{launch: 9 us, compute: 0.9}}}}
"""


def chip(tmp_path: Path, product: str = "one", family: str = "kin", *overrides: str) -> System:
    file = tmp_path / "chip.yaml"
    file.write_text(CHIP.format(product=product, family=family))
    return load_system(file, overrides)


def mine(tmp_path: Path, text: str, name: str = "mine") -> Software:
    file = tmp_path / f"{name}.yaml"
    file.write_text(text)
    return load_runtime(file)


def achieved(system: System) -> tuple[float, ...]:
    """Launch, and the fractions of compute, memory and links."""
    engine, link = system.engines["gpu.gpu"], system.links["gpu->gpu"]
    return engine.launch_overhead, engine.efficiency, engine.reads["hbm"].efficiency, link.efficiency


def served(runtime: str, hardware: str = "dgx-h100", **mapping: Any) -> Deployment:
    model = load_model("llama-3-8b", ["layers=4"])
    return resolve(MappingForm(runtime=runtime, **mapping), load_system(hardware), model)


def seconds(deployed: Deployment, batch: int = 4) -> tuple[float, float]:
    passes = deployed.passes(batch, 200, 5)
    return float(closed_form(passes.first).time), float(closed_form(passes.step(300.0)).time)


@pytest.mark.parametrize("name", NAMES)
def test_every_runtime_loads_and_each_of_its_figures_has_a_source(name: str) -> None:
    config = load_runtime(name).config
    for path in figures(config.data):
        source = config.source(*path)
        assert source is not None and source.text and source.role, f"{name}: {'.'.join(map(str, path))}"


@pytest.mark.parametrize("hardware", data.names("hwconfigs"))
def test_the_ideal_runtime_leaves_the_machine_alone(hardware: str) -> None:
    system = load_system(hardware)
    assert under_runtime(system, load_runtime(IDEAL)) is system


def test_the_closest_figure_holds_and_one_of_the_machine_before_all(tmp_path: Path) -> None:
    own = mine(tmp_path, MINE.format(name="one"), "product")
    kin = mine(tmp_path, MINE.format(name="kin"), "family")
    for software in (own, kin):
        system = under_runtime(chip(tmp_path), software)
        assert achieved(system) == (4e-6, 0.5, 0.25, 0.75)
        assert system.links["gpu->gpu"].latency == 7e-6
        assert system.tiers["gpu.hbm"].reserved == 40e9
        assert under_runtime(system, software) is system
    other = under_runtime(chip(tmp_path, "two", "other"), own)
    assert achieved(other) == (9e-6, 0.9, 1.0, 1.0)
    asked = "devices.gpu.engines.gpu.launch_overhead=1 us"
    assert achieved(under_runtime(chip(tmp_path, "one", "kin", asked), own)) == (1e-6, 0.5, 0.25, 0.75)


def test_a_format_may_have_kernels_of_its_own(tmp_path: Path) -> None:
    software = mine(tmp_path, MINE.format(name="one"))
    fractions = [achieved(under_runtime(chip(tmp_path), software, dtype))[2] for dtype in ("bf16", "fp8")]
    assert fractions == [0.25, 0.125]


def test_a_figure_of_a_runtime_is_shown_with_its_source() -> None:
    config = served("gpu-libraries").system.config
    source = config.source("devices", "gpu", "engines", "gpu", "efficiency")
    assert source is not None and source.role == "calibration"
    assert config.data["devices"]["gpu"]["engines"]["gpu"]["efficiency"] == 0.71


ALONE = served(IDEAL)


@settings(max_examples=25)
@given(*(st.floats(0, most) for most in (0.05, 1e-3, 1e-4, 0.05)), st.booleans(), st.booleans(), st.integers(1, 16))
def test_a_pass_takes_the_sum_of_host_and_devices_or_the_longer(
    step: float, layer: float, sequence: float, prompt: float, overlaps: bool, graph: bool, batch: int
) -> None:
    alone, driven = ALONE, replace(ALONE)
    host = Host(step, layer, sequence, prompt, overlaps, graph)
    driven.__dict__["host"] = host
    before = seconds(alone, batch)
    for bare, found, prompts in zip(before, seconds(driven, batch), (True, False), strict=True):
        took = step + prompts * prompt + (0.0 if graph and not prompts else 4 * layer) + batch * sequence
        assert found == pytest.approx(max(bare, took) if overlaps else bare + took, rel=1e-12)
    plan = driven.passes(batch, 200, 5).step(300.0)
    assert events(plan).time == pytest.approx(float(closed_form(plan).time), rel=1e-9)


def test_a_host_moves_no_bytes_and_the_devices_do_as_much() -> None:
    plans = [served(runtime).passes(4, 200, 5).step(300.0) for runtime in ("gpu-libraries", "vllm")]
    bare, driven = ({r.name: float(units) for r, units in plan.demand().items()} for plan in plans)
    program = driven.pop("program")
    assert bare == driven
    assert program == pytest.approx(1.098e-3 + 4 * 53.1e-6)


def test_each_stage_of_a_pipeline_has_a_host_of_its_own() -> None:
    one, two = served("vllm-2023", devices=4, data=4), served("vllm-2023", devices=4, pipeline=2, data=2)
    assert seconds(one, 8)[1] == pytest.approx(one.host.seconds(4, 2, False))  # it binds so small a model
    assert seconds(two, 8)[1] == pytest.approx(2 * two.host.seconds(3, 2, False))  # two microbatches; 3 layers and 1


def test_a_static_batch_goes_through_a_pipe_as_the_runtime_divides_it() -> None:
    names = ("gpu-libraries", "trt-llm-2024")
    full, whole = (seconds(served(name, devices=8, tensor=2, pipeline=4), 16)[0] for name in names)
    assert whole > 1.2 * full


def test_sequences_have_whole_blocks_of_the_cache() -> None:
    kept = [float(served(name).footprint(2, 100, 1).total.kv) for name in (IDEAL, "vllm")]
    assert kept[1] / kept[0] == pytest.approx(112 / 101)


def test_a_runtime_has_a_format_of_caches_for_one_of_weights() -> None:
    of = {name: served("trt-llm", dtype=name).model.dtypes.kv for name in ("fp8", "bf16")}
    assert of == {"fp8": "fp8", "bf16": "bf16"}
    assert served("trt-llm", dtype="fp8", kv="bf16").model.dtypes.kv == "bf16"


def test_a_mapping_names_its_runtime_before_the_machine() -> None:
    model = load_model("llama-3-8b", ["layers=4"])
    machines = [load_system("dgx-h100"), load_system("sn40l-node")]
    assert [resolve(MappingForm(), each, model).software.name for each in machines] == ["gpu-libraries", "sambaflow"]
    assert served("vllm").software.name == "vllm"


def test_a_misspelt_runtime_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mapping\.runtime: found 'vlm', .*; did you mean 'vllm'"):
        checked(Scenario, {"mapping": {"runtime": "vlm"}})
    file = tmp_path / "own.yaml"
    file.write_text(CHIP.format(product="one", family="kin") + "runtime: trt-lm\n")
    with pytest.raises(ConfigError, match=r"own.yaml:\d+: runtime: no such runtime: found 'trt-lm', .*'trt-llm'"):
        load_system(file)


def test_a_wrong_figure_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine.yaml:\d+: by_device.any.engines.gpu.compute: found 1.5"):
        mine(tmp_path, "by_device: {any: {engines: {gpu: {compute: 1.5}}}}\n")
    with pytest.raises(ConfigError, match="did you mean 'launch'"):
        mine(tmp_path, "by_device: {any: {engines: {gpu: {lanch: 1 us}}}}\n", "other")


@pytest.mark.parametrize("kind", ["flash_reads", "engine_figures", "routing", "neuron_usage"])
def test_what_runs_no_model_has_no_use_for_a_runtime(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"mapping\.runtime.*does not read it"):
        checked(Scenario, {"workload": {"kind": kind}, "mapping": {"runtime": "vllm"}})
