"""Neuron traces: what is recorded comes back, and the aggregated share is the one that sets of neurons give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.workload.neurons.trace import Ints, NeuronTrace, generator, proportions, recorded, share, words

Active = list[list[list[int]]]
"""The active neurons of each layer and token."""


@st.composite
def actives(draw: st.DrawFn) -> tuple[int, Active]:
    """How many neurons, and which are active."""
    neurons = draw(st.integers(1, 300))
    layers, tokens = draw(st.integers(1, 3)), draw(st.integers(1, 8))
    one = st.sets(st.integers(0, neurons - 1), max_size=5).map(sorted)
    of_layer = st.lists(one, min_size=tokens, max_size=tokens)
    return neurons, draw(st.lists(of_layer, min_size=layers, max_size=layers))


def by_sets(active: Active, neurons: int, window: int) -> float:
    """The aggregated share by its definition."""
    places = [
        len(set().union(*of_layer[first : first + window]))
        for of_layer in active
        for first in range(len(of_layer) - window + 1)
    ]
    return sum(places) / len(places) / neurons


@given(made=actives())
def test_what_is_recorded_comes_back(made: tuple[int, Active]) -> None:
    neurons, active = made
    trace = recorded(active, neurons)
    assert (trace.layers, trace.neurons, trace.tokens) == (len(active), neurons, len(active[0]))
    for _ in range(2):
        back = [[drawn.tolist() for drawn in trace.layer(layer)] for layer in range(trace.layers)]
        assert back == active
    assert {drawn.dtype for drawn in trace.layer(0)} == {np.dtype(np.int64)}


@given(made=actives())
def test_the_share_is_that_of_the_sets(made: tuple[int, Active]) -> None:
    neurons, active = made
    windows = list(range(1, len(active[0]) + 1))
    expected = [by_sets(active, neurons, window) for window in windows]
    np.testing.assert_allclose(share(recorded(active, neurons), windows), expected, rtol=0, atol=1e-12)


@given(made=actives())
def test_a_window_of_a_whole_cycle_sees_all_of_it(made: tuple[int, Active]) -> None:
    neurons, active = made
    tokens = len(active[0])
    cycled = recorded([of_layer * 3 for of_layer in active], neurons)
    there = by_sets(active, neurons, tokens)
    np.testing.assert_allclose(share(cycled, [tokens, tokens + 1, 3 * tokens]), there, rtol=0, atol=1e-12)


def test_no_window_is_no_share() -> None:
    assert share(recorded([[[0]]], 2), []).shape == (0,)


@pytest.mark.parametrize(
    ("windows", "says"),
    [
        ([0], "windows: found 0 to 0, expected 1 to 3 tokens"),
        ([1, 4], "windows: found 1 to 4, expected 1 to 3 tokens"),
        ([1.5], "windows: found '[1.5]', expected a list of whole numbers"),
        (2, "windows: found '2'"),
    ],
)
def test_a_window_outside_the_trace_is_refused(windows: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        share(recorded([[[0], [1], []]], 2), windows)


@pytest.mark.parametrize(
    ("active", "says"),
    [
        ([], "layers: found 0, expected 1 or more"),
        ([[]], "tokens: found 0, expected 1 or more"),
        ([[[0]], [[0], [1]]], "layer 1: found 2 tokens, expected 1, as in layer 0"),
        ([[[0], [1, 4]]], "layer 0, token 1: neurons: found '[1, 4]', expected rising numbers from 0 to 3"),
        ([[[-1]]], "rising numbers"),
        ([[[1, 1]]], "rising numbers"),
        ([[[2, 1]]], "rising numbers"),
        ([[[0.5]]], "rising numbers"),
        ([[[[0]]]], "rising numbers"),
        ([[np.array([2, 1], dtype=np.uint8)]], "rising numbers"),
    ],
)
def test_what_is_no_recording_is_refused(active: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        recorded(active, 4)


def test_a_trace_is_of_something() -> None:
    def none(layer: int) -> Iterator[Ints]:
        return iter(())

    for sizes in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
        with pytest.raises(ConfigError, match="found 0, expected 1 or more"):
            NeuronTrace(*sizes, draw=none)


@pytest.mark.parametrize("layer", [-1, 1])
def test_a_layer_that_is_not_there_is_refused(layer: int) -> None:
    with pytest.raises(ConfigError, match=f"layer: found {layer}, expected 0 to 0"):
        recorded([[[0]]], 1).layer(layer)


# --- what the generated traces share


def test_random_numbers_are_of_one_layer_and_purpose() -> None:
    def drawn(*of: Any) -> tuple[float, ...]:
        return tuple(generator(*of).random(4))

    assert drawn(0, 1, "a") == drawn(0, 1, "a")
    assert len({drawn(seed, layer, what) for seed in (0, 1) for layer in (0, 1) for what in ("a", "b")}) == 8
    with pytest.raises(ConfigError, match="seed: found -1"):
        generator(-1, 0, "a")


@pytest.mark.parametrize("bits", [16, 32])
def test_words_are_even(bits: int) -> None:
    drawn: NDArray[np.unsignedinteger] = words(generator(0, 0, "words"), 40_001, bits)
    assert drawn.shape == (40_001,)
    assert drawn.dtype.itemsize * 8 == bits
    assert np.mean(drawn / 2**bits) == pytest.approx(0.5, abs=0.01)
    assert np.var(drawn / 2**bits) == pytest.approx(1 / 12, abs=0.002)


def test_proportions_have_the_mean_of_one() -> None:
    np.testing.assert_allclose(proportions([1, 2, 3], 3), [0.5, 1, 1.5])
    np.testing.assert_array_equal(proportions(None, 2), [1, 1])


@pytest.mark.parametrize("by_layer", [[1], [1, 0], [1, -1], [1, np.nan], [1, np.inf], [[1, 2]]])
def test_proportions_are_one_positive_number_a_layer(by_layer: Any) -> None:
    with pytest.raises(ConfigError, match=r"by_layer: found .*, expected 2 numbers above 0, one a layer"):
        proportions(by_layer, 2)
