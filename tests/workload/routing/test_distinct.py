"""Distinct experts: against drawing them, and between their bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload.routing.distinct import counted, popularity, tokens_of_expert, uniform

sizes = st.integers(1, 64).flatmap(lambda experts: st.tuples(st.just(experts), st.integers(1, experts)))


@pytest.mark.parametrize(
    ("experts", "top_k", "tokens"), [(8, 2, 1), (8, 2, 4), (64, 2, 32), (128, 8, 16), (256, 8, 64)]
)
def test_uniform_agrees_with_drawing(experts: int, top_k: int, tokens: int) -> None:
    random = np.random.Generator(np.random.PCG64(1))
    draws = [
        len(np.unique(np.argpartition(random.random((tokens, experts)), top_k - 1, axis=1)[:, :top_k]))
        for _ in range(2000)
    ]
    error = 5 * np.std(draws) / np.sqrt(len(draws)) + 1e-9
    assert uniform(experts, top_k)(tokens) == pytest.approx(np.mean(draws), abs=error)


@settings(deadline=None)
@given(sizes, st.integers(1, 2000))
def test_uniform_lies_between_its_bounds_and_grows(size: tuple[int, int], tokens: int) -> None:
    experts, top_k = size
    distinct = uniform(experts, top_k)
    assert top_k * (1 - 1e-12) <= distinct(tokens) <= min(experts, top_k * tokens) * (1 + 1e-12)
    assert distinct(tokens) <= distinct(tokens + 1) + 1e-12


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=16), st.integers(1, 500))
def test_skew_touches_no_more_than_even_shares(shares: list[float], tokens: int) -> None:
    even = popularity(np.full(len(shares), np.mean(shares)))
    assert popularity(shares)(tokens) <= even(tokens) * (1 + 1e-9) + 1e-12


def test_even_shares_are_uniform_routing() -> None:
    tokens = np.array([1.0, 10, 100])
    np.testing.assert_allclose(popularity(np.full(8, 2 / 8))(tokens), uniform(8, 2)(tokens), rtol=1e-14)


def test_counts_of_a_trace() -> None:
    choices = np.array([[0, 3], [3, 1], [0, 3]])
    counts = tokens_of_expert(choices, experts=6)
    assert counts.tolist() == [2, 1, 0, 3, 0, 0]
    assert counted(counts)(3.0) == 3
    shares = counts / len(choices)
    assert shares.sum() == 2  # top_k
    assert popularity(shares)(1.0) == pytest.approx(2)


@pytest.mark.parametrize("choices", [[[0, 6]], [[-1, 2]], [[0.5, 1]]])
def test_an_expert_that_is_not_there_is_refused(choices: list[list[float]]) -> None:
    with pytest.raises(ConfigError, match="expected 0 to 5"):
        tokens_of_expert(choices, experts=6)


@pytest.mark.parametrize("shares", [[0.5, 1.5], [-0.1, 1], [float("nan")], [[0.5]]])
def test_shares_are_probabilities(shares: list[float]) -> None:
    with pytest.raises(ConfigError, match=r"0\.\.1"):
        popularity(shares)
