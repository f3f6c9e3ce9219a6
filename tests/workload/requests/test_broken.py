"""A file that is cut off, or partly overwritten, is read or refused with its name, whatever its form."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload.requests.load import load_requests
from simulator.workload.requests.request import Stream
from simulator.workload.requests.summary import summary
from simulator.workload.requests.trace import open_trace
from simulator.workload.requests.write import write_requests

MOONCAKE = {"timestamp": 3000, "input_length": 1030, "output_length": 5, "hash_ids": [0, 1, 2]}
CALL = {"input_toks": 3, "output_toks": 1, "tool_duration_ns": 5, "input_tok_ids": [1, 2, 3], "output_tok_ids": [4]}
SESSION = {"session_id": "a", "arrival_time_ns": 7, "sub_requests": [CALL, CALL]}
TALK = {"id": "x", "conversations": [{"from": "human", "value": "hello"}, {"from": "gpt", "value": "hi"}]}
LAWS = ["requests=40", "arrivals={kind: poisson, rate: 3}", "lengths={kind: fixed, input: 9, output: 2}"]


def samples() -> dict[str, bytes]:
    """A small file in each kind of form."""
    made = {
        "azure.csv": b"TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
        + b"".join(b"2023-11-16 18:17:%02d.9799600,%d,10\r\n" % (i, i + 1) for i in range(20)),
        "mooncake.jsonl": (json.dumps(MOONCAKE) + "\n").encode() * 5,
        "sessions.jsonl": (json.dumps(SESSION) + "\n").encode() * 5,
        "talk.json": json.dumps([TALK] * 5).encode(),
    }
    with TemporaryDirectory() as folder:
        for name in ("ours.csv", "ours.parquet"):
            file = Path(folder) / name
            write_requests(load_requests({}, [*LAWS, "sessions={turns: 3}", "prefixes={tokens: 4}"]), file)
            made[name] = file.read_bytes()
    return made


SAMPLES = samples()


@pytest.mark.parametrize("file", SAMPLES)
@settings(max_examples=20)
@given(at=st.floats(0, 1), junk=st.binary(max_size=40), end=st.booleans(), skip_bad=st.booleans())
def test_broken_files(file: str, at: float, junk: bytes, end: bool, skip_bad: bool) -> None:
    data = SAMPLES[file]
    place = int(at * len(data))
    broken = data[:place] + junk + (b"" if end else data[place + len(junk) :])
    with TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_bytes(broken)
        try:
            trace = open_trace(path, skip_bad)
            summary(Stream(trace.batches, left_out=trace.left_out))
        except ConfigError as error:
            assert file in str(error) or "no requests" in str(error)


@pytest.mark.parametrize("file", SAMPLES)
def test_whole_files(file: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.write_bytes(SAMPLES[file])
    trace = open_trace(path)
    number = sum(batch.num_rows for batch in trace.batches())
    assert number == {"azure.csv": 20, "mooncake.jsonl": 5, "sessions.jsonl": 10, "talk.json": 5}.get(file, 40)
    assert file != "ours.parquet" or pq.read_metadata(path).num_rows == 40
