"""An evaluator that costs nothing and studies of it, and sweeps of machines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from simulator.registry import register
from simulator.scenario.cases import Columns
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import Metric
from simulator.scenario.parts import machine
from simulator.units import Count


class Writes(Workload):
    kind: Literal["writes"]
    size: Count = 1
    """Gigabytes of each copy."""
    number: Count = 1
    """Writes."""


@register("evaluator", "writes")
class WritesEvaluator:
    """The time of copies out of the memory of an engine, one after another."""

    form = Writes
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("time_s", "s", "min", "time"),
        Metric("rate_per_s", "1/s", "max", "copies a second"),
        Metric("keeps_up", "1", "max", "whether it keeps up"),
        Metric("why", label="why it does not"),
        Metric("area_m2", "m^2", "min", "die area"),
    )
    needs: ClassVar[Collection[str]] = ("hardware",)
    mapping: ClassVar[Collection[str]] = ("devices", "engines", "memory", "residency")
    residency: ClassVar[Collection[str]] = ("home", "cache", "policy")
    kinds: ClassVar[Mapping[str, str]] = {"mapping.residency.policy": "residency"}
    vectorised: ClassVar[bool] = True
    requires: ClassVar[Mapping[str, str]] = {}

    @staticmethod
    def batched(scenario: Scenario | None, paths: Sequence[str]) -> list[str]:
        return [path for path in paths if path.startswith("workload.")]

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        size, number = (
            np.asarray(columns.get(f"workload.{key}", getattr(scenario.workload, key)), dtype=float)
            for key in ("size", "number")
        )
        system = machine(scenario)
        tier = scenario.mapping.memory or "hbm"
        bandwidth = next(d.tiers[tier].bandwidth for d in system.machine.devices.values() if tier in d.tiers)
        time = size * number * 1e9 / float(bandwidth) * np.ones(cases)
        return {"time_s": time, "rate_per_s": number / time, "keeps_up": 1.0 * (size <= 4), "area_m2": size * 1e-4}


TWO = """\
title: two machines
base: {workload: {kind: writes, number: 2}}
cases:
  machine:
    small: {hardware: dgx-a100, label: Small}
    large: {hardware: dgx-h100, workload: {number: 3}, label: Large}
runs:
  sizes: {cases: {machine: [large, small]}, axes: {workload.size: [1, 2, 4, 8]}}
  numbers: {hardware: dgx-a100, axes: {workload.size: [1], workload.number: [1, 2, 3]}}
"""
"""Eight points of two machines, and three of one."""


SWEEP = """\
base:
  costs: silicon
  hardware: dgx-h100
  model: llama-3-8b
  workload: {phase: decode, input: 1024, output: 128}
axes:
  workload.batch: {values: [1, 4, 16, 64], name: batch}
  mapping.devices: {values: [1, 2, 4], name: devices}
  hardware.devices.gpu.tiers.hbm.bandwidth: {geomspace: [1 TB/s, 8 TB/s, 4], name: hbm}
  hardware.devices.gpu.engines.gpu.peak.bf16: {geomspace: [100 TFLOP/s, 1000 TFLOP/s, 3], name: peak}
derived:
  dies_mm2: 1e6 * area_m2 * devices
constraints: ["tbt_s <= 0.02", "dies_mm2 <= 3000"]
objectives: {tokens_per_s: max, dies_mm2: min}
"""
"""144 designs, some of which are not feasible."""

FAMILIES = """\
base:
  model: llama-3-8b
  workload: {input: 512, output: 64}
axes:
  hardware: {values: [dgx-a100, dgx-h100, m1-max], name: machine}
  workload.batch: {values: [1, 2, 4, 8, 16], name: batch}
  hardware.devices.gpu.tiers.hbm.bandwidth: {values: [1 TB/s, 2 TB/s, 4 TB/s], when: "machine != 'm1-max'", name: hbm}
  hardware.devices.soc.tiers.dram.bandwidth: {values: [100 GB/s, 400 GB/s], when: "machine == 'm1-max'", name: dram}
objectives: {tokens_per_s: max}
"""
"""40 designs, of two kinds with axes of their own."""


@pytest.fixture
def yaml(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a study."""

    def write(text: str) -> Path:
        folder = tmp_path / "copying"
        folder.mkdir(exist_ok=True)
        (folder / "experiment.yaml").write_text(f"schema: 1\n{text}", encoding="utf-8")
        return folder / "experiment.yaml"

    return write


@pytest.fixture
def sweep_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a sweep."""

    def write(text: str) -> Path:
        file = tmp_path / "sweep.yaml"
        file.write_text(f"schema: 1\n{text}", encoding="utf-8")
        return file

    return write


@pytest.fixture
def designs(sweep_file: Callable[[str], Path]) -> Path:
    return sweep_file(SWEEP)


@pytest.fixture
def families(sweep_file: Callable[[str], Path]) -> Path:
    return sweep_file(FAMILIES)
