"""Samba-CoE beside its published values: what the experiment's README claims."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import Any

import pytest

from simulator import data
from simulator.baselines.reproduction import Reproduction, compare_with_published
from simulator.baselines.simulate import simulate


@pytest.fixture(scope="module")
def reproduction() -> Reproduction:
    return compare_with_published("sn40l-coe")


def values(reproduction: Reproduction, metric: str, **condition: Any) -> list[tuple[Mapping[str, Any], float, float]]:
    return [
        (row.published.condition, row.published.published, row.simulated or 0.0)
        for row in reproduction.rows
        if row.published.metric == metric and condition.items() <= row.published.condition.items()
    ]


def test_every_prediction_is_within_3_percent_or_its_reading_error(reproduction: Reproduction) -> None:
    predictions = reproduction.predictions()
    assert len(predictions) > 100
    assert [row.published for row in predictions if not row.agrees] == []


def test_spill_points_out_of_memory_and_footprint_steps_are_exact(reproduction: Reproduction) -> None:
    for metric, count in (("last_fit", 5), ("first_miss", 5), ("out_of_memory", 8), ("nodes_from", 20), ("nodes", 2)):
        found = values(reproduction, metric)
        assert len(found) == count
        assert all(published == simulated for _, published, simulated in found), metric


def test_the_calibrations_solve_the_published_values_that_they_were_fitted_to(reproduction: Reproduction) -> None:
    fitted = [row for row in reproduction.rows if row.published.role == "calibration"]
    for row in fitted:
        assert row.ratio == pytest.approx(1.0, abs=4e-3), row.published


def test_an_lru_hit_copies_nothing_where_the_figure_charges_copies(reproduction: Reproduction) -> None:
    disputed = [row for row in reproduction.rows if row.published.role == "disputed" and row.published.figure == "12a"]
    assert [row.published.condition["experts"] for row in disputed] == [10, 15, 20, 25, 30, 35]
    assert all(row.simulated == pytest.approx(9 * 66.75) for row in disputed)


def test_eight_links_would_cost_the_paper_most_of_its_advantage(reproduction: Reproduction) -> None:
    # Facts of the paper, section 5a: 54.7 and 27.3 ms, ratios 3.9 and 1.95, overall 2.3 and 1.5.
    links = reproduction.variants["eight_links"].outcome
    both = {"system": "sn40l-node", "baseline": "dgx-a100", "batch": 8, "tokens": 20, "experts": 100}
    assert links.measure("switch_time", {"system": "dgx-a100"}) == pytest.approx(54.7e-3, rel=1e-3)
    assert links.measure("speedup", both) == pytest.approx(2.3, abs=0.05)
    assert links.measure("speedup", both | {"baseline": "dgx-h100"}) == pytest.approx(1.5, abs=0.05)


def test_the_host_that_keeps_all_experts_is_full_at_150_and_one_that_moves_them_at_200(
    reproduction: Reproduction,
) -> None:
    point = {"system": "dgx-a100", "batch": 1, "tokens": 20}
    exclusive = reproduction.variants["exclusive"].outcome
    full = [
        (o.measure("out_of_memory", point | {"experts": 150}), o.measure("out_of_memory", point | {"experts": 200}))
        for o in (reproduction.base.outcome, exclusive)
    ]
    assert full == [(1.0, 1.0), (0.0, 1.0)]


def test_without_calibration_the_same_code_gives_times_of_the_same_order(reproduction: Reproduction) -> None:
    outcome = reproduction.variants["uncalibrated"].outcome
    for system, paper in (("sn40l-node", 0.3605), ("dgx-a100", 1.1536), ("dgx-h100", 0.8291)):
        point = {"system": system, "batch": 1, "tokens": 200, "experts": 10}
        run = (outcome.measure("execution", point) or 0.0) - (
            outcome.measure("execution", point | {"tokens": 20}) or 0.0
        ) / 2
        assert 0.7 * paper < run < paper


@pytest.mark.parametrize("setting", ["policy=belady", "prefetch=batch", "prefetch=trace"])
def test_better_policies_are_never_slower(setting: str) -> None:
    small = [
        "experts=[45, 100]",
        "batches=[8]",
        "tokens=[20]",
        "trace={kind: zipf, exponent: 1.0, seed: 1, rounds: 20}",
    ]
    before, after = (simulate("sn40l-coe", [*small, *more]).frames()["points"] for more in ([], [setting]))
    assert (after.latency_s <= before.latency_s + 1e-12).all()
    assert (after.latency_s < before.latency_s - 1e-6).any()


def test_published_values_are_unique_and_have_roles_and_sources() -> None:
    file = data.folder("experiments") / "sn40l-coe" / "published.csv"
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert all(row["source"] and row["role"] for row in rows)
    assert sum(row["role"] == "prediction" for row in rows) == 136
