"""Tokens of each expert: the sums and bounds of every draw, and the exact laws where they are known."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.workload.routing.draws import Pool, counts, pool, pooled
from simulator.workload.routing.routers import (
    ROUTERS,
    Popular,
    Router,
    dirichlet,
    measured,
    popular,
    recorded,
    topics,
    uniform,
    zipf,
)

sizes = st.integers(1, 40).flatmap(lambda experts: st.tuples(st.just(experts), st.integers(1, min(experts, 6))))


def neighbours(experts: int, top_k: int) -> Router:
    """A recording of two layers and 17 tokens, each of which picks neighbouring experts."""
    first = np.arange(34).reshape(2, 17, 1) ** 2
    return recorded((first + np.arange(top_k)) % experts, experts)


KINDS: dict[str, Callable[[int, int], Router]] = {**ROUTERS, "recorded": neighbours}


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=20)
@given(size=sizes, tokens=st.lists(st.integers(0, 60), max_size=6), layers=st.integers(1, 3), seed=st.integers(0, 9))
def test_every_token_picks_so_many_different_experts(
    kind: str, size: tuple[int, int], tokens: list[int], layers: int, seed: int
) -> None:
    experts, top_k = size
    drawn = counts(KINDS[kind](experts, top_k), np.array(tokens, dtype=np.int64), layers, seed)
    steps = np.array(tokens, dtype=np.int64)[:, np.newaxis]
    assert drawn.shape == (len(tokens), layers, experts)
    assert np.all(drawn.sum(axis=-1) == top_k * steps)
    assert np.all((drawn >= 0) & (drawn <= steps[..., np.newaxis]))


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=20)
@given(size=sizes, most=st.integers(1, 40), layers=st.integers(1, 3), seed=st.integers(0, 9))
def test_a_pool_is_nested(kind: str, size: tuple[int, int], most: int, layers: int, seed: int) -> None:
    experts, top_k = size
    made = pool(KINDS[kind](experts, top_k), most, layers, draws=5, seed=seed)
    before = made.counts(0)
    assert before.shape == (5, layers, experts)
    assert not before.any()
    for tokens in range(1, most + 1):
        now = made.counts(tokens)
        assert np.all((now - before >= 0) & (now - before <= 1))  # a token picks an expert once
        assert np.all((now - before).sum(axis=-1) == top_k)
        before = now
    first = made.counts(most // 2)
    assert np.array_equal(first + made.counts(most, most // 2), before)


def test_whoever_draws_the_same_shares_it() -> None:
    router = uniform(8, 2)
    one, same, other = pooled(router, 5, 2, 1), pooled(router, 5, 2, 1), pooled(router, 5, 2, 2)
    assert one is same
    assert not np.array_equal(one, other)
    assert np.array_equal(one, pool(router, 5, 2, seed=1).counts(5))
    with pytest.raises(ValueError, match="read-only"):
        one[0] = 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_fixes_the_draws(kind: str) -> None:
    router, tokens = KINDS[kind](16, 2), np.arange(50) + 100
    one, same, other = (counts(router, tokens, 3, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    one, same, other = (pool(router, 30, 3, draws=20, seed=seed).choices for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_layers_and_steps_are_drawn_apart() -> None:
    drawn = counts(uniform(16, 2), np.full(40, 500), 3)
    assert len(np.unique(drawn.reshape(-1, 16), axis=0)) == 120


# --- the laws


def both_ways(router: Router, tokens: int, steps: int) -> tuple[NDArray[np.float64], ...]:
    """Counts of one layer drawn by each of the two functions, shape (steps, experts)."""
    fresh = counts(router, np.full(steps, tokens), 1, seed=3)[:, 0]
    pooled = pool(router, tokens, 1, draws=steps, seed=3).counts(tokens)[:, 0]
    return fresh.astype(np.float64), pooled.astype(np.float64)


@pytest.mark.parametrize(("experts", "top_k", "tokens"), [(8, 2, 1), (8, 2, 12), (64, 2, 40), (60, 4, 20), (5, 5, 3)])
def test_uniform_counts_are_binomial_and_repel_each_other(experts: int, top_k: int, tokens: int) -> None:
    """Mean, variance and P(0) of Binomial(n, k/E); covariance n (k (k - 1) / (E (E - 1)) - (k / E)^2)."""
    steps, p = 20_000, top_k / experts
    for drawn in both_ways(uniform(experts, top_k), tokens, steps):
        variance = tokens * p * (1 - p)
        samples = steps * experts
        assert drawn.mean() == pytest.approx(tokens * p, rel=1e-12)
        assert np.all(np.abs(drawn.mean(axis=0) - tokens * p) <= 5 * sqrt(variance / steps) + 1e-12)
        fourth = variance * (1 + 3 * variance)  # at least the fourth central moment of a binomial
        assert drawn.var() == pytest.approx(variance, abs=5 * sqrt(fourth / steps) + 1e-12)
        missed = (1 - p) ** tokens
        assert np.mean(drawn == 0) == pytest.approx(missed, abs=5 * sqrt(missed * (1 - missed) / samples) + 1e-12)
        pair = np.mean((drawn[:, 0] - tokens * p) * (drawn[:, -1] - tokens * p))
        together = tokens * (top_k * (top_k - 1) / (experts * (experts - 1)) - p**2)
        assert pair == pytest.approx(together, abs=5 * sqrt(fourth / steps) + 1e-12)


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_tokens_pick_by_popularity_among_those_left(top_k: int) -> None:
    """One token: the probability of each set is the sum over its orders of p_e / (1 - what is picked)."""
    p, steps = np.array([0.5, 0.2, 0.15, 0.1, 0.05]), 40_000
    expected: dict[tuple[int, ...], float] = {}
    for order in permutations(range(5), top_k):
        probability, left = 1.0, 1.0
        for e in order:
            probability, left = probability * p[e] / left, left - p[e]
        expected[tuple(sorted(order))] = expected.get(tuple(sorted(order)), 0.0) + probability
    for drawn in both_ways(popular(p, top_k), 1, steps):
        for chosen, probability in expected.items():
            share = np.mean(drawn[:, list(chosen)].all(axis=1))
            assert share == pytest.approx(probability, abs=5 * sqrt(probability * (1 - probability) / steps))


def test_many_experts_are_drawn_by_the_law_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets drawn as such, and tokens drawn one by one, agree in mean and variance."""
    router, tokens = zipf(12, 3, 1.5), np.full(4000, 50)
    by_sets = counts(router, tokens, 1)[:, 0].astype(np.float64)
    monkeypatch.setattr("simulator.workload.routing.successive.SETS", 0)
    by_tokens = counts(router, tokens, 1)[:, 0].astype(np.float64)
    variance = by_sets.var(axis=0)
    assert not np.array_equal(by_sets, by_tokens)
    assert np.all(np.abs(by_sets.mean(axis=0) - by_tokens.mean(axis=0)) <= 5 * np.sqrt(2 * variance / 4000))
    np.testing.assert_allclose(by_tokens.var(axis=0), variance, rtol=5 * sqrt(2 * 2 / 4000))


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(6)), st.integers(0, 5))
def test_renaming_experts_renames_their_counts(names: list[int], seed: int) -> None:
    """Means of a popularity and of the same one renamed agree, expert by expert."""
    p = np.array([6.0, 5, 4, 3, 2, 1])
    one, other = (counts(popular(shares, 2), np.full(3000, 20), 1, seed)[:, 0] for shares in (p, p[names]))
    apart = np.abs(one.mean(axis=0)[names] - other.mean(axis=0))
    assert np.all(apart <= 6 * np.sqrt(2 * 20 * 0.25 / 3000))


def test_an_expert_with_nearly_all_the_popularity_ends_no_loop() -> None:
    p = np.full(100, 1e-12)
    p[7] = 1.0
    drawn = counts(popular(p, 3), np.array([2000]), 1)[0, 0]
    assert drawn[7] == 2000
    assert drawn.sum() == 6000
    assert drawn[np.arange(100) != 7].max() < 100  # the others are even


# --- routers


def test_each_layer_of_zipf_has_its_own_hot_expert() -> None:
    drawn = counts(zipf(64, 2, 1.5), np.array([2000]), 20)[0]
    hottest = drawn.argmax(axis=1)
    assert len(set(hottest.tolist())) > 10
    shares = np.sort(zipf(64, 1, 1.5).popularity(0)[0])[::-1]
    np.testing.assert_allclose(shares, np.arange(1, 65) ** -1.5)


def test_dirichlet_varies_as_its_concentration_says() -> None:
    p = np.array([dirichlet(50, 2, 0.5).popularity(layer)[0] for layer in range(2000)])
    assert p.mean() == pytest.approx(1 / 50)
    assert p.var() == pytest.approx(1 / 50 * (1 - 1 / 50) / (50 * 0.5 + 1), rel=0.05)


def test_tokens_of_a_step_share_their_topic_in_all_layers() -> None:
    router = topics(40, 1, topics=4, concentration=0.02, per_step=1, seed=5)
    drawn = counts(router, np.full(300, 200), 2).astype(np.float64)
    one, other = (drawn[:, layer].argmax(axis=1) for layer in (0, 1))
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    assert 1 < len(pairs) <= 8  # a topic has one hot expert a layer, or two near ones
    mixed = counts(topics(40, 1, topics=4, concentration=0.02, per_step=64, seed=5), np.full(300, 200), 2)
    assert mixed.max(axis=-1).mean() < 0.8 * drawn.max(axis=-1).mean()


def test_a_pool_deals_tokens_to_the_topics_of_a_step_in_turn() -> None:
    sure = np.full((1, 2, 4), 1e-12)  # topic t picks expert t
    sure[0, [0, 1], [0, 1]] = 1.0
    router = Popular(4, 1, lambda layer: sure[layer], topics=2, per_step=2)
    choices = pool(router, 5, 1, draws=30).choices[:, 0, :, 0]
    assert np.all(choices[:, 0::2] == choices[:, :1])
    assert np.all(choices[:, 1::2] == choices[:, 1:2])


def test_recorded_steps_are_neighbours_in_all_layers() -> None:
    """Expert i is token i's in layer 0, and token i's mirror image in layer 1."""
    there = np.stack([np.arange(10), 9 - np.arange(10)])[..., np.newaxis]
    router = recorded(there, experts=10)
    drawn = counts(router, np.array([3] * 50 + [10, 23]), 3)
    for step in drawn[:50]:
        first = {int(e) for e in np.flatnonzero(step[0])}
        assert any(first == {(start + i) % 10 for i in range(3)} for start in range(10))
        assert {9 - e for e in first} == {int(e) for e in np.flatnonzero(step[1])}
    assert np.any(drawn[:50, 0] != drawn[:50, 2])  # the first recorded layer again, from elsewhere
    assert np.all(drawn[50] == 1)
    assert sorted(drawn[51, 0].tolist()) == [2] * 7 + [3] * 3


def test_a_popularity_is_that_of_its_layer() -> None:
    drawn = counts(popular([[1, 1e-12, 1e-12], [1e-12, 1, 1e-12]], 1), np.array([100]), 3)[0]
    assert drawn.argmax(axis=1).tolist() == [0, 1, 0]


@pytest.mark.parametrize(("experts", "top_k", "within"), [(60, 1, 1e-12), (60, 4, 0.03), (64, 8, 0.03), (8, 2, 0.12)])
def test_measured_shares_come_out(experts: int, top_k: int, within: float) -> None:
    """As uneven as recorded layers: one expert that 85 % of all tokens pick, and a tail."""
    tail = np.random.Generator(np.random.PCG64(2)).dirichlet(np.full(experts - 1, 5.0))
    shares = np.array([0.85, *(top_k - 0.85) * tail])
    router = measured(shares)
    assert router.top_k == top_k
    drawn = counts(router, np.full(1000, 1000), 1).mean(axis=(0, 1)) / 1000
    noise = 5 * np.sqrt(shares * (1 - shares) / 1e6)
    assert np.all(np.abs(drawn - shares) <= within * shares + noise)


def test_layers_have_shares_of_their_own() -> None:
    router = measured([[0.9, 0.6, 0.5], [0.5, 0.6, 0.9]])
    assert [int(router.popularity(layer)[0].argmax()) for layer in range(3)] == [0, 2, 0]


def test_equal_shares_are_uniform_routing() -> None:
    np.testing.assert_array_equal(
        counts(measured(np.full(8, 0.25)), np.array([100, 7]), 2), counts(uniform(8, 2), np.array([100, 7]), 2)
    )


# --- what cannot be


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: uniform(0, 1), "experts"),
        (lambda: uniform(4, 5), "top_k: found 5, expected 4 or less"),
        (lambda: uniform(4, 0), "top_k"),
        (lambda: zipf(4, 2, -1), "exponent"),
        (lambda: zipf(4, 2, seed=-1).popularity(0), "seed"),
        (lambda: dirichlet(4, 2, 0), "concentration"),
        (lambda: dirichlet(4, 2, float("nan")), "concentration"),
        (lambda: topics(4, 2, topics=0), "topics"),
        (lambda: topics(4, 2, per_step=0), "per_step"),
        (lambda: popular([1, 0], 1), "positive"),
        (lambda: popular([1, float("inf")], 1), "positive"),
        (lambda: measured([1.0, 0.5, 0.5]), "less than 1"),
        (lambda: measured([0.5, 0.7]), "top_k, a whole number"),
        (lambda: measured([[0.5, 0.5], [0.9, 0.9]]), "top_k, a whole number"),
        (lambda: recorded([[0, 1]], 2), "layers x tokens x top_k"),
        (lambda: recorded([[[0, 2]]], 2), "experts 0 to 1"),
        (lambda: counts(uniform(4, 2), [1.5], 1), "whole numbers"),
        (lambda: counts(uniform(4, 2), [-1], 1), "0 or more"),
        (lambda: counts(uniform(4, 2), [[1]], 1), "a list"),
        (lambda: counts(uniform(4, 2), [1], 0), "layers"),
        (lambda: counts(uniform(4, 2), [1], 1, seed=-1), "seed"),
        (lambda: pool(uniform(4, 2), 0, 1), "most"),
        (lambda: pool(uniform(4, 2), 1, 1, draws=0), "draws"),
        (lambda: pool(uniform(4, 2), 3, 1).counts(4), "0 to 3"),
    ],
)
def test_impossible_draws_are_refused(call: Callable[[], object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        call()


def test_choices_are_kept_small_and_do_not_change() -> None:
    assert pool(uniform(8, 2), 3, 1).choices.dtype == np.uint8
    made: Pool = pool(uniform(300, 2), 3, 1)
    assert made.choices.dtype == np.uint16
    assert made.most == 3
    with pytest.raises(ValueError, match="read-only"):
        made.choices[0] = 1
