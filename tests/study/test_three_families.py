"""The study of three families: a space large enough to search, and what a search of it must find."""

from __future__ import annotations

import pytest

from simulator.study.load import load_study
from simulator.study.results import results_of


@pytest.mark.slow
def test_local_search_finds_nearly_all_within_a_twentieth_of_the_points_and_random_search_less() -> None:
    results = results_of(load_study("three-families", ["search.methods=[random, local]"]))
    assert results.searches is not None
    feasible = int(results.points["points"]["feasible"].sum())
    assert feasible >= 20_000
    assert set(results.study.runs["points"].objectives) == {"tokens_per_s", "dies_mm2", "energy_per_token_j"}
    assert results.searches["evaluations"].max() <= 0.05 * feasible
    reached = results.searches.groupby(["method", "seed"])["hypervolume"].max().unstack()
    assert reached.shape == (2, 5)
    assert reached.loc["local"].median() >= 0.95
    assert reached.loc["local"].median() > reached.loc["random"].median()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["three-families", "three-families-mixtral"])
def test_every_family_has_designs_that_no_other_beats(name: str) -> None:
    points = results_of(load_study(name, ["search=null", "charts=null"])).frames()["points"]
    assert set(points["hardware"]) == {"family-gpu", "family-dataflow", "family-logic-pim"}
