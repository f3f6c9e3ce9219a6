from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.workload.requests.limit import cut_off, up_to
from simulator.workload.requests.load import load_requests

CHAT = [
    "requests=400",
    "arrivals={kind: poisson, rate: 1}",
    "lengths={kind: uniform, input: [1, 500], output: [1, 200]}",
    "sessions={turns: 5}",
]
ROWS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1)


@given(ROWS, st.booleans(), st.data())
def test_who_waits_for_one_that_is_out_is_out(rows: list[tuple[bool, bool]], broken: bool, data: st.DataObject) -> None:
    """As row by row, and in two chunks as in one."""
    out, waits = map(np.array, zip(*rows, strict=True))
    expected, last = [], broken
    for each, wait in rows:
        last = each or (last and wait)
        expected.append(last)
    assert cut_off(out, waits, broken).tolist() == expected
    at = data.draw(st.integers(0, len(rows) - 1))
    if at:
        first = cut_off(out[:at], waits[:at], broken)
        assert [*first, *cut_off(out[at:], waits[at:], bool(first[-1]))] == expected


def test_what_is_too_long_is_told_or_left_out() -> None:
    chat = load_requests({}, CHAT)
    long = next(at for at, each in enumerate(chat, start=1) if each.input_tokens + each.output_tokens > 1500)
    with pytest.raises(ConfigError, match=rf"request {long} \('{long - 1}'\): found .*, expected a context of 1,500"):
        list(up_to(chat, 1500, "a context"))
    short = up_to(chat, 1500, "a context", skip_bad=True)
    kept = list(short)
    assert all(each.input_tokens + each.output_tokens <= 1500 for each in kept)
    assert short.left_out == {"longer than a context of 1,500 tokens": 400 - len(kept)}
    assert list(up_to(chat, 10**9, "a context")) == list(chat)


def test_no_one_is_left_waiting() -> None:
    last = None
    for each in up_to(load_requests({}, CHAT), 900, "a room", skip_bad=True):
        assert each.think_s is None or each.session_id == last
        last = each.session_id
