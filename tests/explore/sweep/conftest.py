from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

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
    """Writes a sweep."""

    def write(text: str) -> Path:
        file = tmp_path / "sweep.yaml"
        file.write_text(f"schema: 1\n{text}", encoding="utf-8")
        return file

    return write


@pytest.fixture
def designs(yaml: Callable[[str], Path]) -> Path:
    return yaml(SWEEP)


@pytest.fixture
def families(yaml: Callable[[str], Path]) -> Path:
    return yaml(FAMILIES)
