"""Measures of unevenness: their ends, and what does not change them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.workload.routing.skew import busiest_over_mean, effective_experts, even, gini, idle

some = st.lists(st.integers(0, 500), min_size=1, max_size=40).filter(any)


@pytest.mark.parametrize("experts", [1, 5, 60])
def test_even_counts(experts: int) -> None:
    counts = np.full((2, experts), 7)
    for measure, value in ((busiest_over_mean, 1), (idle, 0), (effective_experts, experts), (gini, 0)):
        assert measure(counts) == pytest.approx([value, value], abs=1e-12)


@pytest.mark.parametrize("experts", [1, 5, 60])
def test_all_on_one(experts: int) -> None:
    counts = np.zeros(experts, dtype=np.int64)
    counts[experts // 2] = 9
    for measure, value in ((busiest_over_mean, experts), (effective_experts, 1)):
        assert measure(counts) == pytest.approx(value)
    for measure in (idle, gini):
        assert measure(counts) == pytest.approx(1 - 1 / experts)


def test_known_counts() -> None:
    counts = [0, 1, 1, 2]
    assert busiest_over_mean(counts) == 2
    assert idle(counts) == 0.25
    assert effective_experts(counts) == pytest.approx(np.exp(1.5 * np.log(2)))
    assert gini(counts) == pytest.approx(6 / 16)  # -3 x 0 - 1 x 1 + 1 x 1 + 3 x 2, over 4 experts x 4 picks


@settings(deadline=None)
@given(some, st.integers(2, 9), st.randoms())
def test_neither_order_nor_scale_matters(counts: list[int], scale: int, random: object) -> None:
    shuffled = list(counts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for measure in (busiest_over_mean, idle, effective_experts, gini):
        assert measure(np.array(shuffled) * scale) == pytest.approx(measure(counts), abs=1e-12)


@settings(deadline=None)
@given(some)
def test_measures_are_bounded(counts: list[int]) -> None:
    experts = len(counts)
    assert 1 <= busiest_over_mean(counts) <= experts
    assert 0 <= idle(counts) <= 1 - 1 / experts
    assert 1 - 1e-9 <= effective_experts(counts) <= experts * (1 - idle(counts)) * (1 + 1e-9)
    assert -1e-12 <= gini(counts) <= 1 - 1 / experts + 1e-12


def test_no_tokens_are_neither_even_nor_uneven() -> None:
    counts = np.zeros((3, 4))
    assert np.isnan(busiest_over_mean(counts)).all()
    assert np.isnan(gini(counts)).all()
    assert np.isnan(effective_experts(counts)).all()
    assert idle(counts).tolist() == [1, 1, 1]


@given(picks=st.integers(0, 200), experts=st.integers(1, 20))
def test_even_counts_are_all_picks_and_differ_by_one_at_most(picks: int, experts: int) -> None:
    counts = even(picks, experts)
    assert counts.shape == (experts,)
    assert counts.sum() == picks
    assert counts.max() - counts.min() <= 1
