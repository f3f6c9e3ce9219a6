"""Designs for a Composition of Experts: what must hold of any, and a closed form for uniform requests."""

from __future__ import annotations

import re
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.scenario.cases import with_values
from simulator.scenario.costs import NAMES as COSTS
from simulator.scenario.evaluator import evaluated
from simulator.scenario.evaluators.expert_models import ExpertModelsEvaluator
from simulator.scenario.form import Scenario

SN40L = {
    "hardware": "sn40l-node", "model": "llama-2-7b", "workload.batch": 8, "workload.input": 512, "workload.output": 4,
    "mapping.residency.home": "socket.ddr", "mapping.residency.cache": "socket.hbm",
}  # fmt: skip
HBM, DDR = "hardware.devices.socket.tiers.hbm.capacity", "hardware.devices.socket.links.ddr<->hbm.bandwidth"

SERVICE = Scenario(workload={"kind": "expert_models"})
METRICS = {metric.name for metric in ExpertModelsEvaluator.metrics} | {"error"}


def run(**columns: list[Any]) -> dict[str, Any]:
    found = evaluated(with_values(SERVICE, SN40L), {path: np.array(values) for path, values in columns.items()})
    assert found.keys() == METRICS
    return found


def test_experts_that_all_fit_are_never_copied_again() -> None:
    found = run(**{"workload.experts": [5, 20, 39]})
    assert found["misses"].tolist() == [0, 0, 0]
    assert found["switch_s"].tolist() == [0, 0, 0]
    assert found["latency_s"] == pytest.approx(found["execute_s"])


@pytest.mark.parametrize("experts", [60, 150])
def test_uniform_requests_miss_as_often_as_experts_do_not_fit(experts: int) -> None:
    """What LRU keeps of n equally likely experts is any m of them: a prompt misses with `1 - m / n`."""
    found = run(**{"workload.experts": [experts]})
    expected = 8 * (1 - found["resident_experts"][0] / experts)
    assert found["misses"][0] == pytest.approx(expected, rel=0.03)


def test_more_memory_and_faster_copies_are_never_slower() -> None:
    sizes = np.array([16, 32, 64, 128, 192]) * 2.0**30
    by_size = run(**{HBM: sizes.tolist(), "workload.experts": [100] * 5})
    assert (np.diff(by_size["misses"]) <= 0).all()
    assert (np.diff(by_size["latency_s"]) <= 0).all()
    by_rate = run(**{DDR: [5e10, 1e11, 2e11], "workload.experts": [100] * 3})
    assert len(set(by_rate["misses"])) == 1
    assert (np.diff(by_rate["latency_s"]) < 0).all()
    assert by_rate["switch_s"][:-1] == pytest.approx(2 * by_rate["switch_s"][1:])


def test_a_batch_is_its_switches_and_its_work() -> None:
    found = run(**{"workload.experts": [25, 100]})
    assert found["latency_s"] == pytest.approx(found["switch_s"] + found["execute_s"])
    assert found["tokens_per_s"] == pytest.approx(8 * 4 / found["latency_s"])


def test_a_point_that_does_not_fit_says_so_and_the_others_go_on() -> None:
    found = run(**{HBM: [2.0**30, 2.0**36], "workload.experts": [50, 50]})
    assert found["error"][0]
    assert np.isnan(found["latency_s"][0])
    assert found["error"][1] == ""
    assert found["latency_s"][1] > 0


def test_a_batch_larger_than_all_rounds_is_served(recwarn: pytest.WarningsRecorder) -> None:
    found = run(**{"workload.batch": [1, 100], "workload.experts": [2, 2]})
    assert found["error"].tolist() == ["", ""]
    assert found["latency_s"][1] > found["latency_s"][0]
    assert not recwarn.list


CALIBRATED = {
    "workload.calibration": {"model": "llama-2-7b", "expert_time": {"sn40l-node": {1: "1 s", 4: "3 s"}}},
    "workload.trace": {"kind": "cyclic"},
}


def one(**more: Any) -> dict[str, Any]:
    """One case of measured times."""
    said = {"workload.experts": 50, **CALIBRATED, **{key.replace("__", "."): value for key, value in more.items()}}
    found = evaluated(with_values(SERVICE, {**SN40L, **said}), {})
    return {name: values[0] for name, values in found.items()}


def test_measured_times_are_those_of_the_router_once_and_of_each_expert() -> None:
    row = one()
    assert row["router_s"] == pytest.approx(1.0)
    assert row["expert_s"] == pytest.approx(8 * 3.0)
    assert row["latency_s"] == pytest.approx(row["router_s"] + row["switch_s"] + row["expert_s"])
    assert row["misses"] == 8, "in turn, each prompt of more experts than fit needs another"
    assert one(workload__router_tokens=4)["router_s"] == pytest.approx(3.0)


def test_an_expert_of_another_size_takes_as_much_longer_to_copy() -> None:
    by_size = [one(workload__expert_bytes=size)["switch_s"] for size in (2e10, 4e10)]
    assert by_size[1] == pytest.approx(2 * by_size[0], rel=1e-4)


def test_what_else_the_cache_keeps_is_room_that_experts_lack() -> None:
    size, rooms = 10e9, {"mapping.residency.bytes": 100e9, "workload.expert_bytes": 10e9}
    kv = 8 * 2 * 32 * 4096 * 2  # bytes a token of eight prompts: keys and values of 32 layers
    for router, tokens in product((True, False), (1, 4096)):
        keep = {"mapping.residency.router_in_cache": router, "workload.kv_tokens": tokens}
        left = 100e9 - router * size - tokens * kv
        assert one(**rooms, **keep)["resident_experts"] == left // size


def test_a_home_that_gives_away_what_the_cache_has_holds_more() -> None:
    rooms = {"mapping.residency.bytes": 300e9, "mapping.residency.home_bytes": 400e9, "workload.expert_bytes": 10e9}
    full = [one(**rooms, **{"mapping.residency.inclusive": kept})["out_of_memory"] for kept in (True, False)]
    assert full == [1.0, 0.0]
    row = one(**rooms)
    assert np.isnan(row["latency_s"]) and "50 experts in their home" in row["error"]


@pytest.mark.parametrize(("tier", "nodes"), [("home", 2), ("cache", 6)])
def test_nodes_are_counted_by_one_memory_and_without_serving(tier: str, nodes: int) -> None:
    rooms = {"mapping.residency.bytes": 100e9, "mapping.residency.home_bytes": 400e9, "workload.expert_bytes": 10e9}
    row = one(**rooms, **{"mapping.residency.nodes_by": tier, "workload.phase": "footprint"})
    assert row["nodes"] == nodes
    assert np.isnan(row["latency_s"]) and not row["error"]


def test_prefetch_and_groups_wait_less() -> None:
    zipf = {"workload.trace": {"kind": "zipf", "exponent": 0.5, "rounds": 4}}
    plain, ahead, grouped = (
        one(**zipf, **{f"mapping.residency.{key}": value})
        for key, value in (("prefetch", "none"), ("prefetch", "batch"), ("group", True))
    )
    assert ahead["switch_s"] < plain["switch_s"]
    assert grouped["misses"] <= plain["misses"]


QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SMALL = st.integers(1, 12)


@given(prompts=st.integers(1, 20), batch=SMALL, rounds=st.integers(1, 3))
@QUICK
def test_each_batch_of_recorded_prompts_that_is_measured_is_a_whole_one(
    tmp_path: Path, prompts: int, batch: int, rounds: int
) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("prompt,expert\n" + "".join(f"{i},{i % 3}\n" for i in range(prompts)))
    trace = {"workload.trace": {"kind": "recorded", "file": str(file), "rounds": rounds}}
    row = one(**trace, **{"workload.batch": batch, "workload.experts": 3})
    assert row["expert_s"] == pytest.approx(batch * 3.0)


@given(experts=st.integers(1, 5), batch=SMALL, output=st.integers(1, 3))
@QUICK
def test_few_experts_give_finite_numbers(experts: int, batch: int, output: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = run(**{"workload.experts": [experts], "workload.batch": [batch], "workload.output": [output]})
    unknown = {name for name, values in found.items() if name != "error" and not np.isfinite(values[0])}
    assert unknown == set(COSTS)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"mapping.residency.home": None}, r"^mapping\.residency\.home: missing key: expected one of"),
        ({"mapping.residency.cache": "hbm"}, r"^mapping\.residency\.cache: found 'hbm', expected one of"),
        ({"mapping.engines": "gpu"}, r"^mapping\.engines\.0: .*found 'gpu', expected .*'socket\.rdu'"),
        ({"workload.input": 5000}, "found 5004 tokens, expected at most the 4096"),
    ],
)
def test_what_cannot_be_served_is_the_error_of_its_point(said: dict[str, Any], message: str) -> None:
    found = evaluated(with_values(SERVICE, {**SN40L, **said}), {"workload.experts": np.array([5])})
    assert re.search(message, found["error"][0])
