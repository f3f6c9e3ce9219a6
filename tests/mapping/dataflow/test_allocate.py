"""Units on parts: the min-max optimum of brute force and of greed, within bounds, never slower with more."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.mapping.dataflow.allocate import Numbers, allocate

Part = tuple[float, int, int]  # work, least, most

WORK = st.sampled_from([0.0]) | st.floats(1e-9, 1e9)


@st.composite
def parts(draw: st.DrawFn, count: int = 4, largest: int = 5) -> list[Part]:
    """Parts with at least one unit each where there is work."""
    found = []
    for _ in range(draw(st.integers(1, count))):
        work = draw(WORK)
        least = draw(st.integers(1 if work else 0, 2))
        found.append((work, least, draw(st.integers(least, largest))))
    return found


def given_to(row: list[Part], units: float) -> Numbers:
    work, least, most = (np.array([column], dtype=float) for column in zip(*row, strict=True))
    counts: Numbers = allocate(work, units, least, most)[0]
    return counts


def slowest(row: list[Part], counts: Numbers | tuple[int, ...]) -> float:
    return max(work / n if work else 0.0 for (work, _, _), n in zip(row, counts, strict=True))


def brute_force(row: list[Part], units: int) -> float:
    choices = product(*(range(least, most + 1) for _, least, most in row))
    return min(slowest(row, counts) for counts in choices if sum(counts) <= units)


def greedy(row: list[Part], units: int) -> float:
    """Each next unit to the slowest part; where that may have no more, no other helps."""
    counts = [least for _, least, _ in row]
    for _ in range(units - sum(counts)):
        times = [work / n if work else 0.0 for (work, _, _), n in zip(row, counts, strict=True)]
        worst = times.index(max(times))
        if counts[worst] == row[worst][2]:
            break
        counts[worst] += 1
    return slowest(row, tuple(counts))


@given(parts(), st.integers(0, 12))
@settings(max_examples=150, deadline=None)
def test_the_slowest_part_is_as_fast_as_can_be(row: list[Part], spare: int) -> None:
    units = sum(least for _, least, _ in row) + spare
    best = brute_force(row, units)
    assert slowest(row, given_to(row, units)) == pytest.approx(best, rel=1e-12)
    assert greedy(row, units) == pytest.approx(best, rel=1e-12)


@given(parts(count=12, largest=2000), st.integers(0, 2000))
@settings(max_examples=100, deadline=None)
def test_it_is_what_giving_each_next_unit_to_the_slowest_comes_to(row: list[Part], spare: int) -> None:
    units = sum(least for _, least, _ in row) + spare
    assert slowest(row, given_to(row, units)) == pytest.approx(greedy(row, units), rel=1e-12)


@given(parts(count=12, largest=2000), st.integers(0, 2000))
@settings(max_examples=100, deadline=None)
def test_all_bounds_hold_and_no_unit_is_idle(row: list[Part], spare: int) -> None:
    units = sum(least for _, least, _ in row) + spare
    counts = given_to(row, units)
    assert counts.sum() <= units
    assert all(least <= n <= most and n == int(n) for (_, least, most), n in zip(row, counts, strict=True))
    bound = slowest(row, counts)
    for (work, least, _), n in zip(row, counts, strict=True):
        assert n == least or work / (n - 1) > bound * (1 - 1e-12)  # with one less it would be the slowest


@given(parts(count=12, largest=2000), st.integers(0, 2000), st.integers(0, 500))
@settings(max_examples=100, deadline=None)
def test_more_units_take_none_from_any_part(row: list[Part], spare: int, more: int) -> None:
    units = sum(least for _, least, _ in row) + spare
    assert (given_to(row, units + more) >= given_to(row, units)).all()


@given(parts(count=6), parts(count=6), st.integers(12, 40))
@settings(max_examples=50, deadline=None)
def test_rows_do_not_meet(one: list[Part], other: list[Part], units: int) -> None:
    padding: Part = (0.0, 0, 0)
    width = max(len(one), len(other))
    rows = [row + [padding] * (width - len(row)) for row in (one, other)]
    work, least, most = (np.array([[part[i] for part in row] for row in rows], dtype=float) for i in range(3))
    together = allocate(work, units, least, most)
    for row, counts in zip(rows, together, strict=True):
        assert (counts == given_to(row, units)).all()


def test_where_even_the_least_is_too_much_it_is_given_all_the_same() -> None:
    assert given_to([(1.0, 3, 9), (100.0, 2, 9)], 4).tolist() == [3, 2]


def test_a_part_may_have_as_many_as_there_are() -> None:
    work, least = np.array([[3.0, 1.0]]), np.array([[1.0, 1.0]])
    assert allocate(work, 400, least, np.full((1, 2), np.inf)).tolist() == [[300, 100]]


@pytest.mark.slow
@given(parts(count=5, largest=6), st.integers(0, 20))
@settings(max_examples=1000, deadline=None)
def test_brute_force_at_length(row: list[Part], spare: int) -> None:
    units = sum(least for _, least, _ in row) + spare
    assert slowest(row, given_to(row, units)) == pytest.approx(brute_force(row, units), rel=1e-12)
