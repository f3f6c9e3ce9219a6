"""What a file of requests may not hold, and how that is told or skipped."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload.requests.recorded import tables
from simulator.workload.requests.request import Stream
from simulator.workload.requests.trace import open_trace

HEADER = "request_id,arrival_s,input_tokens,output_tokens"
GOOD = "a,0,10,5\nb,1.5,20,1\n"


def test_ours_by_its_header_in_any_order(read) -> None:
    requests = read("output_tokens,arrival_s,slo,request_id,input_tokens\n5,0.25,0.5,a,10\n")
    (only,) = requests
    assert (only.request_id, only.arrival_s, only.input_tokens, only.output_tokens, only.slo) == ("a", 0.25, 10, 5, 0.5)


def test_all_that_a_row_may_have(read) -> None:
    header = "max_tokens,model,prefix_id,prefix_tokens,session_id,context_tokens,think_s,priority,slo"
    text = f"{HEADER},{header}\na,3,10,5,6,m,sys,4,s,0,,-2,0.5\nb,3,22,7,,,sys,4,s,15,1.5,,\n"
    first, other = read(text)
    assert first.arrival_s == 3.0  # ours is taken as it is
    assert (first.max_tokens, first.model, first.priority, first.slo) == (6, "m", -2, 0.5)
    assert first.segments(15) == (("sys", 4), ("s", 11))
    assert other.segments(22) == (("sys", 4), ("s", 18))
    assert first.segments(3) == (("sys", 3),)
    assert (other.think_s, other.max_tokens, other.priority) == (1.5, None, None)


WRONG = [
    ("a,1e13,10,5", r":2: arrival_s: found 10000000000000, expected at most 1e\+12 s"),
    ("a,-1,10,5", r":2: arrival_s: found '-1', expected 0 s or more|:2: arrival_s: found -1"),
    ("a,soon,10,5", ":2: arrival_s: found 'soon', expected a number"),
    ("a,inf,10,5", ":2: arrival_s: found 'inf', expected a number"),
    ("a,nan,10,5", ":2: arrival_s: found 'nan', expected a number"),
    ("a,,10,5", ":2: arrival_s: found '', expected a number"),
    ("a,0,0,5", ":2: input_tokens: found 0, expected 1 or more"),
    ("a,0,10,0", ":2: output_tokens: found 0, expected 1 or more"),
    ("a,0,10.5,5", ":2: input_tokens: found '10.5', expected a whole number"),
    ("a,0,1e12,5", ":2: input_tokens: found '1e12', expected a whole number, 0 to 1,000,000,000"),
    ("a,0,1_0,x", ":2: input_tokens: found '1_0', expected a number"),
    ("a,0,10", ":2: columns: found 3 columns, expected 4, as in the header"),
    ('a,"0,10,5', ":2: not CSV"),
    ("a,0,10,5\nb,2,1,1\nc,1.5,1,1", r":4: arrival_s: found 1\.5, expected a time that is not before"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_row_is_told_with_its_line_or_skipped_and_counted(
    text: str, message: str, tmp_path: Path, read
) -> None:
    with pytest.raises(ConfigError, match=message):
        read(f"{HEADER}\n{text}\nz,3,1,1\n")
    trace = open_trace(tmp_path / "trace.csv", skip_bad=True)
    kept = [each.request_id for each in Stream(trace.batches)]
    assert kept == [*("ab" if text.startswith("a,0,10,5\n") else ""), "z"]
    assert sum(trace.left_out.values()) == 1


@pytest.mark.parametrize(
    ("columns", "cells", "message"),
    [
        ("max_tokens", "4", "max_tokens: found 4, expected no less"),
        ("prefix_id,prefix_tokens", "p,11", "prefix_tokens: found 11, expected no more"),
        ("prefix_id", "p", "prefix_id: found one without the other"),
        ("session_id,context_tokens", "s,11", "context_tokens: found 11, expected no more"),
        ("context_tokens", "5", "session_id: found nothing, expected the session"),
        ("session_id,think_s", "s,1", "session_id: found 's', expected the session of the row above"),
        ("session_id,think_s", "s,-1", "think_s: found -1, expected 0 or more"),
        ("slo", "0", "slo: found 0, expected above 0"),
        ("block_tokens", "16", "block_ids: found one without the other"),
        ("block_tokens,block_ids", "16,1 2", "block_ids: found 2, expected at most"),
        ("block_tokens,block_ids", "16,one", "block_ids: found 'one', expected whole numbers"),
    ],
)
def test_parts_fit_what_they_are_part_of(columns: str, cells: str, message: str, read) -> None:
    with pytest.raises(ConfigError, match=rf"csv:2: {message}"):
        read(f"{HEADER},{columns}\na,0,10,5,{cells}\n")


def test_the_first_mistake_is_told_first(read) -> None:
    with pytest.raises(ConfigError, match=":3: input_tokens"):
        read(f"{HEADER}\na,0,10,5\nb,1,0,5\nc,2\nd,-1,0,0\n")


def test_a_skipped_row_does_not_make_others_late(read) -> None:
    requests = read(f"{HEADER}\na,0,10,5\nb,1000,0,5\nc,2,1,1\n", skip_bad=True)
    assert [each.request_id for each in requests] == ["a", "c"]


def test_who_waits_for_a_row_that_is_skipped_is_left_out_too(tmp_path: Path, read) -> None:
    text = f"{HEADER},session_id,think_s\na,0,0,5,s,\nb,0,10,5,s,1\nc,0,10,5,s,1\nd,1,10,5,t,\ne,1,10,5,t,1\n"
    assert [each.request_id for each in read(text, skip_bad=True)] == ["d", "e"]
    trace = open_trace(tmp_path / "trace.csv", skip_bad=True)
    assert sum(batch.num_rows for batch in trace.batches()) == 2
    assert trace.left_out == {"input_tokens: expected 1 or more": 1, "waits for a row that is left out": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("request_id;arrival_s;input_tokens;output_tokens\n1;2;3;4\n", "no known form of requests: found 'request_id;"),
        ("arrival_s,input_tokens\n", r"'tiersim' has output_tokens, request_id too.*azure \(ContextTokens"),
        (f"{HEADER},prefix_tokns\n", "prefix_tokns.*did you mean 'prefix_tokens'"),
        (f"{HEADER},request_id\n", "two columns of one name: found 'request_id'"),
        ("", "the file is empty"),
        (f"{HEADER}\n", "there are no requests"),
        ('{"type": "meta"}\n', "no known form of requests"),
        ('{"type": \n', "there is no object in it"),
    ],
)
def test_a_file_in_no_form(text: str, message: str, read) -> None:
    with pytest.raises(ConfigError, match=message):
        read(text, skip_bad=True)


def test_half_binary(tmp_path: Path, read) -> None:
    text = f"{HEADER}\n{GOOD}".encode() + b"\x00\xff\xfe\x93\n\x00\x00,\x00,\x00,\x00\nc,2,3,4\n"
    with pytest.raises(ConfigError, match=r"csv:4: cannot be read: it is not UTF-8 text"):
        read(text)
    assert [each.request_id for each in read(text, skip_bad=True)] == ["a", "b", "c"]
    trace = open_trace(tmp_path / "trace.csv", skip_bad=True)
    for _ in range(2):  # a pass counts anew
        assert sum(batch.num_rows for batch in trace.batches()) == 3
        assert sum(trace.left_out.values()) == 2


def test_json_lines_that_are_cut_off(read) -> None:
    row = {"request_id": "a", "arrival_s": 0, "input_tokens": 3, "output_tokens": 1}
    text = f"{json.dumps(row)}\n[1]\n{json.dumps(row)[:-7]}"
    with pytest.raises(ConfigError, match=r"jsonl:2: no request: found a list, expected an object"):
        read(text, "trace.jsonl")
    with pytest.raises(ConfigError, match=r"jsonl:2: not JSON: found column \d+: Expecting value"):
        read(f'{json.dumps(row)}\n{{"arri": \n', "trace.jsonl")
    assert len(read(text, "trace.jsonl", skip_bad=True)) == 1


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    file = tmp_path / "trace.parquet"
    columns = {"request_id": list("abc"), "arrival_s": [0.0, 1.0, 0.5], "input_tokens": [1, 2, 3]}
    pq.write_table(pa.table({**columns, "output_tokens": [1, 1, 1]}), file)
    return file


def test_parquet_is_told_by_rows(parquet: Path) -> None:
    with pytest.raises(ConfigError, match=r"trace\.parquet: arrival_s: row 3: found 0\.5"):
        list(open_trace(parquet).batches())
    trace = open_trace(parquet, skip_bad=True)
    assert [each.request_id for each in Stream(trace.batches)] == ["a", "b"]


def test_a_truncated_parquet(parquet: Path) -> None:
    parquet.write_bytes(parquet.read_bytes()[:-20])
    with pytest.raises(ConfigError, match=r"trace\.parquet: this Parquet file cannot be read"):
        open_trace(parquet, skip_bad=True)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        open_trace(tmp_path / "gone.csv")
    with pytest.raises(ConfigError, match="found a folder"):
        open_trace(tmp_path)
    with pytest.raises(ConfigError, match=r"found 'vllm-rtx-4091', expected a file, or .*did you mean 'vllm-rtx-4090'"):
        open_trace("vllm-rtx-4091")


ROW = st.tuples(st.floats(-1, 1e3), st.integers(-1, 9), st.integers(0, 9))


@given(st.lists(ROW, min_size=1, max_size=30), st.integers(1, 7))
def test_chunks_change_nothing(table: list[tuple[float, int, int]], size: int) -> None:
    """Whatever rows are wrong, and wherever a chunk ends: those that are kept are the same."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        file = Path(folder) / "t.csv"
        file.write_text("\n".join([HEADER, *(f"{i},{','.join(map(str, row))}" for i, row in enumerate(table))]))
        trace = open_trace(file, skip_bad=True)
        kept, counts = list(Stream(trace.batches)), dict(trace.left_out)
        patch.setattr(tables, "BLOCK", 8 * size)
        assert list(Stream(trace.batches)) == kept
        assert trace.left_out == counts
        assert len(kept) + sum(counts.values()) == len(table)
        times = [each.arrival_s for each in kept]
        assert times == sorted(times) and all(each.input_tokens and each.output_tokens for each in kept)
