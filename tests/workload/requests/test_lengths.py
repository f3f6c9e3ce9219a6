"""Lengths of requests: their sum, their bounds, their mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload.requests.lengths import Lengths


@given(st.integers(1, 5000), st.integers(1, 5000), st.floats(0, 2), st.integers(1, 600))
def test_all_requests_keep_as_many_tokens_in_the_end(input: int, output: int, spread: float, scale: int) -> None:
    lengths = Lengths(input, output, spread, scale)
    inputs, outputs = lengths.draw(50, np.random.default_rng(0))
    assert (inputs + outputs == lengths.total).all()
    assert inputs.min() >= 1
    assert outputs.min() >= 1
    assert np.abs(inputs - input).max() <= max(min(scale, input, output) - 1, 0)


def test_the_means_are_as_asked() -> None:
    inputs, outputs = Lengths(512, 256, 0.4).draw(20000, np.random.default_rng(0))
    assert inputs.mean() == pytest.approx(512, rel=0.01)
    assert outputs.std() == pytest.approx(0.4 * 255, rel=0.1)


@pytest.mark.parametrize("wrong", [{"input": 0}, {"output": 0}, {"spread": -0.1}, {"scale": 0}])
def test_lengths_are_checked(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"{name}: found"):
        Lengths(**({"input": 8, "output": 8} | wrong))  # type: ignore[arg-type]


def test_without_a_spread_all_are_alike() -> None:
    inputs, outputs = Lengths(512, 256).draw(9, np.random.default_rng(0))
    assert set(inputs) == {512}
    assert set(outputs) == {256}
    assert Lengths(512, 256).longest_input == 512


@given(st.integers(1, 500), st.integers(1, 500), st.floats(0, 10), st.integers(1, 600))
def test_no_prompt_is_longer_than_the_longest(input: int, output: int, spread: float, scale: int) -> None:
    lengths = Lengths(input, output, spread, scale)
    assert lengths.draw(50, np.random.default_rng(0))[0].max() <= lengths.longest_input


@pytest.mark.parametrize("spread", [1e9, float("inf"), float("nan")])
def test_a_spread_that_no_draw_would_meet_is_refused(spread: float) -> None:
    with pytest.raises(ConfigError, match="spread: found"):
        Lengths(8, 8, spread)
