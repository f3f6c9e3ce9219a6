"""Predicted neurons: so many missed and so many named for nothing, independently."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload.neurons.predicted import predicted
from simulator.workload.neurons.trace import NeuronTrace, recorded, share
from simulator.workload.neurons.window_law import WindowLaw, renewal


def drawn(trace: NeuronTrace) -> list[list[list[int]]]:
    return [[active.tolist() for active in trace.layer(layer)] for layer in range(trace.layers)]


def true() -> NeuronTrace:
    return renewal(WindowLaw(0.033, 0.6), 2, 8192, 200)


def test_the_rates_are_those_of_the_errors() -> None:
    trace = true()
    named = predicted(trace, 0.05, 0.07)
    active = inactive = missed = false = 0
    for layer in range(2):
        for there, said in zip(trace.layer(layer), named.layer(layer), strict=True):
            common = np.intersect1d(there, said).size
            active, missed = active + there.size, missed + there.size - common
            inactive, false = inactive + trace.neurons - there.size, false + said.size - common
    assert missed / active == pytest.approx(0.05, rel=0.02)
    assert false / inactive == pytest.approx(0.07, rel=0.01)
    assert share(named, [1])[0] == pytest.approx(0.95 * 0.033 + 0.07 * 0.967, rel=0.01)


def test_independent_errors_grow_faster_than_was_published() -> None:
    """With no neuron active at all, five tokens of 7 % false positives name 30 %; 24 % was published for all."""
    none = recorded([[[]] * 500], 5000)
    assert share(predicted(none, 0.05, 0.07), [5])[0] == pytest.approx(1 - 0.93**5, rel=0.01)


@given(seed=st.integers(0, 99))
def test_a_perfect_predictor_and_the_three_worst(seed: int) -> None:
    active = [[[0, 3], []], [[1], [0, 1, 2, 3, 4]]]
    trace = recorded(active, 5)
    everyone = [[[0, 1, 2, 3, 4]] * 2] * 2
    assert drawn(predicted(trace, 0, 0, seed)) == active
    assert drawn(predicted(trace, 1, 0, seed)) == [[[], []]] * 2
    assert drawn(predicted(trace, 0, 1, seed)) == everyone
    assert drawn(predicted(trace, 1, 1, seed)) == [[[1, 2, 4], [0, 1, 2, 3, 4]], [[0, 2, 3, 4], []]]


def test_a_prediction_is_the_same_each_time_and_in_each_order() -> None:
    first, again = (predicted(true(), 0.05, 0.07) for _ in range(2))
    backwards = [[active.tolist() for active in again.layer(layer)] for layer in (1, 0)]
    assert drawn(first) == backwards[::-1]
    assert drawn(first) != drawn(predicted(true(), 0.05, 0.07, seed=1))


def test_errors_do_not_follow_the_draw_of_what_is_active() -> None:
    """Both have seed 0, and no random number in common."""
    trace = renewal(WindowLaw(0.5, 1.0), 1, 50_000, 1)
    active, named = (next(of.layer(0)) for of in (trace, predicted(trace, 0.5, 0.5)))
    assert np.intersect1d(active, named).size == pytest.approx(12_500, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((-0.1, 0.1), "false_negatives: found -0.1, expected 0 to 1"),
        ((0.1, 1.1), "false_positives: found 1.1, expected 0 to 1"),
        ((0.1, float("nan")), "false_positives: found nan"),
        ((0.1, 0.1, -1), "seed: found -1"),
    ],
)
def test_what_is_no_chance_is_refused(arguments: tuple[float, float], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        predicted(true(), *arguments)
