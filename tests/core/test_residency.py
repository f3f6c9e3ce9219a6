from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.residency import Belady, Fifo, Lru, Residency, policy
from simulator.errors import CapacityError, ConfigError
from simulator.registry import names

traces = st.lists(st.integers(0, 7), min_size=1, max_size=80)


def misses(name: str, trace: list[int], room: int, bypass: bool = False) -> int:
    cache = Residency(room, policy(name, trace), bypass=bypass)
    for key in trace:
        cache.request(key, 1)
    return cache.misses


@given(traces, st.integers(1, 8))
def test_no_policy_beats_belady(trace: list[int], room: int) -> None:
    best = misses("belady", trace, room)
    assert len(set(trace)) <= best
    assert all(best <= misses(name, trace, room) for name in names("residency"))


@given(traces, st.integers(1, 7), st.sampled_from(["lru", "belady"]))
def test_more_room_never_misses_more(trace: list[int], room: int, name: str) -> None:
    assert misses(name, trace, room + 1) <= misses(name, trace, room)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), max_size=60), st.sampled_from(names("residency")))
def test_books_balance_to_the_byte(requests: list[tuple[int, int]], name: str) -> None:
    sizes = {key: key * 3 + 1 for key in range(10)}
    cache = Residency(40, policy(name, [key for key, _ in requests]))
    pinned: list[int] = []
    for key, pin in requests:
        held = cache.used
        try:
            cache.request(key, sizes[key])
        except CapacityError:
            assert cache.used == held, "a refusal changes nothing"
            continue
        assert key in cache
        if pin == 0 and sum(sizes[k] for k in {*pinned, key}) <= 40:
            cache.pin(key)
            pinned.append(key)
        assert cache.used == sum(sizes[k] for k in cache) <= cache.capacity  # type: ignore[index]
        assert all(k in cache for k in pinned)
    assert cache.hits + cache.misses <= len(requests)


@given(traces, st.integers(0, 8))
def test_no_policy_beats_belady_where_a_tier_may_be_bypassed(trace: list[int], room: int) -> None:
    best = misses("belady", trace, room, bypass=True)
    assert all(best <= misses(name, trace, room, bypass=True) for name in names("residency"))
    assert best <= (misses("belady", trace, room) if room else len(trace))


@given(traces, st.integers(0, 8))
def test_the_most_popular_stay_once_they_have_come(trace: list[int], room: int) -> None:
    counts = sorted(Counter(trace).values(), reverse=True)
    cache = Residency(room, policy("popularity", trace), bypass=True)
    for key in [*Counter(dict(Counter(trace).most_common())), *trace]:
        cache.request(key, 1)
    assert cache.hits == sum(counts[:room])


def test_a_cycle_one_longer_than_the_room_misses_always_with_lru() -> None:
    trace = list(range(5)) * 10
    assert misses("lru", trace, 4) == 50
    assert misses("lru", trace, 5) == 5
    assert misses("belady", trace, 4) < 20


def test_order_of_leaving() -> None:
    lru, fifo = Residency(2, Lru()), Residency(2, Fifo())
    for cache in (lru, fifo):
        for key in "aba":
            cache.request(key, 1)
        cache.request("c", 1)
    assert ("a" in lru, "b" in lru) == (True, False)
    assert ("a" in fifo, "b" in fifo) == (False, True)


def test_belady_keeps_what_comes_next() -> None:
    cache = Residency(2, Belady("abcab"))
    assert [cache.request(key, 1) for key in "abcab"] == [False, False, False, True, False]


def test_a_pinned_key_stays_and_what_cannot_fit_is_refused_with_the_bytes() -> None:
    cache = Residency(10, Lru(), name="node.hbm")
    cache.request("router", 4)
    cache.pin("router")
    with pytest.raises(CapacityError, match=r"node\.hbm.*needs 7 B, there are 6 B"):
        cache.request("expert", 7)
    cache.unpin("router")
    assert cache.request("expert", 7) is False
    assert "router" not in cache


def test_an_unknown_policy_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="lru"):
        policy("lruu", [])
