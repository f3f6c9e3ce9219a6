"""Measured data as a user gives them: what is read, and where what is wrong stands."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.validation.measured.reader import read_measured
from simulator.validation.measured.schema import OPERATORS, RUNS, UNITS, problems

GEMM = {"source": "s", "device": "d", "op": "gemm", "dtype": "bf16", "m": 1, "n": 2, "k": 3, "metric": "latency"}
RUN = {"source": "s", "device": "d", "model": "m", "engine": "vLLM", "dtype": "fp16", "kv_dtype": "fp16", "batch": 1}


def table(path: Path, columns: tuple[str, ...], *rows: dict[str, object]) -> Path:
    filled = [{"value": 1e-3, "unit": "s", "metric": "latency", **row} for row in rows]
    pd.DataFrame(filled).reindex(columns=columns).to_csv(path, index=False)
    return path


def test_a_row_keeps_its_line_and_its_numbers(tmp_path: Path) -> None:
    file = table(tmp_path / "ops.csv", OPERATORS, GEMM, {**GEMM, "m": 8})
    measured = read_measured(file)
    assert list(measured.rows.index) == [2, 3]
    assert list(measured.rows["m"]) == [1.0, 8.0]
    assert len(measured.hash) == 16 and not measured.skipped


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    file = table(tmp_path / "ops.csv", (*OPERATORS, "window"), {**GEMM, "window": 128})
    pd.read_csv(file).to_parquet(tmp_path / "ops.parquet")
    one, other = read_measured(file).rows, read_measured(tmp_path / "ops.parquet").rows
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True), check_dtype=False)


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    file = table(tmp_path / "runs.csv", tuple(c for c in RUNS if c != "batch"), RUN)
    with pytest.raises(ConfigError, match=r"runs\.csv:1: batch"):
        read_measured(file)


@pytest.mark.parametrize(
    ("change", "column", "found"),
    [
        ({"unit": "ms"}, "unit", "'ms', expected 's'"),
        ({"value": -1.0}, "value", "'-1.0'"),
        ({"value": "fast"}, "value", "'fast'"),
        ({"value": None}, "value", "nothing"),
        ({"metric": "latencey"}, "metric", "did you mean 'latency'"),
        ({"m": -4}, "m", "'-4'"),
        ({"device": None}, "device", "nothing"),
    ],
)
def test_a_cell_that_is_wrong_is_told_by_line_and_column_or_skipped(
    tmp_path: Path, change: dict[str, object], column: str, found: str
) -> None:
    file = table(tmp_path / "ops.csv", OPERATORS, GEMM, {**GEMM, **change}, GEMM)
    with pytest.raises(ConfigError) as told:
        read_measured(file)
    assert f"ops.csv:3: {column}: " in str(told.value) and found in str(told.value)
    measured = read_measured(file, skip_bad=True)
    assert list(measured.rows.index) == [2, 4]
    assert [(problem.row, problem.column) for problem in measured.skipped] == [(3, column)]


def test_a_file_of_bad_rows_alone_is_refused(tmp_path: Path) -> None:
    file = table(tmp_path / "ops.csv", OPERATORS, {**GEMM, "unit": "ms"})
    with pytest.raises(ConfigError, match="no rows"):
        read_measured(file, skip_bad=True)


def test_a_table_that_nothing_knows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="header"):
        read_measured(tmp_path / "other.csv")
    with pytest.raises(ConfigError, match="no such file"):
        read_measured(tmp_path / "none.csv")


@given(st.sampled_from(sorted(UNITS)), st.sampled_from(sorted(set(UNITS.values()))), st.floats(-1, 1))
def test_a_value_counts_only_in_the_unit_of_its_metric_and_from_zero_on(metric: str, unit: str, value: float) -> None:
    rows = pd.DataFrame([{**GEMM, "metric": metric, "unit": unit, "value": value}])
    columns = {problem.column for problem in problems(rows)}
    assert columns == {name for name, wrong in (("unit", UNITS[metric] != unit), ("value", value < 0)) if wrong}
