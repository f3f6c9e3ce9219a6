"""When requests arrive: each process against what is known of its law."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy import stats

from simulator.workload.requests.arrivals import ArrivalsForm, blocks, generators

FORM: TypeAdapter[Any] = TypeAdapter(ArrivalsForm)
MANY = 200_000


def times(form: Mapping[str, Any], number: int = MANY, seed: int = 0) -> np.ndarray:
    process = FORM.validate_python(form)
    return np.concatenate(list(process.times(blocks(number), generators(seed)[0])))


PROCESSES = [
    {"kind": "poisson", "rate": 2},
    {"kind": "even", "rate": 2},
    {"kind": "gamma", "rate": 2, "variation": 3},
    {"kind": "on_off", "rate": 2, "on": 5, "off": 20},
    {"kind": "diurnal", "rate": 2, "swing": 1, "day": 1000, "peak": 400},
]
KINDS = [form["kind"] for form in PROCESSES]


@pytest.mark.parametrize("form", PROCESSES, ids=KINDS)
def test_rate_and_order(form: dict[str, Any]) -> None:
    at = times(form)
    assert at[0] >= 0 and (np.diff(at) >= 0).all()
    assert len(at) / at[-1] == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("form", PROCESSES, ids=KINDS)
def test_the_first_are_the_same_however_many_are_wanted(form: dict[str, Any]) -> None:
    many = times(form, 20_000)  # more than a block
    for number in (1, 100, 17_000):
        assert np.array_equal(times(form, number), many[:number])
    assert not np.array_equal(times(form, 100, seed=1), many[:100]) or form["kind"] == "even"


@given(st.sampled_from(PROCESSES[:3]), st.floats(0.01, 100))
def test_a_higher_rate_is_the_same_run_faster(form: dict[str, Any], faster: float) -> None:
    assert times({**form, "rate": 2 * faster}, 50) * faster == pytest.approx(times(form, 50), rel=1e-12)


def test_poisson_gaps_are_exponential_and_independent() -> None:
    gaps = np.diff(times(PROCESSES[0], 20_000))
    assert stats.kstest(gaps, "expon", args=(0, 0.5)).pvalue > 0.01
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 0.03


def test_gamma_gaps_vary_as_stated() -> None:
    for variation in (0.3, 1.0, 3.0):
        gaps = np.diff(times({"kind": "gamma", "rate": 2, "variation": variation}))
        assert gaps.std() / gaps.mean() == pytest.approx(variation, rel=0.03)
    assert np.array_equal(times({"kind": "gamma", "rate": 2, "variation": 0}, 9), times(PROCESSES[1], 9))


def test_on_and_off_is_an_interrupted_poisson_process() -> None:
    """Its gaps are hyperexponential: `c^2 = 1 + 2 l a / (a + b)^2` at l requests a second on, 1/a s on, 1/b s off."""
    on, off = 5.0, 20.0
    gaps = np.diff(times(PROCESSES[3]))
    rate = 2 * (on + off) / on
    squared = 1 + 2 * rate / on / (1 / on + 1 / off) ** 2
    assert (gaps.std() / gaps.mean()) ** 2 == pytest.approx(squared, rel=0.05)
    assert np.median(gaps) == pytest.approx(np.log(2) / rate, rel=0.05)  # nearly all come while it is on


def test_a_day_goes_up_and_down_as_stated() -> None:
    """By the hour of the day, as many as the integral of the rate over it."""
    at = times(PROCESSES[4])
    at = at[at < 1000 * (at[-1] // 1000)]  # whole days
    edges = np.linspace(0, 1000, 21)
    counts = np.histogram(at % 1000, edges)[0]
    turn = 2 * np.pi / 1000
    share = np.diff(edges / 1000 + np.sin(turn * (edges - 400)) / (2 * np.pi))
    assert share.sum() == pytest.approx(1)
    assert ((counts - share * len(at)) ** 2 / (share * len(at))).sum() < stats.chi2.ppf(0.999, 19)


def test_a_closed_loop_holds_nothing_back() -> None:
    assert times({"kind": "closed", "in_flight": 3}, 5).tolist() == [0] * 5
