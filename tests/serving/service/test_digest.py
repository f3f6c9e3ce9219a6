"""Percentiles: exact of few numbers, near of many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.serving.record import digest
from simulator.serving.record.digest import WIDTH, Digest, Percentiles

values = st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=200)
percents = st.sampled_from([1, 50, 90, 99, 100])


@given(values, percents)
def test_few_numbers_are_known(numbers: list[float], percent: int) -> None:
    kept = Percentiles()
    for each in numbers:
        kept.add(each)
    assert kept.percentile(percent) == pytest.approx(np.percentile(numbers, percent), rel=1e-12)


@given(values, percents)
def test_of_many_it_is_near_a_number_of_that_rank(numbers: list[float], percent: int) -> None:
    kept = Digest()
    for each in numbers:
        kept.add(each)
    exact = np.percentile(numbers, percent, method="inverted_cdf")
    assert kept.percentile(percent) == pytest.approx(exact, rel=WIDTH / 2 * 1.01)
    assert kept.mean == pytest.approx(np.mean(numbers))


@given(st.floats(1e-4, 1), st.floats(0, 1), st.integers(1, 500), st.integers(1, 9))
def test_values_on_a_line_are_counted_as_if_one_by_one(first: float, rise: float, number: int, often: int) -> None:
    line, each = Digest(), Digest()
    line.line(first, first + rise, number, often)
    for value in np.linspace(first, first + rise, number) if number > 1 else [first + rise / 2]:
        each.add(float(value), often)
    assert line.count == pytest.approx(each.count)
    assert line.total == pytest.approx(each.total, rel=2 * WIDTH)


def test_the_many_are_told_by_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "FEW", 100)
    kept, numbers = Percentiles(), np.random.default_rng(0).lognormal(size=5000)
    for each in numbers:
        kept.add(float(each))
    assert kept._values is None
    assert kept.percentile(99) == pytest.approx(np.percentile(numbers, 99), rel=0.02)
