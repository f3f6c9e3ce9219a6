"""What a batch sees: pairs and keys in closed form against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload import Sequences, decode, prefill

windows = st.none() | st.integers(1, 40)


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 30), st.integers(0, 60), windows)
def test_pairs_and_keys_are_what_the_mask_shows(count: int, new: int, past: int, window: int | None) -> None:
    seen = [
        {key for key in range(past + new) if key <= past + j and (window is None or key > past + j - window)}
        for j in range(new)
    ]
    group = Sequences(count, new, past)
    assert group.pairs(window) == count * sum(len(keys) for keys in seen)
    assert group.keys(window) == count * len(set.union(*seen))
    assert group.tokens == count * new


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 60), windows)
def test_two_chunks_see_what_one_piece_sees(first: int, second: int, past: int, window: int | None) -> None:
    whole = Sequences(1, first + second, past).pairs(window)
    assert Sequences(1, first, past).pairs(window) + Sequences(1, second, past + first).pairs(window) == whole


@settings(deadline=None)
@given(st.lists(st.integers(0, 100), min_size=1, max_size=8), st.integers(1, 20), windows)
def test_an_array_of_pasts_equals_each_alone(pasts: list[int], new: int, window: int | None) -> None:
    many = Sequences(3, new, np.array(pasts))
    each = [Sequences(3, new, past) for past in pasts]
    np.testing.assert_array_equal(many.pairs(window), [group.pairs(window) for group in each])
    np.testing.assert_array_equal(many.keys(window), [group.keys(window) for group in each])


def test_phases() -> None:
    assert [group.phase for group in prefill(2, 10) + decode(4, 100)] == ["prefill", "decode"]
    assert prefill(2, 10, past=5)[0].past == 5
    assert decode(4, 100)[0].tokens == 4


@pytest.mark.parametrize(
    ("count", "new", "past", "key"),
    [(0, 1, 0, "count"), (1, 0, 0, "new"), (1, 1, -1, "past"), (1, float("nan"), 0, "new"), (1, 1, [3, -1], "past")],
)
def test_impossible_sequences_are_refused(count: float, new: float, past: float, key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}.*or more"):
        Sequences(count, new, past)
