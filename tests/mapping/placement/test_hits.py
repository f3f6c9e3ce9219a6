"""Laws of a cache of routed experts: no policy beats Belady's, more room misses no more, the closed forms hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simulator.mapping.placement.hits import Hits, replayed
from simulator.registry import names
from simulator.workload.routing.draws import counts
from simulator.workload.routing.generated import generated
from simulator.workload.routing.recording import RoutingTrace
from simulator.workload.routing.routers import uniform

EXPERTS = 6
chosen = arrays(np.int32, st.tuples(st.integers(1, 6), st.integers(1, 3), st.just(EXPERTS)), elements=st.integers(0, 2))
rooms, apart = st.integers(0, EXPERTS), st.booleans()


def misses(counts: np.ndarray, room: int, apart: bool, policy: str) -> int:
    return int(replayed(counts, room, apart, policy).missed.sum())


@given(chosen, rooms, apart)
@settings(max_examples=50, deadline=None)
def test_no_policy_misses_less_than_belady(counts: np.ndarray, room: int, apart: bool) -> None:
    best = misses(counts, room, apart, "belady")
    assert all(best <= misses(counts, room, apart, name) for name in names("residency"))


@given(chosen, st.integers(0, EXPERTS - 1), apart, st.sampled_from(["lru", "belady", "popularity"]))
@settings(max_examples=50, deadline=None)
def test_more_room_never_misses_more(counts: np.ndarray, room: int, apart: bool, policy: str) -> None:
    assert misses(counts, room + 1, apart, policy) <= misses(counts, room, apart, policy)


@given(chosen, apart, st.sampled_from(names("residency")))
@settings(max_examples=30, deadline=None)
def test_no_room_misses_all_and_room_for_all_misses_nothing(counts: np.ndarray, apart: bool, policy: str) -> None:
    none, all_of_them = (replayed(counts, room, apart, policy) for room in (0, EXPERTS * counts.shape[1]))
    assert np.array_equal(none.missed, np.count_nonzero(counts, axis=-1))
    assert not all_of_them.missed.any()


@given(chosen, rooms)
@settings(max_examples=50, deadline=None)
def test_the_popular_ones_are_there_and_no_others(counts: np.ndarray, room: int) -> None:
    requests = np.sort(np.count_nonzero(counts, axis=0), axis=-1)[:, ::-1]
    assert misses(counts, room, True, "popularity") == requests[:, room:].sum()


@given(chosen, rooms, st.floats(0, 1), st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_what_is_foretold_is_copied_ahead_or_in_vain(counts: np.ndarray, room: int, share: float, seed: int) -> None:
    plain, ahead = replayed(counts, room, True, "lru"), replayed(counts, room, True, "lru", share, seed)
    assert np.array_equal(plain.missed, ahead.missed), "what is foretold displaces nothing"
    assert np.array_equal(plain.late, plain.missed)
    assert (ahead.late + ahead.ahead >= ahead.missed).all()
    assert not ahead.ahead[:, 0].any(), "nobody foretells the first layer"
    certain = replayed(counts, room, True, "belady", 1.0, seed)
    assert (certain.late + certain.ahead <= certain.needed).all()


@pytest.mark.parametrize("policy", ["lru", "fifo"])
@pytest.mark.parametrize(("tokens", "top_k"), [(1, 1), (1, 2), (8, 2)])
def test_uniform_independent_choices_hit_as_often_as_the_cache_has_a_share_of_the_experts(
    policy: str, tokens: int, top_k: int
) -> None:
    drawn = counts(uniform(16, top_k), np.full(2000, tokens), 1)
    hits = replayed(drawn, 4, True, policy)
    assert hits.rate(prefill=False) == pytest.approx(4 / 16, abs=0.03)


def test_a_recording_is_walked_token_by_token() -> None:
    choices = np.arange(2 * 10 * 1).reshape(2, 10, 1) % 5
    trace = RoutingTrace(5, choices, (0, 1), np.array([0]))
    walked = generated(trace, batch=2, input=3, steps=2, layers=3)
    assert walked.shape == (3, 3, 5)
    for layer in range(3):
        rows = choices[layer % 2, :, 0]
        assert np.array_equal(walked[0, layer], np.bincount(rows[[0, 1, 2, 5, 6, 7]], minlength=5))
        for step in range(2):
            assert np.array_equal(walked[1 + step, layer], np.bincount(rows[[3 + step, (8 + step) % 10]], minlength=5))


def test_a_rate_counts_the_prefill_apart() -> None:
    each = np.array([[4], [2], [2]])
    hits = Hits(each, np.array([[4], [1], [0]]), each, each, each)
    assert (hits.rate(prefill=True), hits.rate(prefill=False)) == (0.0, 0.75)
