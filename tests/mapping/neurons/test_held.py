from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.mapping.neurons import friends as co_activation
from simulator.mapping.neurons.friends import friends, reads
from simulator.mapping.neurons.held import Keeping, held, settled
from simulator.mapping.neurons.steps import SpeculativeSteps, advances
from simulator.mapping.speculative import expected_length
from simulator.registry import names
from simulator.workload.neurons.hot_cold import HotCold, hot_cold
from simulator.workload.neurons.trace import NeuronTrace, recorded
from simulator.workload.neurons.window_law import WindowLaw, renewal

NEURONS = 16
LAW = WindowLaw.fitted(5, 0.24, 0.024)
traces = st.lists(st.sets(st.integers(0, NEURONS - 1), max_size=6), min_size=1, max_size=30)


def trace_of(tokens: Sequence[set[int]]) -> NeuronTrace:
    return recorded([[sorted(token) for token in tokens]], NEURONS)


@pytest.mark.parametrize("window", [1, 5, 12])
def test_a_window_reads_the_increment_of_the_law_and_holds_its_share(window: int) -> None:
    """OPT-6.7B's law in one layer, 1,000 tokens: within 0.5 % (of increments), by many neurons."""
    traffic = settled(held(renewal(LAW, 4, 16384, 1100), Keeping(window=window)), 100)
    assert traffic.missed.mean() / 16384 == pytest.approx(LAW.increment(window), rel=5e-3)
    assert traffic.held.mean() / 16384 == pytest.approx(float(LAW.at(window)), rel=5e-3)
    assert traffic.reads.sum() == traffic.missed.sum()
    assert traffic.moved.sum() <= traffic.missed.sum() + traffic.held[:, 0].sum()


@given(traces, st.integers(6, NEURONS), st.sampled_from(["lru", "lfu", "belady", "dynamic_window"]))
def test_never_more_than_there_is_room_for(tokens: list[set[int]], room: int, policy: str) -> None:
    traffic = held(trace_of(tokens), Keeping(policy, window=8, capacity=room))
    assert traffic.held.max() <= room
    assert np.all(traffic.computed == traffic.held), "each step's neurons are in the buffer"
    assert traffic.missed.sum() >= len(set[int]().union(*tokens))


@given(traces, st.integers(1, 6), st.integers(1, 10))
def test_pinned_neurons_are_never_read(tokens: list[set[int]], window: int, pinned: int) -> None:
    trace = trace_of(tokens)
    often = np.zeros(NEURONS)
    for token in tokens:
        often[list(token)] += 1
    pins = set(np.argsort(-often, kind="stable")[:pinned].tolist())
    traffic = held(trace, Keeping(window=window, pinned=pinned))
    others = held(trace_of([token - pins for token in tokens]), Keeping(window=window))
    assert np.array_equal(traffic.missed, others.missed)
    assert np.array_equal(traffic.held, others.held + pinned)
    gathered = held(trace, Keeping(window=window, pinned=pinned, gathered=True))
    assert gathered.computed[0].tolist() == [len(token) for token in tokens]


@given(traces, st.integers(0, 3), st.integers(1, NEURONS))
def test_a_page_cache_saves_reads_and_changes_nothing_else(tokens: list[set[int]], window: int, cached: int) -> None:
    policy = "window" if window else "none"
    bare, behind = (held(trace_of(tokens), Keeping(policy, window, cached=room)) for room in (0, cached))
    assert np.array_equal(bare.missed, behind.missed)
    assert np.array_equal(bare.held, behind.held)
    assert np.all(behind.reads <= behind.missed)
    assert behind.reads.sum() >= len(set[int]().union(*tokens)), "each is read once at least"
    whole = held(trace_of(tokens), Keeping(policy, window, cached=NEURONS))
    assert whole.reads.sum() == len(set[int]().union(*tokens)), "and no more where all of them stay"


@given(st.lists(st.integers(0, NEURONS - 2), min_size=NEURONS, max_size=NEURONS), st.sets(st.integers(0, NEURONS - 1)))
def test_friends_cover_what_is_missing(drawn: list[int], missing: set[int]) -> None:
    friend = np.array([f + (f >= i) for i, f in enumerate(drawn)])  # no neuron is its own
    asked = np.array(sorted(missing), dtype=np.int64)
    read = reads(asked, friend)
    assert set(read.tolist()) <= missing
    assert missing <= set(read.tolist()) | set(friend[read].tolist())
    assert (len(missing) + 1) // 2 <= len(read) <= len(missing) or not missing


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sets(st.integers(0, NEURONS - 1)), max_size=8), st.integers(1, NEURONS))
def test_friends_are_those_that_share_most_tokens_of_equals_the_first(
    monkeypatch: pytest.MonkeyPatch, tokens: list[set[int]], block: int
) -> None:
    monkeypatch.setattr(co_activation, "BLOCK", block)
    friend = friends([np.array(sorted(token), dtype=np.int64) for token in tokens], NEURONS)
    for neuron in range(NEURONS):
        shared = [sum(neuron in token and other in token for token in tokens) for other in range(NEURONS)]
        shared[neuron] = -1
        assert friend[neuron] == shared.index(max(shared))


def test_bundling_by_co_activation_does_not_pay() -> None:
    """As arXiv 2312.11514 found: friends are hot neurons, which DRAM has; reads of two bring little that is missing."""
    trace = hot_cold(HotCold(0.13, 0.59, 0.027), 1, 2048, 300)
    alone, bundled = (settled(held(trace, Keeping(window=5, together=t)), 20) for t in ("neuron", "friends"))
    assert np.array_equal(alone.missed, bundled.missed)
    assert bundled.reads.sum() > 0.9 * alone.reads.sum(), "nearly as many reads, each of twice the bytes"


def test_what_a_policy_without_memory_reads_is_all() -> None:
    trace = renewal(LAW, 1, 2048, 50)
    traffic = held(trace, Keeping("none"))
    assert traffic.missed[0].tolist() == [len(active) for active in trace.layer(0)]
    assert Keeping("none").transient
    assert not Keeping("window").transient


@given(st.integers(1, 6), st.floats(0, 1))
def test_speculative_steps_go_on_by_what_is_accepted(drafted: int, acceptance: float) -> None:
    advance = advances(2000, drafted, acceptance, seed=1)
    assert np.all((advance >= 1) & (advance <= drafted + 1))
    assert int(advance.sum()) - int(advance[-1]) + drafted < 2000 <= int(advance.sum()) + drafted
    mean = expected_length(acceptance, drafted)
    assert abs(float(advance.mean()) - mean) <= 4 * (drafted + 1) / np.sqrt(len(advance)) + 1e-9


def test_a_speculative_step_needs_all_its_tokens_at_once() -> None:
    trace = trace_of([{t % NEURONS} for t in range(12)])
    steps = list(SpeculativeSteps(2, 0.67, (1, 3, 2))(trace, 0))
    assert [step.active.tolist() for step in steps] == [[0, 1, 2], [1, 2, 3], [4, 5, 6]]
    assert [[u.tolist() for u in step.used] for step in steps] == [[[0], [1]], [[2]], [[4], [5]]]


def test_speculation_loads_less_for_a_token_than_a_token_alone() -> None:
    """Neighbouring tokens share neurons: the union of several is less than their sum."""
    trace = renewal(LAW, 1, 16384, 600)
    advance = advances(trace.tokens, 4, 0.9)
    traffic = held(trace, Keeping(window=5), SpeculativeSteps(4, 0.9, tuple(advance.tolist())))
    alone = settled(held(trace, Keeping(window=5)), 20)
    assert settled(traffic, 5).missed.sum() / advance[5:].sum() < alone.missed.mean()


@settings(max_examples=15)
@given(traces, st.integers(6, NEURONS))
def test_a_trace_that_others_have_read_gives_what_a_new_one_does(tokens: list[set[int]], room: int) -> None:
    shared = trace_of(tokens)
    for keeping in [Keeping(policy, window=3, capacity=room, pinned=p) for policy in names("rows") for p in (0, 2)]:
        alone = held(trace_of(tokens), keeping)
        for name, counted in vars(held(shared, keeping)).items():
            assert np.array_equal(counted, getattr(alone, name)), (keeping, name)


def test_what_is_known_of_a_trace_is_not_counted_again() -> None:
    keeping = Keeping(window=5)
    assert held(renewal(LAW, 1, 64, 20), keeping) is held(renewal(LAW, 1, 64, 20), keeping)
    assert held(renewal(LAW, 1, 64, 20, seed=1), keeping) is not held(renewal(LAW, 1, 64, 20), keeping)


def test_wrong_ones_are_refused() -> None:
    trace = trace_of([{1}])
    with pytest.raises(ConfigError, match="pinned: found 9, expected 0 to 8 neurons"):
        held(trace, Keeping(capacity=8, pinned=9))
    with pytest.raises(ConfigError, match="page cache"):
        held(trace, replace(Keeping(together="friends"), cached=3))
    with pytest.raises(ConfigError, match="no such rows"):
        held(trace, Keeping("windows"))
    with pytest.raises(ConfigError, match=r"acceptance: found 1\.5"):
        advances(10, 2, 1.5)
    with pytest.raises(ConfigError, match="drafted: found 0"):
        advances(10, 0, 0.5)
