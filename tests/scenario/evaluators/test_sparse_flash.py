"""Designs that read active neurons from flash: what must hold of any of them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from simulator.hardware import load_system
from simulator.mapping.formats import in_formats
from simulator.mapping.neurons.held import Keeping, held, settled
from simulator.mapping.neurons.stored import stored
from simulator.mapping.neurons.token_plan import Memory
from simulator.mapping.target import target
from simulator.scenario.cases import with_values
from simulator.scenario.evaluator import evaluated
from simulator.scenario.evaluators.sparse_flash import SparseFlashEvaluator
from simulator.scenario.form import Scenario
from simulator.serving.sparse import decode_sparse
from simulator.workload import load_model
from simulator.workload.window_law import WindowLaw, renewal

PHONE = {
    "hardware": "phone-ufs4", "model": "opt-6.7b", "workload.input": 64, "mapping.dtype": "q4_0",
    "mapping.engines": "soc.npu", "mapping.residency.home": "soc.flash",
    "mapping.residency.cache": "soc.dram", "mapping.residency.manager": "soc.cpu",
}  # fmt: skip
FIXED, STREAM = (f"hardware.devices.soc.tiers.flash.flash.reads.{key}" for key in ("fixed", "stream"))
GB = 1e9
FLASH = Scenario(workload={"kind": "sparse_flash"})
METRICS = {metric.name for metric in SparseFlashEvaluator.metrics} | {"error"}


def run(base: dict[str, Any] | None = None, **columns: list[Any]) -> dict[str, Any]:
    scenario = with_values(FLASH, {**PHONE, **(base or {})})
    found = evaluated(scenario, {path: np.array(values) for path, values in columns.items()})
    assert found.keys() == METRICS
    return found


def test_more_memory_never_reads_more_and_is_never_exceeded() -> None:
    budgets = np.array([1.5, 2.0, 2.5, 3.0]) * GB
    found = run(**{"mapping.residency.bytes": budgets.tolist()})
    assert (found["error"] == "").all()
    assert (np.diff(found["read_bytes"]) <= 0).all()
    assert (np.diff(found["tokens_per_s"]) >= 0).all()
    assert (found["dram_bytes"] <= budgets).all()


def test_fewer_active_neurons_are_never_slower() -> None:
    found = run(**{"workload.share": [0.02, 0.05, 0.1, 0.2], "mapping.residency.bytes": [2 * GB] * 4})
    assert (np.diff(found["total_s"]) > 0).all()
    assert (np.diff(found["compute_s"]) > 0).all()


def test_a_faster_flash_saves_time_of_reads_alone() -> None:
    found = run(**{FIXED: [170e-6, 85e-6], STREAM: [55.675e6, 111.35e6], "mapping.residency.bytes": [2 * GB] * 2})
    assert found["io_s"][1] < found["io_s"][0]
    for name in ("read_bytes", "compute_s", "memory_s", "dram_bytes"):
        assert found[name][0] == pytest.approx(found[name][1]), name


def test_one_after_the_other_is_the_sum_and_beside_one_another_no_more() -> None:
    budget = {"mapping.residency.bytes": 2 * GB}
    serial, beside = (
        run({**budget, "mapping.residency.overlap": overlap}, **{"workload.share": [0.1]})
        for overlap in ("none", "layer")
    )
    parts = sum(serial[name][0] for name in ("io_s", "memory_s", "compute_s"))
    assert serial["total_s"][0] == pytest.approx(parts)
    assert serial["io_s"][0] <= beside["total_s"][0] < serial["total_s"][0]


def test_too_little_memory_is_a_row_with_its_error() -> None:
    found = run(**{"mapping.residency.bytes": [0.1 * GB, 2 * GB]})
    assert "more DRAM" in found["error"][0]
    assert np.isnan(found["tokens_per_s"][0])
    assert found["error"][1] == ""


def test_it_agrees_with_a_decode_whose_layers_are_all_traced() -> None:
    """A sweep traces one layer, and takes the others to do as much."""
    said = {"mapping.residency.bytes": 2 * GB, "workload.share": 0.1, "workload.exponent": 0.5228}
    found = run({**said, "mapping.residency.overlap": "layer"}, **{"workload.input": [64]})
    kept = stored(in_formats(load_model("opt-6.7b"), "q4_0"))
    rows = int((2 * GB - kept.fixed_bytes) // (kept.model.layers * kept.neuron_bytes))
    trace = renewal(WindowLaw(0.1, 0.5228), kept.model.layers, kept.neurons, 192 + 24, seed=1)
    traffic = settled(held(trace, Keeping("lru", capacity=rows, gathered=True)), 192)
    memory = Memory(target(load_system("phone-ufs4"), None, "npu"), "soc.flash", "soc.dram", "soc.cpu", None)
    whole = decode_sparse(memory, kept, traffic, np.full(24, 64.0), "layer")
    for name, values in {"total_s": whole.total, "io_s": whole.io, "read_bytes": whole.read}.items():
        assert found[name][0] == pytest.approx(values.mean(), rel=0.05), name
    assert found["compute_s"][0] == pytest.approx(whole.compute.mean(), rel=0.01)
    assert found["dram_bytes"][0] == pytest.approx(whole.dram.mean(), rel=0.01)
    assert found["held_share"][0] == pytest.approx(whole.held.mean(), rel=0.01)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"mapping.residency.cache": None},
            r"^mapping\.residency\.cache: missing key: expected one of soc\.dram, soc\.flash",
        ),
        (
            {"mapping.residency.home": "flash"},
            r"^mapping\.residency\.home: found 'flash', expected one of soc\.dram, soc\.flash",
        ),
        (
            {"mapping.residency.manager": "soc.dram"},
            r"^mapping\.residency\.manager: found 'soc\.dram', expected one of soc\.cpu, soc\.npu",
        ),
        ({"workload.input": 5000}, "input: found 5000 tokens, expected at most the 2048"),
    ],
)
def test_what_cannot_run_is_the_error_of_its_point(said: dict[str, Any], message: str) -> None:
    found = run(said, **{"workload.share": [0.1]})
    assert re.search(message, found["error"][0])
