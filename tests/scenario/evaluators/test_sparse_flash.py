"""Designs that read active neurons from flash: what must hold of any of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.errors import CapacityError, ConfigError
from simulator.scenario.cases import with_values
from simulator.scenario.evaluate import evaluate
from simulator.scenario.evaluator import evaluated
from simulator.scenario.evaluators.sparse_flash import SparseFlashEvaluator
from simulator.scenario.form import Scenario
from simulator.workload.neurons.files import save_neurons
from simulator.workload.neurons.window_law import WindowLaw, renewal

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


SMALL = {
    "name": "small", "family": "opt", "source": "made up for tests", "layers": 2, "hidden": 256, "vocab": 1000,
    "max_context": 512, "attention": {"heads": 4, "kv_heads": 4, "head_dim": 64},
    "ffn": {"intermediate": 2048, "matrices": 2, "activation": "relu"}, "norm": {"kind": "layer"},
    "positions": {"kind": "rope"},
}  # fmt: skip
LAW = {"kind": "law", "window": 5, "share": 0.24, "increment": 0.024}
KEEPS = {"home": "soc.flash", "cache": "soc.dram", "manager": "soc.gpu", "threads": 32, "gathered": False}


def small(hardware: Any = "m1-max", residency: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    """A token of a model of two layers, with a window of 5 tokens."""
    work = {"input": 8, "grows": True, "tokens": 24}
    keeps = residency or {}
    tiers = {key: name for key, name in KEEPS.items() if key in ("home", "cache") or keeps.get("sparse", True)}
    if keeps.get("policy") == "none":  # which keeps nothing to compute over
        del tiers["gathered"]
    if keeps.get("sparse", True):
        work |= {"warm_up": 40, "traced": "all", "activity": LAW}
        work |= {"window": 5} if "window" in keeps.get("policy", "window") and "window" not in keeps else {}
    scenario = {
        "hardware": hardware,
        "model": SMALL,
        "mapping": {
            "engines": "soc.gpu",
            "dtype": "fp16",
            "residency": {**tiers, **({"policy": "window"} if keeps.get("sparse", True) else {}), **keeps},
        },
        "workload": {"kind": "sparse_flash", **work, **keys},
    }
    return dict(evaluate(scenario).metrics)


def test_one_traced_layer_stands_for_all() -> None:
    one, every = (small(residency={"policy": "lru", "room": 0.3}, traced=traced) for traced in ("one", "all"))
    assert one["dram_bytes"] == every["dram_bytes"]
    for name in ("total_s", "io_s", "read_bytes", "missed_share"):
        assert one[name] == pytest.approx(every[name], rel=0.05), name


def test_errors_of_a_predictor_change_what_is_loaded() -> None:
    none, missing, named = (
        small(residency={"policy": "none"}, errors=errors)["missed_share"]
        for errors in (None, {"false_negatives": 0.5}, {"false_positives": 0.1})
    )
    assert missing == pytest.approx(none / 2, rel=0.05)
    assert named == pytest.approx(none + 0.1 * (1 - none), rel=0.05)


def test_a_recorded_trace_is_read(tmp_path: Path) -> None:
    save_neurons(renewal(WindowLaw.fitted(5, 0.24, 0.024), 2, 2048, 64), tmp_path / "trace.npz")
    recorded = {"kind": "recorded", "file": str(tmp_path / "trace.npz")}
    assert small(activity=recorded) == small(), "the same tokens as the law draws with seed 0"
    with pytest.raises(ConfigError, match=r"trace\.npz: recorded tokens: found 64, expected 74 or more"):
        small(activity=recorded, tokens=34)
    with pytest.raises(ConfigError, match=r"workload\.share_by_layer.*expected none"):
        small(activity=recorded, share_by_layer=[0.1])
    with pytest.raises(ConfigError, match=r"workload\.activity: found layers that differ.*`traced: all`"):
        small(activity=recorded, traced="one")


def test_share_by_layer_weighs_the_layers() -> None:
    even, uneven = (small(share_by_layer=shares) for shares in ([0.1, 0.1], [0.01, 0.05]))
    assert uneven["missed_share"] == pytest.approx(even["missed_share"], rel=0.1)
    assert even["missed_share"] == small()["missed_share"]


def test_room_by_share_of_neurons_of_the_model_and_by_bytes() -> None:
    whole = small(residency={"policy": "lru"})
    of_model = whole["dram_bytes"] / whole["dram_share"]
    fixed = whole["dram_bytes"] - whole["held_share"] * 2 * 2048 * 1024
    room = small(residency={"policy": "lru", "room": 0.25})
    assert room["held_share"] == 0.25
    memory = small(residency={"policy": "lru", "bytes": fixed + 0.25 * 2 * 2048 * 1024})
    assert memory == room
    share = small(residency={"policy": "lru", "share": memory["dram_share"]})
    assert share["dram_bytes"] <= of_model * memory["dram_share"] * (1 + 1e-9)
    with pytest.raises(CapacityError, match="more DRAM"):
        small(residency={"bytes": 1024})
    with pytest.raises(ConfigError, match=r"mapping\.residency\.bytes: found a limit beside `room`"):
        small(residency={"room": 0.5, "bytes": 2 * GB})


def test_what_is_pinned_is_held_and_never_loaded() -> None:
    hot = {"kind": "hot_cold", "hot": 0.1, "hot_rate": 1.0, "cold_rate": 0.02}
    bare, pinned = (small(residency={"policy": "none", "pinned": share}, activity=hot) for share in (0.0, 0.1))
    assert pinned["missed_share"] == pytest.approx(0.9 * 0.02, rel=0.1)
    assert bare["missed_share"] == pytest.approx(0.1 + 0.9 * 0.02, rel=0.1)
    assert pinned["held_share"] > bare["held_share"]


def test_reads_are_as_the_rows_of_a_neuron_lie() -> None:
    """Rows apart take two reads of half the bytes; so does a bundle that is split."""
    together, apart, split = (small(residency=keys) for keys in ({}, {"bundled": False}, {"split": 2}))
    assert apart == split
    assert apart["asked_bytes"] == together["asked_bytes"]
    assert apart["io_s"] > together["io_s"]
    assert small(bundle=1) == apart
    assert small(residency={"together": "friends"})["asked_bytes"] > together["asked_bytes"]


def test_whole_matrices_are_read_but_for_what_is_resident() -> None:
    none, half = (small(residency={"sparse": False, "resident": share}) for share in (0.0, 0.5))
    assert half["asked_bytes"] == pytest.approx(none["asked_bytes"] / 2)
    assert (none["dram_bytes"], half["dram_share"]) == (0, 0.5)
    narrow = small(residency={"sparse": False, "matrix_dtype": "int8"})
    assert narrow["asked_bytes"] < none["asked_bytes"]
    assert narrow["compute_s"] == none["compute_s"]
    assert none["missed_share"] is None


def test_predictors_take_memory_by_their_ranks() -> None:
    ranked = small(ranks=[[16, 1], [48, 1]])
    assert ranked["predictor_share"] * ranked["dram_bytes"] == pytest.approx(
        ranked["dram_share"] * 64 * (256 + 2048) * 2
    )
    assert ranked["dram_bytes"] > small()["dram_bytes"]
    with pytest.raises(ConfigError, match=r"workload\.ranks: found 3 layers"):
        small(ranks=[[16, 3]])


def test_scales_are_bytes_beside_each_weight() -> None:
    """0.5 B beside 2 B a weight."""
    assert small(scales=0.5)["asked_bytes"] == pytest.approx(1.25 * small()["asked_bytes"])


@pytest.mark.filterwarnings("ignore::simulator.errors.TiersimWarning")  # of a DRAM of some MB
def test_a_page_cache_takes_what_is_left_of_dram() -> None:
    cache = {"extends": "m1-max", "devices.soc.tiers.flash.flash.page_cache": True}
    bare, cached = (small(hardware, {"room": 0.26}) for hardware in ("m1-max", cache))
    assert cached["read_bytes"] < bare["read_bytes"]
    assert cached["memory_s"] > bare["memory_s"]
    tight = {**cache, "devices.soc.tiers.dram.capacity": bare["dram_bytes"] * 1.05}
    assert small(tight, {"room": 0.26})["read_bytes"] <= bare["read_bytes"]


def test_drafted_tokens_are_means_of_a_token() -> None:
    assert small(drafted=3, acceptance=0.9)["io_s"] < small()["io_s"]
    with pytest.raises(ConfigError, match=r"workload\.tokens: no step is left to time"):
        small(drafted=8, acceptance=1.0, tokens=1)


def test_a_context_that_grows_takes_longer() -> None:
    assert small(grows=False)["compute_s"] < small()["compute_s"]


def test_joules_are_of_the_bytes_that_a_tier_moves() -> None:
    of = small()
    assert of["flash_traffic_bytes"] == pytest.approx(of["read_bytes"])
    doubled = small({"extends": "m1-max", "devices.soc.tiers.dram.energy": "14 pJ/bit"})
    assert doubled["dram_energy_j"] == pytest.approx(2 * of["dram_energy_j"]), "7 pJ/bit as the machine has it"
    assert of["dram_energy_j"] == pytest.approx(of["dram_traffic_bytes"] * 56e-12)
    assert of["memory_energy_j"] is of["memory_traffic_bytes"] is None, "the engine computes from the DRAM"
