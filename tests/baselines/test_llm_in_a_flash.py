"""LLM in a flash beside its published values: what the experiment's README claims."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator import data
from simulator.baselines.experiment import load_experiment, run
from simulator.baselines.flash import FlashExperiment, FlashOutcome
from simulator.baselines.published import Published, read_published
from simulator.errors import ConfigError

NAME = "llm-in-a-flash"


def form(*overrides: str) -> FlashExperiment:
    found, _ = load_experiment(NAME, overrides)
    assert isinstance(found, FlashExperiment)
    return found


def simulated(experiment: FlashExperiment) -> FlashOutcome:
    outcome = run(experiment, lambda done, total: None)
    assert isinstance(outcome, FlashOutcome)
    return outcome


@pytest.fixture(scope="module")
def published() -> list[Published]:
    return read_published(data.folder("experiments") / NAME / "published.csv")


@pytest.fixture(scope="module")
def outcome(published: list[Published]) -> FlashOutcome:
    """All that is published, over fewer tokens; the window law apart."""
    conditions = [row.condition for row in published]
    few = form("tokens=64").only([*conditions, {"method": "overlapped"}, {"method": "prefetched"}])
    return simulated(few.model_copy(update={"usage": None}))


def off(outcome: FlashOutcome, published: list[Published], figure: str, metric: str) -> dict[str, float]:
    """How far each row of one figure and metric is off, by its condition; what counts alone."""
    found = {}
    for row in published:
        if (row.figure, row.metric) == (figure, metric) and row.role in ("prediction", "calibration", "input"):
            value = outcome.measure(metric, row.condition)
            assert value is not None
            found[" ".join(map(str, row.condition.values()))] = row.from_si(value) / row.published - 1
    return found


def test_times_of_table_2_are_within_6_percent(outcome: FlashOutcome, published: list[Published]) -> None:
    found = off(outcome, published, "Table 2", "io")
    assert len(found) == 5
    assert max(map(abs, found.values())) < 0.06


def test_dram_of_table_2_is_within_3_percent(outcome: FlashOutcome, published: list[Published]) -> None:
    """But for the row that is disputed: what it prints is neither GB nor GiB of its own shares."""
    found = off(outcome, published, "Table 2", "dram")
    assert len(found) == 3
    assert max(map(abs, found.values())) < 0.03


def test_reads_of_table_3_are_within_8_percent(outcome: FlashOutcome, published: list[Published]) -> None:
    found = {**off(outcome, published, "Table 3", "io"), **off(outcome, published, "Table 5", "io")}
    assert {"cpu opt-6.7b all", "metal opt-6.7b all", "cpu falcon-7b all", "cpu persimmon-8b all"} < found.keys()
    assert {"cpu phi-2 all", "cpu llama-2-7b all"} < found.keys()
    assert max(map(abs, found.values())) < 0.08


def test_larger_chunks_are_predicted_by_the_two_small_ones(outcome: FlashOutcome, published: list[Published]) -> None:
    """32 KiB (OPT at fp32) and 35.5 KiB (Falcon): the flash was fitted to 8 and 16 KiB alone."""
    assert max(map(abs, off(outcome, published, "Table 2", "bandwidth").values())) < 1e-3
    reads = off(outcome, published, "Table 3", "io")
    for row, chunk in (("cpu opt-6.7b all", 32768), ("cpu falcon-7b all", 36352)):
        model = row.split()[1]
        point = {"system": "cpu", "model": model, "method": "all"}
        rate = (outcome.measure("asked", point) or 0.0) / (outcome.measure("io", point) or 1.0)
        assert abs(reads[row]) < 0.08
        assert rate < (outcome.measure("bandwidth", {"system": "metal", "chunk": chunk, "threads": 32}) or 0.0) * 1.001


def test_management_of_falcon_follows_from_that_of_opt(outcome: FlashOutcome, published: list[Published]) -> None:
    found = off(outcome, published, "Table 3", "memory")
    assert abs(found["cpu falcon-7b all"]) < 0.01, "the prediction"
    assert max(abs(found[f"{system} opt-6.7b all"]) for system in ("cpu", "metal", "m2-metal", "rtx")) < 0.01


def test_computing_is_calibrated_where_it_says_so(outcome: FlashOutcome, published: list[Published]) -> None:
    rows = [row for row in published if row.metric == "compute" and row.role == "calibration"]
    assert len(rows) == 7
    for row in rows:
        assert row.from_si(outcome.measure("compute", row.condition) or 0.0) == pytest.approx(row.published, rel=5e-3)


def test_computing_follows_the_bytes_but_for_falcon_and_the_vocabulary_of_persimmon(
    outcome: FlashOutcome, published: list[Published]
) -> None:
    found = {**off(outcome, published, "Table 3", "compute"), **off(outcome, published, "Table 5", "compute")}
    far = {name for name, each in found.items() if abs(each) > 0.1}
    assert far == {"cpu falcon-7b naive", "cpu falcon-7b all", "cpu persimmon-8b all"}
    assert max(map(abs, found.values())) < 0.3


def test_predicted_neurons_are_not_fitted(outcome: FlashOutcome, published: list[Published]) -> None:
    found = off(outcome, published, "Section 4.2", "missed_share")
    assert abs(found["metal opt-6.7b predictor"]) < 0.05


def test_overlap_gains_what_does_not_bind(outcome: FlashOutcome) -> None:
    for system in ("cpu", "metal", "rtx"):
        point = {"system": system, "model": "opt-6.7b"}
        total, overlapped, ahead = (
            outcome.measure("total", {**point, "method": method}) or 0.0
            for method in ("all", "overlapped", "prefetched")
        )
        compute = outcome.measure("compute", {**point, "method": "prefetched"}) or 0.0
        assert compute * 0.99 <= ahead <= overlapped * (1 + 1e-9)
        assert overlapped < 0.9 * total


def test_the_trace_follows_the_window_law_within_half_a_percent_over_1000_tokens() -> None:
    experiment = form().model_copy(update={"runs": {}, "chunks": None, "sweeps": {}})
    rows = simulated(experiment).usage
    assert {row["model"] for row in rows} == {"opt-6.7b", "falcon-7b"}
    for row in rows:
        assert row["trace_increment"] == pytest.approx(row["law_increment"], rel=5e-3)
        assert row["trace"] == pytest.approx(row["law"], rel=5e-3)
        assert row["hot_cold"] == pytest.approx(row["law"], rel=0.05), "two populations, at their worst"
    opt = {row["window"]: row for row in rows if row["model"] == "opt-6.7b"}
    assert (opt[5]["law"], opt[5]["law_increment"]) == (pytest.approx(0.24), pytest.approx(0.024))


def test_more_dram_never_loads_more_and_belady_bounds_the_rest() -> None:
    small = form("tokens=24").model_copy(update={"runs": {}, "chunks": None, "usage": None})
    budget = small.sweeps["budget"].model_copy(update={"budgets": (0.3, 0.48, 0.55, 0.7)})
    rows = simulated(small.model_copy(update={"sweeps": {"budget": budget}})).sweeps
    loaded: dict[str, list[float]] = {}
    for row in rows:
        if row["budget"] == 0.3:
            assert "needs" in row["refused"], "attention, embedding and predictors alone take more"
        else:
            assert row["dram_share"] <= row["budget"]
            loaded.setdefault(row["method"], []).append(row["asked_bytes"])
    for method, sizes in loaded.items():
        assert np.all(np.diff(sizes) < 0), method
        assert np.all(np.array(sizes) >= np.array(loaded["belady"]))


def test_roles_are_as_the_readme_says(published: list[Published]) -> None:
    roles = {(row.figure, row.metric, *map(str, row.condition.values())): row.role for row in published}
    assert roles["Section 4.2", "predictor_share", "metal", "opt-6.7b", "all"] == "disputed"
    assert roles["Table 3", "io", "m2-metal", "opt-6.7b", "all"] == "disputed"
    assert roles["Table 3", "io", "cpu", "persimmon-8b", "all"] == "disputed"
    assert roles["Table 3", "memory", "cpu", "falcon-7b", "all"] == "prediction"
    assert sum(role == "prediction" for role in roles.values()) > 35


def test_a_fit_runs_no_more_than_the_calibrations(published: list[Published]) -> None:
    few = form().only([row.condition for row in published if row.metric == "memory" and row.role == "calibration"])
    assert few.sweeps == {}
    assert few.chunks is few.usage is None
    methods = {method for run in few.runs.values() for method in run.methods}
    assert methods == {"all"}
    assert form().only([{"window": 5, "model": "opt-6.7b"}]).usage == form().usage


def test_mistakes_are_named(tmp_path: Path) -> None:
    experiment = form()
    nothing: Mapping[str, Any] = {"chunks": None, "usage": None, "sweeps": {}}

    def asked(system: str = "metal", model: str = "opt-6.7b", method: str = "all") -> FlashExperiment:
        one = experiment.runs["opt"].model_copy(update={"systems": [system], "models": [model], "methods": [method]})
        return experiment.model_copy(update={"runs": {"one": one}, **nothing})

    for wrong, message in (
        (asked(system="metl"), "systems: found 'metl', .*did you mean 'metal'"),
        (asked(model="opt"), "models: found 'opt', expected one of opt-6.7b"),
        (asked(method="al"), "methods: found 'al', .*did you mean 'all'"),
    ):
        with pytest.raises(ConfigError, match=message):
            simulated(wrong)
    with pytest.raises(ConfigError, match=r"set: found 'm1\.x=1', expected one of cpu, .*and a path behind it"):
        simulated(asked().model_copy(update={"set": ("m1.x=1",)}))
    outcome = simulated(form("tokens=4", "warm_up=4").only([{"system": "metal", "model": "opt-6.7b", "method": "all"}]))
    with pytest.raises(ConfigError, match=r"no such metric: found totals, .*did you mean 'total'"):
        outcome.measure("totals", {})
    with pytest.raises(ConfigError, match=r"baseline: .*found nothing"):
        outcome.measure("speedup", {"system": "metal"})
    with pytest.raises(ConfigError, match="not 0"):
        outcome.measure("io", {"system": "cpu"})
