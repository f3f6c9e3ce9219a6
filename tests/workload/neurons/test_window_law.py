"""The window law: it goes through what was published, and traces drawn from it have it, token by token."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload.neurons.trace import NeuronTrace, share
from simulator.workload.neurons.window_law import FAR, WindowLaw, renewal, survival

OPT = WindowLaw.fitted(window=5, share=0.24, increment=0.024)
"""OPT 6.7B, arXiv 2312.11514, section 3.1."""

LAWS = st.builds(WindowLaw, st.floats(0.02, 1), st.floats(0.3, 1))


def drawn(trace: NeuronTrace) -> list[list[list[int]]]:
    return [[active.tolist() for active in trace.layer(layer)] for layer in range(trace.layers)]


# --- the law


def test_the_law_of_opt() -> None:
    assert OPT.share == pytest.approx(0.1034710, rel=1e-6)
    assert OPT.exponent == pytest.approx(0.5227587, rel=1e-6)
    assert OPT.limit == 76
    assert OPT.at(5) == pytest.approx(0.24, rel=1e-12)
    assert OPT.increment(5) == pytest.approx(0.024, rel=1e-12)
    assert OPT.at(77) == 1


@given(window=st.integers(1, 60), share=st.floats(0.01, 0.99), part=st.floats(0.01, 1))
def test_a_fitted_law_goes_through_what_it_was_fitted_to(window: int, share: float, part: float) -> None:
    increment = part * min(1 - share, share / window)
    law = WindowLaw.fitted(window, share, increment)
    assert law.at(window) == pytest.approx(share, rel=1e-9)
    assert law.increment(window) == pytest.approx(increment, rel=1e-6)


@pytest.mark.parametrize(
    ("window", "share", "increment", "says"),
    [
        (0, 0.2, 0.01, "window: found 0, expected 1 or more"),
        (5, 0.0, 0.01, "share: found 0.0, expected more than 0, less than 1"),
        (5, 1.0, 0.01, "share: found 1.0"),
        (5, float("nan"), 0.01, "share: found nan"),
        (5, 0.24, 0.0, "increment: found 0.0, expected more than 0, at most 0.048 (share / window)"),
        (5, 0.24, -0.1, "increment"),
        (5, 0.24, 0.05, "at most 0.048 (share / window)"),
        (1, 0.9, 0.2, "increment: found 0.2, expected more than 0, at most 0.1 (1 - share)"),
    ],
)
def test_what_no_law_goes_through_is_refused(window: int, share: float, increment: float, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        WindowLaw.fitted(window, share, increment)
    assert says in str(error.value)


@pytest.mark.parametrize(("share", "exponent"), [(0, 0.5), (1.1, 0.5), (0.1, 0), (0.1, 1.01), (float("nan"), 0.5)])
def test_a_law_is_of_shares(share: float, exponent: float) -> None:
    with pytest.raises(ConfigError, match="expected more than 0, at most 1"):
        WindowLaw(share, exponent)


@given(law=st.builds(WindowLaw, st.floats(1e-6, 1), st.floats(1e-4, 1)))
def test_the_limit_is_the_last_window_that_the_law_holds_for(law: WindowLaw) -> None:
    assert law.share * float(law.limit) ** law.exponent <= 1
    assert law.limit == FAR or law.share * float(law.limit + 1) ** law.exponent > 1


def test_shares_of_many_windows_at_once() -> None:
    windows = np.array([1, 5, 100])
    assert OPT.at(windows).tolist() == [OPT.at(1), OPT.at(5), 1]


# --- the survival of gaps


@given(law=LAWS)
def test_the_mean_gap_is_one_over_the_share_of_a_token(law: WindowLaw) -> None:
    left = survival(law)
    assert left.shape == (law.limit + 1,)
    assert left[0] == 1
    assert np.all(np.diff(left) <= 1e-12)
    assert left[-1] >= 0
    assert left.sum() == pytest.approx(1 / law.share, rel=1e-12)


@given(law=LAWS)
def test_shares_add_up_from_the_survival(law: WindowLaw) -> None:
    """`s(k) = s1 sum_{j < k} P(gap > j)`: the law up to its limit, and all neurons after it."""
    windows = np.arange(1, law.limit + 2)
    np.testing.assert_allclose(law.share * np.cumsum(survival(law)), law.at(windows), rtol=1e-11)


@given(law=LAWS, most=st.integers(1, 200))
def test_the_first_terms_are_those_of_all(law: WindowLaw, most: int) -> None:
    np.testing.assert_array_equal(survival(law, most), survival(law)[:most])


# --- traces


@pytest.mark.parametrize(
    ("law", "neurons", "tokens"),
    [
        (WindowLaw(0.3, 0.6), 4096, 1000),  # limit 7
        (WindowLaw(0.2, 1.0), 1000, 50),  # each neuron at each fifth token
        (WindowLaw(0.02, 0.7), 20_000, 1000),  # limit 267: most gaps are rarer than a random word
    ],
)
def test_a_trace_has_the_law_at_each_window(law: WindowLaw, neurons: int, tokens: int) -> None:
    windows = np.arange(1, law.limit + 4)
    measured = share(renewal(law, 2, neurons, tokens), windows)
    np.testing.assert_allclose(measured, law.at(windows), rtol=0.005)
    assert measured[law.limit] == pytest.approx(1, abs=1e-9)


def test_a_token_of_opt_adds_what_was_published() -> None:
    five, six = share(renewal(OPT, 8, 16384, 1000), [5, 6])
    assert five == pytest.approx(0.24, rel=0.003)
    assert six - five == pytest.approx(0.024, rel=0.005)


def test_the_law_holds_from_the_first_token_on() -> None:
    active = [set(numbers.tolist()) for numbers in renewal(OPT, 1, 200_000, 40).layer(0)]
    for first in (0, 20, 35):
        for window in (1, 2, 5):
            seen = len(set().union(*active[first : first + window])) / 200_000
            assert seen == pytest.approx(OPT.at(window), rel=0.02)


def test_a_trace_shorter_than_the_limit_has_the_law() -> None:
    far = WindowLaw(0.01, 0.1)
    assert far.limit == FAR
    for law in (OPT, far):
        windows = np.arange(1, 5)
        np.testing.assert_allclose(share(renewal(law, 1, 400_000, 4), windows), law.at(windows), rtol=0.03)


def test_neurons_do_not_go_together() -> None:
    """Each is active at a share s1 of the tokens, of which the number at a token varies as with independent neurons."""
    counts = np.array([active.size for active in renewal(OPT, 1, 1000, 4000, seed=3).layer(0)])
    assert counts.mean() == pytest.approx(1000 * OPT.share, rel=0.01)
    assert counts.var() == pytest.approx(1000 * OPT.share * (1 - OPT.share), rel=0.15)


def test_all_neurons_at_each_token() -> None:
    assert drawn(renewal(WindowLaw(1.0, 0.5), 1, 3, 2)) == [[[0, 1, 2], [0, 1, 2]]]


@given(law=LAWS, neurons=st.integers(1, 300), tokens=st.integers(1, 40), seed=st.integers(0, 9))
def test_neurons_rise_and_are_there(law: WindowLaw, neurons: int, tokens: int, seed: int) -> None:
    layer = list(renewal(law, 1, neurons, tokens, seed).layer(0))
    assert len(layer) == tokens
    for active in layer:
        assert active.dtype == np.int64
        assert np.all(np.diff(active) > 0)
        assert active.size == 0 or (active[0] >= 0 and active[-1] < neurons)


def test_equal_arguments_give_equal_traces_and_others_give_others() -> None:
    first, second, other = (renewal(OPT, 2, 500, 30, seed) for seed in (0, 0, 1))
    assert drawn(first) == drawn(second)
    assert drawn(first) != drawn(other)
    assert drawn(first)[0] != drawn(first)[1]


def test_layers_do_not_depend_on_the_order_that_they_are_drawn_in() -> None:
    trace = renewal(OPT, 3, 500, 30)
    once = drawn(trace)
    interrupted, again = trace.layer(2), trace.layer(1)
    heads = [list(islice(layer, 10)) for layer in (interrupted, again)]
    for layer, head, rest in ((2, heads[0], interrupted), (1, heads[1], again)):
        assert [active.tolist() for active in [*head, *rest]] == once[layer]
    assert [active.tolist() for active in trace.layer(0)] == once[0]


# --- layers that are not alike


def test_layers_activate_in_proportion() -> None:
    trace = renewal(OPT, 3, 16384, 300, by_layer=[1.0, 2.0, 3.0])
    for layer, part in enumerate((0.5, 1.0, 1.5)):
        one = NeuronTrace(1, trace.neurons, trace.tokens, lambda _, layer=layer: trace.layer(layer))
        law = WindowLaw(OPT.share * part, OPT.exponent)
        windows = np.array([1, 3, 10])
        np.testing.assert_allclose(share(one, windows), law.at(windows), rtol=0.01)
    np.testing.assert_allclose(share(trace, [1, 5]), [OPT.at(1), OPT.at(5)], rtol=0.005)


def test_equal_proportions_are_none() -> None:
    assert drawn(renewal(OPT, 2, 100, 9, by_layer=[3, 3])) == drawn(renewal(OPT, 2, 100, 9))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"by_layer": [1.0]}, "by_layer: found '[1.0]', expected 2 numbers above 0, one a layer"),
        (
            {"by_layer": [0.1, 9.9], "law": WindowLaw(0.6, 0.5)},
            "by_layer: found a share of 1.188 at one token in layer",
        ),
        ({"layers": 0}, "layers: found 0"),
        ({"neurons": 0}, "neurons: found 0"),
        ({"tokens": 0}, "tokens: found 0"),
        ({"seed": -1}, "seed: found -1"),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_once(change: dict[str, Any], says: str) -> None:
    arguments: dict[str, Any] = {"law": OPT, "layers": 2, "neurons": 10, "tokens": 10}
    with pytest.raises(ConfigError) as error:
        renewal(**arguments | change)
    assert says in str(error.value)
