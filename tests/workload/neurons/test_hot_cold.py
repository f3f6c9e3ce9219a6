"""Two populations: their shares by the formula, in a fit near a window law, and in a trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload.neurons.hot_cold import HotCold, errors, fit_hot_cold, hot_cold
from simulator.workload.neurons.trace import NeuronTrace, share
from simulator.workload.neurons.window_law import WindowLaw

OPT = WindowLaw.fitted(5, 0.24, 0.024)
SOME = HotCold(0.2, 0.5, 0.03)


def test_the_share_of_one_token_and_of_very_many() -> None:
    np.testing.assert_allclose(SOME.at([0, 1, 2, 10_000]), [0, 0.124, 0.2 * 0.75 + 0.8 * (1 - 0.97**2), 1], atol=1e-12)


def test_of_opt_they_are_within_four_percent_of_the_law() -> None:
    off = errors(fit_hot_cold(OPT), OPT)
    assert off.shape == (30,)
    assert 0.03 < np.abs(off).max() < 0.04
    assert off[4] == pytest.approx(0, abs=1e-3)


@settings(max_examples=15, deadline=None)
@given(
    law=st.builds(WindowLaw, st.floats(0.01, 0.3), st.floats(0.2, 1)),
    most=st.integers(3, 40),
    change=st.tuples(*[st.floats(0.9, 1.1)] * 3),
)
def test_no_populations_nearby_are_nearer(law: WindowLaw, most: int, change: tuple[float, float, float]) -> None:
    def off(model: HotCold) -> float:
        return float(np.sum(errors(model, law, most) ** 2))

    best = fit_hot_cold(law, most)
    assert best.cold_rate <= best.hot_rate * (1 + 1e-9)
    values = (best.hot, best.hot_rate, best.cold_rate)
    other = HotCold(*(min(1.0, value * by) for value, by in zip(values, change, strict=True)))
    assert off(best) <= off(other) + 1e-12


def test_a_fit_of_all_neurons_at_each_token_is_exact_and_of_equal_laws_equal() -> None:
    best = fit_hot_cold(WindowLaw(1.0, 0.5))
    assert np.abs(errors(best, WindowLaw(1.0, 0.5))).max() < 1e-9
    assert fit_hot_cold(OPT) == fit_hot_cold(OPT)


def test_a_trace_has_the_shares_of_the_populations() -> None:
    windows = np.array([1, 2, 5, 30])
    np.testing.assert_allclose(share(hot_cold(SOME, 2, 10_000, 500), windows), SOME.at(windows), rtol=0.01)


def test_the_same_neurons_are_hot_at_all_tokens_and_others_in_another_layer() -> None:
    trace = hot_cold(HotCold(0.25, 1.0, 0.0), 2, 100, 20)
    layers = [[active.tolist() for active in trace.layer(layer)] for layer in range(2)]
    for layer in layers:
        assert len(layer[0]) == 25
        assert layer == [layer[0]] * 20
    assert layers[0] != layers[1]


def test_neither_population_alone_is_mistaken_for_the_other() -> None:
    for model, active in ((HotCold(0, 1, 0), 0), (HotCold(1, 1, 0), 7), (HotCold(1, 0, 1), 0), (HotCold(0, 0, 1), 7)):
        assert [drawn.size for drawn in hot_cold(model, 1, 7, 3).layer(0)] == [active] * 3


def test_layers_activate_in_proportion() -> None:
    trace = hot_cold(SOME, 2, 10_000, 300, by_layer=[1, 3])
    for layer, part in enumerate((0.5, 1.5)):
        one = NeuronTrace(1, trace.neurons, trace.tokens, lambda _, layer=layer: trace.layer(layer))
        model = HotCold(SOME.hot, SOME.hot_rate * part, SOME.cold_rate * part)
        np.testing.assert_allclose(share(one, [1, 4]), model.at([1, 4]), rtol=0.01)


def test_a_trace_is_the_same_each_time_and_in_each_order() -> None:
    def drawn(seed: int, *layers: int) -> list[list[list[int]]]:
        trace = hot_cold(SOME, 3, 50, 9, seed)
        return [[active.tolist() for active in trace.layer(layer)] for layer in layers]

    assert drawn(0, 0, 1, 2) == drawn(0, 2, 1, 0)[::-1]
    assert drawn(0, 0) != drawn(1, 0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"by_layer": [1, 1, 1]}, "by_layer"),
        ({"by_layer": [1, 9]}, "by_layer: found a rate of 1.8 in layer 1, expected at most 1"),
        ({"model": HotCold(0.5, 1.0, 0.1), "by_layer": [1, 1.1]}, "a rate of 1.048"),
        ({"layers": 0}, "layers"),
        ({"seed": -1}, "seed"),
        ({"tokens": 0}, "tokens"),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_once(change: dict[str, Any], says: str) -> None:
    arguments: dict[str, Any] = {"model": HotCold(0.2, 1.0, 0.03), "layers": 2, "neurons": 10, "tokens": 10}
    with pytest.raises(ConfigError) as error:
        hot_cold(**arguments | change)
    assert says in str(error.value)


@pytest.mark.parametrize("values", [(-0.1, 0.5, 0.1), (0.2, 1.1, 0.1), (0.2, 0.5, float("nan"))])
def test_shares_and_rates_are_from_0_to_1(values: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match="expected 0 to 1"):
        HotCold(*values)


def test_a_fit_has_points_enough() -> None:
    with pytest.raises(ConfigError, match="most: found 2, expected 3 or more"):
        fit_hot_cold(OPT, 2)
