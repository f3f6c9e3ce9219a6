"""The front is what brute force says; the hypervolume is that of shapes whose volume is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.study.questions.pareto import front, hypervolume, merge, normalised

SENSES = st.lists(st.sampled_from(["min", "max"]), min_size=1, max_size=5)
VALUES = st.integers(-3, 3).map(float) | st.floats(-10, 10) | st.sampled_from([-0.0, np.inf, -np.inf, np.nan])


@st.composite
def sets(draw: st.DrawFn, most: int = 40) -> tuple[NDArray[np.float64], list[str]]:
    senses = draw(SENSES)
    rows = draw(st.lists(st.lists(VALUES, min_size=len(senses), max_size=len(senses)), max_size=most))
    return np.array(rows, dtype=float).reshape(-1, len(senses)), senses


def brute(values: NDArray[np.float64], senses: list[str]) -> NDArray[np.bool_]:
    costs = np.where([s == "max" for s in senses], -values, values)
    known = ~np.isnan(costs).any(axis=1)
    beaten = [any(np.all(o <= c) and np.any(o < c) for o in costs[known]) for c in costs]
    return known & ~np.array(beaten, dtype=bool)


@given(sets())
def test_the_front_is_that_of_brute_force(drawn: tuple[NDArray[np.float64], list[str]]) -> None:
    values, senses = drawn
    assert front(values, senses).tolist() == brute(values, senses).tolist()


@pytest.mark.parametrize("objectives", [2, 3, 4, 6])
@pytest.mark.parametrize("levels", [3, 8, 1000])
def test_the_front_of_many_points_is_that_of_brute_force(objectives: int, levels: int) -> None:
    values = np.random.default_rng(objectives).integers(0, levels, (1500, objectives)).astype(float)
    costs = values[:, None, :]
    beaten = np.any(np.all(values <= costs, axis=2) & np.any(values < costs, axis=2), axis=1)
    assert np.array_equal(front(values, ["min"] * objectives), ~beaten)
    assert np.array_equal(front(-values, ["max"] * objectives), ~beaten)


@given(sets(), st.integers(0, 40))
def test_the_front_of_a_stream_is_the_front(drawn: tuple[NDArray[np.float64], list[str]], cut: int) -> None:
    values, senses = drawn
    so_far = values[:cut][front(values[:cut], senses)]
    kept, added = merge(so_far, values[cut:], senses)
    streamed = [tuple(row) for row in (*so_far[kept], *values[cut:][added])]
    assert streamed == [tuple(row) for row in values[front(values, senses)]]


def test_equal_points_are_all_on_the_front() -> None:
    assert front([[1, 2], [2, 1], [1, 2], [2, 2]], ["min", "min"]).tolist() == [True, True, True, False]


def test_the_hypervolume_of_known_shapes() -> None:
    assert hypervolume([[1, 2, 3]], ["min"] * 3, [2, 4, 6]) == pytest.approx(1 * 2 * 3)
    assert hypervolume([[1, 1], [0, 2]], ["min", "min"], [3, 3]) == pytest.approx(2 * 2 + 1)
    assert hypervolume([[1, 1], [0, 2]], ["max", "max"], [0, 0]) == pytest.approx(1)
    assert hypervolume([[1, 1], [2, 0.5]], ["max", "max"], [0, 0]) == pytest.approx(1.5)
    assert hypervolume([[5.0]], ["max"], [3.0]) == pytest.approx(2)
    # A staircase of n steps below the diagonal of the unit square: (1 - 1/n) / 2.
    x = np.arange(101) / 100
    assert hypervolume(np.stack([x, 1 - x], axis=1), ["min", "min"], [1, 1]) == pytest.approx((1 - 1 / 100) / 2)
    # Of a fine grid on the unit sphere, seen from the corner (1, 1, 1): the cube less an eighth of the ball.
    a, b = np.meshgrid(np.linspace(0, np.pi / 2, 200), np.linspace(0, np.pi / 2, 200))
    sphere = 1 - np.stack([np.sin(a) * np.cos(b), np.sin(a) * np.sin(b), np.cos(a)], axis=-1).reshape(-1, 3)
    assert hypervolume(sphere, ["min"] * 3, [1, 1, 1]) == pytest.approx(np.pi / 6, rel=2e-2)


def test_what_is_no_better_than_the_reference_adds_nothing() -> None:
    assert hypervolume([[2, 0], [0, 3], [np.nan, 0]], ["min", "min"], [2, 3]) == 0
    assert hypervolume(np.empty((0, 2)), ["min", "min"], [2, 3]) == 0


def test_what_is_endlessly_good_covers_everything() -> None:
    assert hypervolume([[-np.inf, 1, 1], [0, 0, 0]], ["min"] * 3, [2, 2, 2]) == np.inf


def test_normalised_runs_from_the_best_to_the_worst() -> None:
    values = [[10, 1, 7], [30, 2, 7], [20, 5, 7], [np.nan, 9, 7]]
    scaled = normalised(values, ["max", "min", "min"])
    assert scaled[:3].tolist() == [[1, 0, 0], [0, 0.25, 0], [0.5, 1, 0]]
    assert np.isnan(scaled[3, 0])
    assert normalised([[15, 3]], ["max", "min"], best=[20, 1], worst=[10, 5]).tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize(
    ("values", "senses", "message"),
    [
        ([[1, 2]], ["min", "mx"], "objectives: found 'mx', expected min or max; did you mean 'max'"),
        ([[1, 2]], ["min"], r"found an array of shape \(1, 2\), expected a column for each of 1 objectives"),
        ([[1, 2]], [], "objectives: found no objective"),
    ],
)
def test_wrong_objectives(values: list[list[float]], senses: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        front(values, senses)


def test_nothing_to_normalise() -> None:
    with pytest.raises(ConfigError, match="no point has all objectives"):
        normalised([[np.nan]], ["min"])
