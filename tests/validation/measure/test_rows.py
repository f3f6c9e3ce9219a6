"""The table of measurements: what is written is read again, and what is none is told by file, line and column."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.validation.measure.rows import COLUMNS, Point, Row, Sample, append, read_measured, start

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], include_characters=" "), max_size=20)
NAME = TEXT.filter(bool)
COUNT = st.none() | st.integers(0, 2**62)
TIME = st.floats(1e-12, 1e6)
POINTS = st.builds(
    Point, device=NAME, op=NAME, dtype=TEXT, m=COUNT, n=COUNT, k=COUNT, batch=COUNT, heads=COUNT, kv_heads=COUNT,
    head_dim=COUNT, seq_q=COUNT, seq_kv=COUNT, bytes=COUNT, n_devices=COUNT,
    metric=st.sampled_from(["latency", "capacity"]), threads=COUNT, span_bytes=COUNT, kernel=TEXT, engine=TEXT,
)  # fmt: skip
HEADER = ",".join(COLUMNS) + "\n"
ROWS = st.builds(
    Row, point=POINTS, sample=st.builds(Sample, TIME, TIME, st.floats(0, 1e3), st.integers(1, 10**6)), source=TEXT
)
GOOD = Row(Point("cpu", "gemm", "fp32", 8, 8, 8, threads=1), Sample(2e-6, 1e-6, 0.1, 5), "by hand")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.lists(ROWS, max_size=4))
def test_what_is_written_is_read_again(tmp_path: Path, rows: list[Row]) -> None:
    file = tmp_path / "rows.csv"
    file.unlink(missing_ok=True)
    start(file)
    for row in rows:
        append(file, row)
    assert [(row.point, row.sample, row.source) for row in start(file)] == [(r.point, r.sample, r.source) for r in rows]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.binary(max_size=200) | TEXT.map(str.encode) | TEXT.map(lambda text: (HEADER + text).encode()))
def test_any_file_is_read_or_told(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(data)
    for read in (read_measured, start):
        try:
            read(file)
        except ConfigError as error:
            assert str(error).startswith(str(file))


def changed(file: Path, column: str, text: str) -> None:
    file.unlink(missing_ok=True)
    start(file)
    append(file, GOOD)
    header, row = list(csv.reader(file.read_text().splitlines()))
    row[header.index(column)] = text
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([header, row])


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("value", "-1", r"rows\.csv:2: value: found '-1', expected a number above 0"),
        ("value", "0", r"value: found '0'"),
        ("least", "nan", r"least: found 'nan'"),
        ("m", "8.5", r"m: found '8\.5'"),
        ("threads", "two", r"threads: found 'two'"),
        ("unit", "us", r"unit: found 'us', expected 's'"),
        ("metric", "latancy", r"metric: .*did you mean 'latency'"),
        ("device", "", r"device: found nothing"),
    ],
)
def test_a_cell_that_is_wrong_is_told(tmp_path: Path, column: str, text: str, message: str) -> None:
    file = tmp_path / "rows.csv"
    changed(file, column, text)
    with pytest.raises(ConfigError, match=message):
        read_measured(file)


def test_a_file_that_is_no_table_of_ours_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    for text in ("a,b\n1,2\n", "", "no end", ",".join(reversed(COLUMNS)) + "\n", ",".join([*COLUMNS, "more"]) + "\n"):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"no table of"):
            start(file)
        assert file.read_text() == text
    with pytest.raises(ConfigError, match="cannot be written"):
        start(tmp_path / "no" / "rows.csv")


def test_a_row_that_was_not_written_whole_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    start(file)
    append(file, GOOD)
    whole = file.read_bytes()
    for end in range(1, len(whole) - whole.index(b"\n") - 1):
        file.write_bytes(whole + whole[whole.index(b"\n") + 1 :][:end])
        assert [row.point for row in start(file)] == [GOOD.point]
        assert file.read_bytes() == whole
