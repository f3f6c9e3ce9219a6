from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload.requests import summary as module
from simulator.workload.requests.load import load_requests
from simulator.workload.requests.request import Stream, schema
from simulator.workload.requests.summary import BINS, Counts, Seen, Summary, summary


def of(*rows: dict[str, Any], chunk: int = 10**6) -> Summary:
    """The summary of rows, so many in a chunk."""
    whole = [{"request_id": str(i), "arrival_s": 0.0, "output_tokens": 1, **row} for i, row in enumerate(rows)]

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(whole), chunk):
            yield pa.RecordBatch.from_pylist(whole[start : start + chunk], schema=schema())

    return summary(Stream(batches))


ARRIVALS = st.lists(st.floats(0, 1e6), min_size=2, max_size=60).map(sorted)


@given(ARRIVALS, st.integers(1, 9))
def test_rates_and_gaps_are_those_of_all_whatever_the_chunks(arrivals: list[float], chunk: int) -> None:
    found = of(*({"arrival_s": at, "input_tokens": 3} for at in arrivals), chunk=chunk)
    gaps = np.diff(arrivals)
    assert found.span_s == arrivals[-1] - arrivals[0]
    assert found.arrivals.sum() == len(arrivals) and len(found.arrivals) <= BINS
    edges = arrivals[0] + np.arange(len(found.arrivals) + 1) * found.bin_s
    assert edges[-1] > arrivals[-1]
    assert found.gaps.sum() == len(gaps)
    if found.span_s:
        assert found.rate == pytest.approx(len(arrivals) / found.span_s)
        if len(gaps) > 1:
            assert found.gap_variation == pytest.approx(gaps.std() / gaps.mean(), rel=1e-6, abs=1e-6)


@given(st.lists(st.integers(1, 2000), min_size=1), st.sampled_from([1, 50, 90, 99, 100]))
def test_lengths_are_counted_exactly(tokens: list[int], percent: int) -> None:
    counts = Counts().with_(np.array(tokens[:3])).with_(np.array(tokens[3:], dtype=np.int64))
    assert counts.mean == pytest.approx(np.mean(tokens))
    assert counts.percentile(percent) == np.percentile(tokens, percent, method="inverted_cdf")


def test_blocks_that_came_before() -> None:
    """The first block of three prompts is one and the same; of the second prompt the last one is short."""
    shared = {"block_tokens": 10, "input_tokens": 20}
    rows = [{**shared, "block_ids": [1, 2]}, {**shared, "block_ids": [1, 3], "input_tokens": 15}]
    rows += [{**shared, "block_ids": [1, 2]}, {**shared, "block_ids": [8, 9, 7], "output_tokens": 9}]
    assert of(*rows).reused == pytest.approx((10 + 20) / 75)
    assert of(*rows, chunk=1).reused == pytest.approx((10 + 20) / 75)


def test_prefixes_and_sessions_that_came_before() -> None:
    prefix = {"prefix_id": "p", "prefix_tokens": 4, "input_tokens": 10}
    turn = {"session_id": "s", "context_tokens": 0}
    assert of(prefix, prefix, {"input_tokens": 10}).reused == pytest.approx(4 / 30)
    again = {**prefix, "session_id": "s", "context_tokens": 11, "think_s": 1.0, "input_tokens": 14}
    found = of({**prefix, **turn}, again)
    assert (found.reused, found.sessions) == (pytest.approx(11 / 24), 1)
    assert of({"input_tokens": 10}).reused is None


def test_of_too_many_names_a_sample_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The share that is estimated is near that of all, and no more names are kept than allowed."""
    random = np.random.default_rng(0)
    names = random.integers(30_000, size=100_000)
    monkeypatch.setattr(module, "MOST_SEEN", 2000)
    seen = Seen()
    followed, before = map(np.concatenate, zip(*(seen.seen(each) for each in np.split(names, 20)), strict=True))
    assert len(seen.names) <= 2000
    exact = 1 - len(np.unique(names)) / len(names)
    late = slice(50_000, None)  # when all names have come that will
    assert before[late].sum() / followed[late].sum() == pytest.approx(1 - (1 - 1 / 30_000) ** 75_000, abs=0.05)
    assert exact > 0.5


def test_a_drawn_day_is_what_it_is_said_to_be() -> None:
    drawn = load_requests({}, ["requests=20000", "arrivals={kind: gamma, rate: 5, variation: 2}",
                               "lengths={kind: uniform, input: [1, 99], output: [10, 30]}"])  # fmt: skip
    document = summary(drawn).as_json()
    assert document["requests_per_s"] == pytest.approx(5, rel=0.05)
    assert document["gap_variation"] == pytest.approx(2, rel=0.05)
    assert document["input_tokens"]["mean"] == pytest.approx(50, rel=0.02)
    assert (document["output_tokens"]["max"], document["reused"]) == (30, None)


def test_no_requests() -> None:
    with pytest.raises(ConfigError, match="there are no requests: found none"):
        summary(Stream(lambda: iter(())))
