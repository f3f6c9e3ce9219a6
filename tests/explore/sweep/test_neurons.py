"""Designs that read active neurons from flash: what must hold of any of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.explore.sweep.neurons import METRICS, Neurons

PHONE = {
    "hardware": "phone-ufs4", "model": "opt-6.7b", "workload.input": 64, "mapping.dtype": "int4",
    "mapping.engine": "npu", "mapping.flash": "soc.flash", "mapping.dram": "soc.dram", "mapping.manager": "soc.cpu",
}  # fmt: skip
FIXED, STREAM = (f"hardware.devices.soc.tiers.flash.flash.reads.{key}" for key in ("fixed", "stream"))
GB = 1e9


def run(base: dict[str, Any] | None = None, **columns: list[Any]) -> dict[str, Any]:
    found = Neurons({**PHONE, **(base or {})})({path: np.array(values) for path, values in columns.items()})
    assert found.keys() == METRICS.keys()
    return found


def test_more_memory_never_reads_more_and_is_never_exceeded() -> None:
    budgets = np.array([1.5, 2.0, 2.5, 3.0]) * GB
    found = run(**{"mapping.memory_bytes": budgets.tolist()})
    assert (found["error"] == "").all()
    assert (np.diff(found["read_bytes"]) <= 0).all()
    assert (np.diff(found["tokens_per_s"]) >= 0).all()
    assert (found["dram_bytes"] <= budgets).all()


def test_fewer_active_neurons_are_never_slower() -> None:
    found = run(**{"workload.share": [0.02, 0.05, 0.1, 0.2], "mapping.memory_bytes": [2 * GB] * 4})
    assert (np.diff(found["total_s"]) > 0).all()
    assert (np.diff(found["compute_s"]) > 0).all()


def test_a_faster_flash_saves_time_of_reads_alone() -> None:
    found = run(**{FIXED: [170e-6, 85e-6], STREAM: [55.675e6, 111.35e6], "mapping.memory_bytes": [2 * GB] * 2})
    assert found["io_s"][1] < found["io_s"][0]
    for name in ("read_bytes", "compute_s", "memory_s", "dram_bytes"):
        assert found[name][0] == pytest.approx(found[name][1]), name


def test_one_after_the_other_is_the_sum_and_beside_one_another_no_more() -> None:
    budget = {"mapping.memory_bytes": 2 * GB}
    serial, beside = (
        run({**budget, "mapping.overlap": overlap}, **{"workload.share": [0.1]}) for overlap in ("none", "layer")
    )
    parts = sum(serial[name][0] for name in ("io_s", "memory_s", "compute_s"))
    assert serial["total_s"][0] == pytest.approx(parts)
    assert serial["io_s"][0] <= beside["total_s"][0] < serial["total_s"][0]


def test_too_little_memory_is_a_row_with_its_error() -> None:
    found = run(**{"mapping.memory_bytes": [0.1 * GB, 2 * GB]})
    assert "more DRAM" in found["error"][0]
    assert np.isnan(found["tokens_per_s"][0])
    assert found["error"][1] == ""
