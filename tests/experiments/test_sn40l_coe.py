"""Samba-CoE beside its published values: what the experiment's README claims."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from simulator import data
from simulator.study.load import load_study
from simulator.study.results import StudyResults
from simulator.validation.published import Published

NAME = "sn40l-coe"
SMALL = ["runs.service.axes.workload.experts=[45, 100]", "runs.service.axes.workload.batch=[8]"]


@pytest.fixture(scope="module")
def rows(published: Callable[[str], list[Published]]) -> list[Published]:
    return published(NAME)


@pytest.fixture(scope="module")
def results(simulated: Callable[..., StudyResults]) -> StudyResults:
    return simulated(NAME)


def simulated_of(results: StudyResults, row: Published) -> float:
    """In the unit of the row."""
    value = results.measure(row.metric, row.condition)
    assert value is not None
    return row.from_si(value)


def test_every_prediction_is_within_3_percent_or_its_reading_error(
    rows: list[Published], results: StudyResults
) -> None:
    predictions = [row for row in rows if row.role == "prediction"]
    assert len(predictions) == 136
    assert [row for row in predictions if not row.agrees(simulated_of(results, row))] == []


def test_spill_points_out_of_memory_and_footprint_steps_are_exact(rows: list[Published], results: StudyResults) -> None:
    for metric, count in (("last_fit", 5), ("first_miss", 5), ("out_of_memory", 8), ("nodes_from", 20), ("nodes", 2)):
        own = [row for row in rows if row.metric == metric]
        assert len(own) == count
        assert all(row.published == simulated_of(results, row) for row in own), metric


def test_the_calibrations_solve_the_published_values_that_they_were_fitted_to(
    rows: list[Published], results: StudyResults
) -> None:
    for row in (row for row in rows if row.role == "calibration"):
        assert simulated_of(results, row) == pytest.approx(row.published, rel=4e-3), row


def test_an_lru_hit_copies_nothing_where_the_figure_charges_copies(
    rows: list[Published], results: StudyResults
) -> None:
    disputed = [row for row in rows if row.role == "disputed" and row.figure == "12a"]
    assert [row.condition["experts"] for row in disputed] == [10, 15, 20, 25, 30, 35]
    assert all(simulated_of(results, row) == pytest.approx(9 * 66.75) for row in disputed)


def settings(name: str) -> list[Any]:
    """What a variant sets."""
    return list(load_study(NAME).form.variants[name].set.items())


@pytest.mark.slow
def test_eight_links_would_cost_the_paper_most_of_its_advantage(simulated: Callable[..., StudyResults]) -> None:
    # 54.7 and 27.3 ms, ratios 3.9 and 1.95, overall 2.3 and 1.5.
    links = simulated(NAME, [*SMALL, *settings("eight_links")])
    both = {"system": "sn40l-node", "baseline": "dgx-a100", "batch": 8, "tokens": 20, "experts": 100}
    assert links.measure("switch_time", {"system": "dgx-a100"}) == pytest.approx(54.7e-3, rel=1e-3)
    assert links.measure("speedup", both) == pytest.approx(2.3, abs=0.05)
    assert links.measure("speedup", both | {"baseline": "dgx-h100"}) == pytest.approx(1.5, abs=0.05)


def test_the_host_that_keeps_all_experts_is_full_at_150_and_one_that_moves_them_at_200(
    results: StudyResults, simulated: Callable[..., StudyResults]
) -> None:
    axes = ["runs.service.axes.workload.experts=[150, 200]", "runs.service.axes.workload.batch=[1]"]
    exclusive = simulated(NAME, [*axes, *settings("exclusive")])
    point = {"system": "dgx-a100", "batch": 1, "tokens": 20}
    full = [
        tuple(some.measure("out_of_memory", point | {"experts": experts}) for experts in (150, 200))
        for some in (results, exclusive)
    ]
    assert full == [(1.0, 1.0), (0.0, 1.0)]


@pytest.mark.slow
def test_without_calibration_the_same_code_gives_times_of_the_same_order(
    simulated: Callable[..., StudyResults],
) -> None:
    axes = ["runs.service.axes.workload.experts=[10]", "runs.service.axes.workload.batch=[1]"]
    results = simulated(NAME, [*axes, *settings("uncalibrated")])
    for system, paper in (("sn40l-node", 0.3605), ("dgx-a100", 1.1536), ("dgx-h100", 0.8291)):
        point: Mapping[str, Any] = {"system": system, "batch": 1, "experts": 10}
        both = [results.measure("execution", {**point, "tokens": tokens}) or 0.0 for tokens in (20, 200)]
        run = both[1] - both[0] / 2
        assert 0.7 * paper < run < paper


@pytest.mark.parametrize(
    "setting",
    [*(pytest.param(each, marks=pytest.mark.slow) for each in ("policy=belady", "prefetch=batch")), "prefetch=trace"],
)
def test_better_policies_are_never_slower(simulated: Callable[..., StudyResults], setting: str) -> None:
    trace = ["base.workload.trace={kind: zipf, exponent: 1.0, seed: 1, rounds: 20}"]
    tokens = ["runs.service.axes.workload.output.values=[20]"]
    before, after = (
        simulated(NAME, [*SMALL, *tokens, *trace, *more]).points["service"].latency_s
        for more in ([], [f"base.mapping.residency.{setting}"])
    )
    assert (after <= before + 1e-12).all()
    assert (after < before - 1e-6).any()


def test_published_values_have_roles_and_sources() -> None:
    file = data.folder("experiments") / NAME / "published.csv"
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert all(row["source"] and row["role"] for row in rows)
