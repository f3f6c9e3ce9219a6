from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import ConfigError, TiersimWarning
from simulator.workload.requests.load import load_requests
from simulator.workload.requests.write import write_requests

DRAWN = [
    "requests=500",
    "arrivals={kind: poisson, rate: 3}",
    "lengths={kind: log_normal, input: 100, output: 20}",
]
CHAT = ["sessions={turns: 3}", "prefixes={tokens: 50, number: 3}", "max_tokens=40"]


@pytest.mark.parametrize("file", ["day.csv", "day.parquet"])
@pytest.mark.parametrize("more", [[], CHAT], ids=["single", "sessions"])
def test_what_is_written_is_read_again(more: list[str], file: str, tmp_path: Path) -> None:
    drawn = load_requests({}, [*DRAWN, *more])
    assert write_requests(drawn, tmp_path / file) == 500
    assert list(load_requests(tmp_path / file)) == list(drawn)


def test_blocks_of_another_form_too(tmp_path: Path) -> None:
    trace = tmp_path / "mooncake.jsonl"
    trace.write_text('{"timestamp": 7, "input_length": 600, "output_length": 5, "hash_ids": [4, 9]}\n')
    for name in ("ours.csv", "ours.parquet"):
        write_requests(load_requests(trace), tmp_path / name)
        (only,) = load_requests(tmp_path / name)
        assert only.segments(600) == ((4, 512), (9, 88))


def test_a_csv_has_no_columns_that_are_empty(tmp_path: Path) -> None:
    write_requests(load_requests({}, DRAWN), tmp_path / "day.csv")
    header, first, *_ = (tmp_path / "day.csv").read_text().splitlines()
    assert header == "request_id,arrival_s,input_tokens,output_tokens"
    assert first.startswith("0,1.09784")


def test_a_closed_loop_has_no_times_and_that_is_said(tmp_path: Path) -> None:
    closed = load_requests({}, [*DRAWN[:1], "arrivals={kind: closed, in_flight: 8}", DRAWN[2]])
    with pytest.warns(TiersimWarning, match="does not say how many are in flight.*in_flight: 8"):
        write_requests(closed, tmp_path / "closed.csv")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected \.csv or \.parquet"):
        write_requests(load_requests({}, DRAWN), tmp_path / "day.json")
    bad = tmp_path / "bad.csv"
    bad.write_text("request_id,arrival_s,input_tokens,output_tokens\na,0,1,1\nb,0,0,1\n")
    with pytest.raises(ConfigError, match="input_tokens"):
        write_requests(load_requests(bad), tmp_path / "good.parquet")
    assert [each.name for each in tmp_path.iterdir()] == ["bad.csv"]
