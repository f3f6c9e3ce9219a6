"""Crossings of curves whose crossings are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.study.questions.crossover import crossover
from simulator.study.space.columns import Columns

CALLS: list[int] = []


def same(columns: Columns) -> Columns:
    CALLS.append(len(columns["x"]))
    return columns


@given(st.floats(1.01, 1e6), st.floats(1.0, 100.0))
def test_two_rooflines_cross_where_they_meet(bandwidth: float, batch: float) -> None:
    """`min(peak, x batch)` reaches `bandwidth` at x = bandwidth / batch."""
    low, high = bandwidth / batch / 50, bandwidth / batch * 70
    found = crossover(same, "x", low, high, lambda m: np.minimum(1e9, m["x"] * batch) - bandwidth)
    assert found == pytest.approx([bandwidth / batch], rel=1e-6)


def test_all_crossings_in_order_in_few_calls() -> None:
    CALLS.clear()
    found = crossover(same, "x", -0.5, 9.5, lambda m: np.sin(np.pi * m["x"]), log=False)
    assert found == pytest.approx(range(10), abs=1e-5)
    assert len(CALLS) <= 6


@pytest.mark.parametrize("log", [True, False])
def test_a_step_is_a_crossing(log: bool) -> None:
    found = crossover(same, "x", 1, 10, lambda m: np.where(m["x"] < np.pi, -1.0, 5.0), log=log, tol=1e-9)
    assert found == pytest.approx([np.pi], rel=1e-8)


def test_a_tolerance_finer_than_doubles_ends() -> None:
    assert crossover(same, "x", 1, 10, lambda m: m["x"] - 3, tol=0) == pytest.approx([3], rel=1e-14)


def test_a_crossing_on_a_point_of_the_scan() -> None:
    assert crossover(same, "x", 0, 128, lambda m: m["x"] - 64, log=False) == pytest.approx([64], abs=1e-3)


def test_a_stretch_of_zero_counts_where_it_begins_if_the_sign_changes_over_it() -> None:
    def plateau(m: Columns) -> np.ndarray:
        return np.where(m["x"] < 3, -1.0, np.where(m["x"] < 5, 0.0, 1.0))

    assert crossover(same, "x", 1, 10, plateau) == pytest.approx([3], rel=1e-5)
    with pytest.raises(ConfigError, match="no crossing"):
        crossover(same, "x", 1, 10, lambda m: np.abs(plateau(m)))


def test_no_crossing_is_looked_for_across_points_that_failed() -> None:
    def gap(m: Columns) -> np.ndarray:
        return np.where(m["x"] < 3, -1.0, np.where(m["x"] < 5, np.nan, m["x"] - 8))

    assert crossover(same, "x", 1, 10, gap) == pytest.approx([8], rel=1e-5)
    with pytest.raises(ConfigError, match="found points that failed between one sign and the other"):
        crossover(same, "x", 1, 10, lambda m: np.where(m["x"] < 3, -1.0, np.where(m["x"] < 5, np.nan, 1.0)))
    with pytest.raises(ConfigError, match="no crossing"):  # a gap that the scan does not see
        crossover(same, "x", 1, 10, lambda m: np.where(m["x"] < 3, -1.0, np.where(m["x"] < 3.001, np.nan, 1.0)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2.0, "x: no crossing: found a difference that is above zero from 1 to 10, expected a change of sign"),
        (-2.0, "x: no crossing: found a difference that is below zero from 1 to 10"),
        (0.0, "x: no crossing: found no difference from 1 to 10"),
        (np.nan, "x: no crossing: found no point that works from 1 to 10"),
    ],
)
def test_where_nothing_crosses_it_says_which_sign_there_is(value: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        crossover(same, "x", 1, 10, lambda m: np.full(len(m["x"]), value))


@pytest.mark.parametrize(("low", "high", "log"), [(0, 1, True), (2, 1, False), (1, np.inf, True), (1, 1, True)])
def test_a_wrong_range(low: float, high: float, log: bool) -> None:
    with pytest.raises(ConfigError, match="x: range: found"):
        crossover(same, "x", low, high, lambda m: m["x"], log=log)
