"""Skew of routed experts: what the experiment's README claims."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.study.results import StudyResults
from simulator.validation.published import Published


@pytest.fixture(scope="module")
def rows(published: Callable[[str], list[Published]]) -> list[Published]:
    return published("expert-skew")


@pytest.fixture(scope="module")
def results(simulated: Callable[..., StudyResults]) -> StudyResults:
    """All routers, at 32 and 512 tokens; what is published of few tokens, as the test of it asks."""
    return simulated("expert-skew", ["axes.workload.tokens=[25, 32, 64, 128, 512]"])


Measured = Callable[[str, str, int], float]


@pytest.fixture(scope="module")
def value(results: StudyResults) -> Measured:
    return lambda metric, router, tokens: results.measure(metric, {"router": router, "tokens": tokens}) or 0.0


def test_uniform_routing_agrees_with_what_others_drew(rows: list[Published], results: StudyResults) -> None:
    drawn = [row for row in rows if row.figure == "Expert parallelism"]
    assert len(drawn) == 10
    for row in drawn:
        assert row.from_si(results.measure(row.metric, row.condition) or 0.0) == pytest.approx(row.published, rel=0.01)


def test_measured_popularity_gives_the_skew_of_steps_whose_tokens_are_independent(
    rows: list[Published], results: StudyResults
) -> None:
    named = ("Decode, answers parted", "Neighbours")
    some = [row for row in rows if row.figure in named and row.metric == "busiest_over_mean"]
    assert len(some) == 5
    for row in some:
        assert results.measure(row.metric, row.condition) == pytest.approx(row.published, rel=0.06)


def test_and_too_little_where_answers_begin_alike(rows: list[Published], results: StudyResults) -> None:
    for row in rows:
        if row.figure == "Decode, all passes":
            assert row.from_si(results.measure(row.metric, row.condition) or 0.0) < 0.8 * row.published


def test_measured_routing_is_near_uniform_and_zipf_is_not(value: Measured) -> None:
    busiest = [value("busiest_over_mean", r, 512) for r in ("uniform", "qwen-layer-0", "topics", "dirichlet", "zipf")]
    assert busiest == sorted(busiest)
    assert busiest[1] < 1.2 * busiest[0]
    assert busiest[4] > 8 * busiest[0]
    effective = [value("effective_experts", r, 512) for r in ("uniform", "qwen-layer-0", "dirichlet", "zipf")]
    assert effective == sorted(effective, reverse=True)


def test_one_hot_expert_is_as_hot_in_steps_of_any_size(value: Measured) -> None:
    assert value("busiest_over_mean", "olmoe-layer-0", 512) == pytest.approx(
        value("busiest_over_mean", "olmoe-layer-0", 25), rel=0.01
    )


def test_skew_helps_engines_that_share_experts(value: Measured) -> None:
    gains = [value("sharing_speedup", router, 512) for router in ("uniform", "qwen-layer-0", "dirichlet", "zipf")]
    assert gains == sorted(gains)
    assert value("sharing_speedup_even", "uniform", 512) < gains[0]
    assert gains[3] > 1.5 * gains[0]
    bound_by_memory = [value("sharing_speedup", router, 32) for router in ("uniform", "zipf")]
    assert bound_by_memory[1] == pytest.approx(bound_by_memory[0], rel=0.05)


def test_nothing_counts_as_a_prediction_of_what_the_popularity_was_measured_on(rows: list[Published]) -> None:
    assert {row.role for row in rows} == {"context"}
