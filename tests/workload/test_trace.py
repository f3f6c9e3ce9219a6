"""Traces of expert models: generators and the CSV reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload import GENERATORS, Trace, load_trace
from simulator.workload.trace import cyclic, markov, uniform, zipf


@pytest.mark.parametrize("kind", GENERATORS)
@settings(deadline=None, max_examples=25)
@given(experts=st.integers(1, 200), prompts=st.integers(0, 500))
def test_a_generator_makes_so_many_prompts_in_range(kind: str, experts: int, prompts: int) -> None:
    trace = GENERATORS[kind](experts, prompts)
    assert trace.experts == experts
    assert len(trace) == prompts
    assert trace.choices.dtype == np.int64
    assert np.all((trace.choices >= 0) & (trace.choices < experts))


@pytest.mark.parametrize("kind", ["uniform", "zipf", "markov"])
def test_a_seed_fixes_the_trace(kind: str) -> None:
    one, same, other = (GENERATORS[kind](50, 1000, seed=seed).choices for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_cyclic_goes_round() -> None:
    assert cyclic(3, 7).choices.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_uniform_is_even() -> None:
    counts = np.bincount(uniform(10, 100_000, seed=1).choices)
    np.testing.assert_allclose(counts, 10_000, rtol=0.05)


@pytest.mark.parametrize("exponent", [0.0, 0.8, 1.2])
def test_zipf_is_skewed_as_its_exponent_says(exponent: float) -> None:
    counts = np.bincount(zipf(20, 200_000, exponent=exponent, seed=1).choices, minlength=20)
    shares = np.arange(1, 21) ** -exponent
    np.testing.assert_allclose(counts / counts.sum(), shares / shares.sum(), rtol=0.06)


@pytest.mark.parametrize("stay", [0.0, 0.5, 0.95])
def test_markov_stays_as_often_as_it_says(stay: float) -> None:
    choices = markov(10, 100_000, stay=stay, seed=1).choices
    assert np.mean(choices[1:] == choices[:-1]) == pytest.approx(stay, abs=0.01)
    np.testing.assert_allclose(np.bincount(choices) / len(choices), 0.1, rtol=0.2)


def test_markov_that_always_stays_has_one_expert() -> None:
    assert len(set(markov(10, 1000, stay=1.0).choices)) == 1


@pytest.mark.parametrize(
    ("call", "key"),
    [
        (lambda: cyclic(0, 5), "experts"),
        (lambda: uniform(5, -1), "prompts"),
        (lambda: zipf(5, 5, exponent=-1), "exponent"),
        (lambda: zipf(5, 5, exponent=float("nan")), "exponent"),
        (lambda: markov(5, 5, stay=1.1), "stay"),
        (lambda: Trace(3, np.array([0, 3])), "experts 0 to 2"),
    ],
)
def test_impossible_parameters_are_refused(call: object, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        call()  # type: ignore[operator]


def test_a_trace_does_not_change() -> None:
    with pytest.raises(ValueError, match="read-only"):
        cyclic(3, 3).choices[0] = 1


# --- CSV


def written(folder: Path, text: str) -> Path:
    file = folder / "trace.csv"
    file.write_text(text)
    return file


def test_a_csv_is_read_in_order(tmp_path: Path) -> None:
    file = written(tmp_path, "prompt,expert\na,3\nb, 0\n\nc,3\n")
    assert load_trace(file).choices.tolist() == [3, 0, 3]
    assert load_trace(file).experts == 4
    assert load_trace(file, experts=10).experts == 10


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "prompt,expert"),
        ("expert,prompt\n1,a\n", 1, "prompt,expert"),
        ("prompt,expert\n", 1, "empty"),
        ("prompt,expert\na,1\nb,5\n", 3, "found '5', expected an integer from 0 to 4"),
        ("prompt,expert\na,-1\n", 2, "found '-1'"),
        ("prompt,expert\na,one\n", 2, "found 'one'"),
        ("prompt,expert\na,1.0\n", 2, "found '1.0'"),
        ("prompt,expert\na,\n", 2, "found ''"),
        (f"prompt,expert\na,{'9' * 5000}\n", 2, "expected an integer from 0 to 4"),
        ("prompt,expert\na,1\nb\n", 3, "1 columns"),
        ("prompt,expert\na,1,2\n", 2, "3 columns"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_trace(written(tmp_path, text), experts=5)
    assert f"trace.csv:{line}" in str(error.value)
    assert says in str(error.value)


def test_a_missing_or_binary_file_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv"):
        load_trace(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.csv"):
        load_trace(tmp_path / "binary.csv")


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=200))
def test_any_text_is_a_trace_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("any") / "trace.csv"
    file.write_text("prompt,expert\n" + text, encoding="utf-8", errors="ignore")
    try:
        assert len(load_trace(file)) > 0
    except ConfigError as error:
        assert "trace.csv" in str(error)
