"""Picks by cells of the cumulative popularity are those of a search, to the last one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.workload.routing.successive import CELLS, choices


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(1e-12, 1.0), min_size=2, max_size=60).filter(lambda p: min(p) < max(p)), st.integers(0, 99))
def test_many_picks_are_those_of_a_search(popularity: list[float], seed: int) -> None:
    bounds = np.cumsum(popularity)
    picked = choices(np.random.default_rng(seed), CELLS, np.array(popularity), 1)[:, 0]
    places = np.random.default_rng(seed).random(CELLS) * bounds[-1]
    assert np.array_equal(picked, np.minimum(np.searchsorted(bounds, places, side="right"), len(popularity) - 1))


@pytest.mark.parametrize("tokens", [0, 1, CELLS - 1, 3 * CELLS])
def test_no_token_picks_an_expert_twice(tokens: int) -> None:
    picks = choices(np.random.default_rng(1), tokens, np.array([1e-12, 1.0, 3.0, 1e-12, 2.0, 1e-6]), 5)
    assert picks.shape == (tokens, 5)
    assert np.all(np.diff(np.sort(picks, axis=1), axis=1) > 0)
